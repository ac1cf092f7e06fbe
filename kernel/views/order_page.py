"""GET /o/{signed link}: the page for the person who ordered. One order, and nothing else.

No sign-in: the link is the permission (see `kernel.views.http.links`). What is wrong with a link
is not told: a forged, foreign or expired one is answered like one that never was. A link expires
when its order's retention is over, whether or not a worker has deleted the order by then.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from flask import Blueprint, Response, request
from sqlalchemy import Row, bindparam, select

from kernel.db.errors import DATABASE_ERRORS
from kernel.db.states import OrderState
from kernel.db.tables.gates import Has
from kernel.db.tables.orders import ORDERS, Order
from kernel.formats.texts import TEXTS, Language
from kernel.handlers.registering.refusals import BATCH_TAG
from kernel.handlers.registry import Handler
from kernel.orders.gates.children import count_children, count_ended
from kernel.runtime.kernel import Kernel
from kernel.runtime.service_key import ServiceKeys
from kernel.views.html.rendering import LANGUAGES, Html, beside, published
from kernel.views.http.errors import is_unavailable
from kernel.views.http.links import Links
from kernel.views.http.origin import is_https

PREFIX = "/o"
# Seconds after which a browser without scripts loads the page again.
RELOAD_SECONDS = 5
# Beside what every page of ours says: not to be found by search, nor shown in a frame.
HEADERS = {
    "Vary": "Accept-Language, Cookie",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow, noarchive",
}
_SHOWN = (
    "reference",
    "select_tag",
    "state",
    "created_at",
    "finished_at",
    "message",
    "error_code",
    "result",
    "gates",
)
_PROGRESS = ("progress_current", "progress_total", "progress_note")
_COLUMNS = (ORDERS.c[name] for name in (*_SHOWN, *_PROGRESS))
_ARGS = select(ORDERS.c.args).where(ORDERS.c.id == bindparam("id"))
_LOOK = select(*_COLUMNS).where(ORDERS.c.id == bindparam("id"))


class OrderPage:
    """Pages of single orders, and the links that lead to them."""

    def __init__(self, kernel: Kernel) -> None:
        self.blueprint = Blueprint("order_page", __name__, url_prefix=PREFIX)
        self._kernel = kernel
        self._retention = timedelta(days=kernel.settings.retention_days)
        self.is_on = kernel.settings.order_pages == "on"
        self._links = Links(ServiceKeys(kernel))
        # What stands before the token in a link (in its path, without a public address), and below
        # which address and blueprint it does.
        self._place: tuple[tuple[str, str | None], str] = (("", ""), "")
        self._html = Html(self.blueprint, kernel)
        for rule in ("/<token>", "/<path:token>"):
            self.blueprint.add_url_rule(
                rule, view_func=self.show_page, provide_automatic_options=False
            )
        for kind in DATABASE_ERRORS:
            self.blueprint.register_error_handler(kind, self.apologise)

    def prepare(self) -> None:
        """Read what links are signed with. Before an order is stored: after that, nothing fails."""
        if self.is_on:
            self._links.prepare()

    def named(self, order_id: str) -> dict[str, str]:
        """Return the member ``page`` of an answer, which has none while pages are off."""
        return {"page": self.link(order_id)} if self.is_on else {}

    def named_each(self, order_ids: Sequence[str]) -> list[dict[str, str]]:
        """Return what `named` does for each of several orders, in less time."""
        if not (self.is_on and order_ids):
            return [{} for _ in order_ids]
        link = self.link(order_ids[0])
        place = link.removesuffix(self._links.token(order_ids[0]))
        return [{"page": place + self._links.token(one)} for one in order_ids]

    def link(self, order_id: str) -> str:
        """Return the address of this order's page, the same each time.

        Within a request whose host is known: see `kernel.views.http.hosts`.
        """
        token = self._links.token(order_id)
        public_url = self._kernel.settings.public_url
        around, place = self._place
        if around != (request.script_root, request.blueprint):
            around = (request.script_root, request.blueprint)
            place = beside("order_page.show_page", token=token).removesuffix(token)
            if public_url:
                place = published(public_url, place)
            self._place = (around, place)
        seen = "" if public_url else f"{'https' if is_https() else 'http'}://{request.host}"
        return f"{seen}{place}{token}"

    def show_page(self, token: str) -> Response:
        """GET /o/{token}: how far the order is, or its outcome."""
        order_id = self._links.order_id(token)
        found = None if order_id is None else self._find(order_id)
        if found is None:
            return self._answer("order_page/unknown.html", 404)
        order, children = found
        handler = self._kernel.handlers.get(order.select_tag)
        title = None if handler is None else self._title(handler, str(order_id))
        shown = describe(order, children, handler) | {"title": title}
        return self._answer("order_page/order.html", 200, **shown)

    def _title(self, handler: Handler, order_id: str) -> dict[Language, str] | None:
        """Return what the handler calls this order, by language; a question more if it does."""
        if handler.title is None:
            return None
        with self._kernel.read() as connection:
            args = connection.scalar(_ARGS, {"id": order_id})
        return _in_each(lambda language: handler.title_of(args or "{}", language))

    def apologise(self, error: Exception) -> Response:
        """Answer while the database is away. Raises ``error`` when it is something else."""
        if not is_unavailable(error):
            raise error
        answer = self._answer("order_page/away.html", 503)
        answer.headers["Retry-After"] = str(RELOAD_SECONDS)
        return answer

    def _find(self, order_id: str) -> tuple[Row[Any], dict[str, int]] | None:
        """Return an order that is kept, and the number of its children in each state."""
        with self._kernel.read() as connection:
            found = connection.execute(_LOOK, {"id": order_id}).one_or_none()
            has = found is not None and bool((found.gates or 0) & Has.CHILDREN)
            children = count_children(connection, order_id) if has else {}
        if found is None:
            return None
        oldest = self._kernel.clock.now() - self._retention
        is_kept = found.finished_at is None or found.finished_at >= oldest
        return (found, children) if is_kept else None

    def _answer(self, template: str, status: int, **shown: Any) -> Response:
        answer = self._html.render(template, status, reload_seconds=RELOAD_SECONDS, **shown)
        answer.headers.update(HEADERS)
        return answer


def describe(
    order: Row[Any], children: Mapping[str, int], handler: Handler | None = None
) -> dict[str, Any]:
    """Say what the page shows of an order: its state, how far it is, and its outcome.

    In the words of its handler, where that has some for this result.
    """
    state, result = OrderState(order.state), json.loads(order.result or "{}")
    says = None
    if handler is not None and order.result is not None:
        says = _in_each(lambda language: handler.said_of(result, language))
    return {
        "tag": order.select_tag,
        "is_batch": order.select_tag == BATCH_TAG,
        "reference": order.reference,
        "state": state,
        "final": state.is_final,
        "created_at": order.created_at,
        "finished_at": order.finished_at,
        "progress": progress(order, state, children),
        "message": _message(order),
        "says": says,
        "result": [] if says else list(_members(result)),
    }


def _in_each(say: Callable[[Language], str | None]) -> dict[Language, str] | None:
    """Return what is said in each language; None where there are no words."""
    found = {language: say(language) for language in LANGUAGES.values()}
    words = {language: said for language, said in found.items() if said is not None}
    return words if words.keys() == found.keys() else None


def _message(order: Row[Any]) -> dict[Language, str] | None:
    """What is said of the outcome, by language: our own words in each, a handler's as they are.

    None when that is no more than the name of the state.
    """
    if order.message is None or order.message in TEXTS[order.state].values():
        return None
    known = TEXTS.get(order.error_code or "", {})
    if order.message in known.values():
        return known
    return {"en": order.message, "zh": order.message}


def progress(
    order: Row[Any] | Order, state: OrderState, children: Mapping[str, int] | None = None
) -> dict[str, Any]:
    """Say how far an order is: ``percent`` is None where it is unknown.

    An order that tells no progress of its own is as far as its ``children``, given by their states.
    """
    current, total = order.progress_current or 0, order.progress_total
    if children and order.progress_current is None:
        current, total = count_ended(children), sum(children.values())
    percent = None
    if state is OrderState.SUCCESS:
        percent = 100
    elif total:
        percent = max(0, min(100, 100 * current // total))
    elif state is not OrderState.RUNNING:
        percent = 0
    return {"percent": percent, "current": current, "total": total, "note": order.progress_note}


def _members(result: dict[str, Any]) -> Iterator[tuple[str, str, bool]]:
    """Yield name, text, and whether it is a block of its own, for each member of a result."""
    for name, value in result.items():
        if isinstance(value, str):
            yield name, value, "\n" in value
        elif isinstance(value, list | dict) and value:
            yield name, json.dumps(value, ensure_ascii=False, indent=2), True
        else:
            yield name, json.dumps(value, ensure_ascii=False), False
