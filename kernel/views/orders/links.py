"""GET and POST /e/{signed link}: a person tells an order an event; see `kernel.Run.link`.

GET asks and tells nothing, so a mail program that looks at the link in advance decides nothing.
POST tells, from the page's own form alone. Of what no `EventLinks` has made it is not told what is
wrong with it; of a link that was good the page says so: that it was used, or is over.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from flask import Blueprint, Response, request
from sqlalchemy import Row, select

from kernel.callers.audit.actor import Actor
from kernel.callers.audit.acts import By
from kernel.db.errors import DATABASE_ERRORS
from kernel.db.states import OrderState
from kernel.db.tables.gates import EVENTS
from kernel.db.tables.orders import ORDERS
from kernel.errors import Conflict, Forbidden, NotFound, Unauthenticated
from kernel.orders.gates.events import tell
from kernel.orders.gates.links import PREFIX, EventLinks, Link
from kernel.runtime.hints import Hints
from kernel.runtime.kernel import Kernel
from kernel.views.html.rendering import FORM_BYTES, Html, beside, go_to
from kernel.views.http.acting import by_page
from kernel.views.http.client_address import client_address
from kernel.views.http.errors import is_unavailable
from kernel.views.http.origin import refuse_other_sites
from kernel.views.http.requests import limit_body
from kernel.views.http.sessions import Sessions, Visitor
from kernel.views.order_page import HEADERS, RELOAD_SECONDS

# Seconds for which the form of a page is good.
FORM_SECONDS = 12 * 3600.0
# Who tells, where the link is the permission.
BY_LINK = "link"


class Asked(NamedTuple):
    """A link that was opened: its order's row, and the event that it has told already."""

    token: str
    link: Link
    order: Row[Any]
    told: Row[Any] | None
    is_over: bool


class LinkPages:
    """The pages of links, bound to one kernel; ``hints`` is told of the orders that go on."""

    def __init__(self, kernel: Kernel, hints: Hints) -> None:
        self.blueprint = Blueprint("event_links", __name__, url_prefix=PREFIX)
        self._kernel = kernel
        self._hints = hints
        self._links = EventLinks(kernel)
        self._sessions = Sessions(kernel)
        self._html = Html(self.blueprint, kernel)
        for rule in ("/<token>", "/<path:token>"):
            add = self.blueprint.add_url_rule
            add(rule, "show", self.show, provide_automatic_options=False)
            add(rule, "tell", self.tell, methods=["POST"], provide_automatic_options=False)
        for kind in DATABASE_ERRORS:
            self.blueprint.register_error_handler(kind, self.apologise)

    def show(self, token: str) -> Response:
        """GET: what the link would tell, and a button."""
        asked = self._opened(token)
        if asked is None:
            return self._answer("order_page/unknown.html", 404)
        if asked.told is not None or asked.is_over:
            return self._over(asked)
        if asked.link.sign_in and self._visitor() is None:
            return self._sign_in()
        return self._ask(asked)

    def tell(self, token: str) -> Response:
        """POST: tell the event, once."""
        refuse_other_sites()
        limit_body(FORM_BYTES)
        asked = self._opened(token)
        if asked is None:
            return self._answer("order_page/unknown.html", 404)
        visitor = self._visitor() if asked.link.sign_in else None
        if asked.link.sign_in and visitor is None:
            is_closed = asked.told is not None or asked.is_over
            return self._over(asked) if is_closed else self._sign_in()
        now = self._kernel.clock.now()
        if not self._links.is_form_token(request.form.get("form", ""), token, now, FORM_SECONDS):
            return self._ask(asked, 403) if not asked.is_over else self._over(asked)
        if visitor is not None:
            try:
                self._sessions.check_token(visitor)
            except Forbidden:
                return self._ask(asked, 403)
        if asked.is_over and asked.told is None:
            return self._over(asked)
        return self._tell(asked, visitor)

    def _tell(self, asked: Asked, visitor: Visitor | None) -> Response:
        settings = self._kernel.settings
        if visitor is None:
            by = By(Actor(BY_LINK, "page", client_address(settings)))
        else:
            by = by_page(settings, visitor.name, visitor.key_prefix)
        try:
            telling = tell(self._kernel, asked.link.order_id, asked.link.told, by=by)
        except (Conflict, NotFound):
            return self._over(asked)
        self._hints.hint(telling.hints)
        if telling.replayed:
            return self._over(asked._replace(told=telling.event))
        return self._page("told.html", asked, told_at=telling.event.told_at)

    def apologise(self, error: Exception) -> Response:
        """Answer while the database is away. Raises ``error`` when it is something else."""
        if not is_unavailable(error):
            raise error
        answer = self._answer("event_link/away.html", 503)
        answer.headers["Retry-After"] = str(RELOAD_SECONDS)
        return answer

    def _opened(self, token: str) -> Asked | None:
        """Return what stands behind a link; None for one that is not ours, or of no order."""
        link = self._links.link(token)
        if link is None or (link.sign_in and self._kernel.settings.dashboard == "off"):
            return None
        names = ("reference", "select_tag", "state")
        with self._kernel.read() as connection:
            order = connection.execute(
                select(*(ORDERS.c[name] for name in names)).where(ORDERS.c.id == link.order_id)
            ).one_or_none()
            if order is None:
                return None
            told = connection.execute(
                select(EVENTS.c.told_at).where(
                    EVENTS.c.order_id == link.order_id, EVENTS.c.told_key == link.told.key
                )
            ).one_or_none()
        is_late = link.until is not None and self._kernel.clock.now() >= link.until
        return Asked(token, link, order, told, is_late or OrderState(order.state).is_final)

    def _visitor(self) -> Visitor | None:
        """Return who is signed in to the dashboard in this browser."""
        try:
            return self._sessions.visitor()
        except Unauthenticated:
            return None

    def _sign_in(self) -> Response:
        """Lead to the sign-in, and from there back to this page."""
        return go_to(beside("dashboard.show_form", next=request.script_root + request.path))

    def _ask(self, asked: Asked, status: int = 200) -> Response:
        visitor = self._visitor() if asked.link.sign_in else None
        now = self._kernel.clock.now()
        return self._page(
            "ask.html",
            asked,
            status,
            form=self._links.form_token(asked.token, now),
            again=status != 200,
            visitor=visitor,
            until=asked.link.until,
            data=list(_members(asked.link.data)),
        )

    def _over(self, asked: Asked) -> Response:
        told_at: datetime | None = None if asked.told is None else asked.told.told_at
        return self._page("over.html", asked, 200 if told_at else 410, told_at=told_at)

    def _page(self, template: str, asked: Asked, status: int = 200, **shown: Any) -> Response:
        shown |= {"name": asked.link.name, "order": asked.order}
        return self._answer(f"event_link/{template}", status, **shown)

    def _answer(self, template: str, status: int, **shown: Any) -> Response:
        answer = self._html.render(template, status, reload_seconds=RELOAD_SECONDS, **shown)
        answer.headers.update(HEADERS)
        return answer


def _members(data: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each member of a link's data."""
    for name, value in data.items():
        yield name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
