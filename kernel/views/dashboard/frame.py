"""The frame of the dashboard's pages: sessions, templates, and answers to forms.

def pages(frame: Frame) -> None:
    @frame.page("/orders")
    def orders(visitor: Visitor) -> Response:
        return frame.render("dashboard/orders.html", found=...)

    @frame.change("/orders/<order_id>/cancel")
    def cancel_order(visitor: Visitor, order_id: str) -> Response:
        ...
        return frame.back("order", "done_cancelled", order_id=order_id)
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any, Self

from flask import Blueprint, Response, g, url_for
from werkzeug.exceptions import BadRequest

from kernel.callers.audit.acts import By
from kernel.callers.people.roles import Role
from kernel.db.errors import DATABASE_ERRORS
from kernel.db.statements.keyset import Budget
from kernel.errors import Forbidden
from kernel.insight.conditions.known import open_troubles
from kernel.insight.search.deliveries import PAGE
from kernel.insight.search.orders import BUDGET
from kernel.runtime.hints import Hints
from kernel.runtime.kernel import Kernel
from kernel.runtime.single_flight import SingleFlightCache
from kernel.views.dashboard import flash
from kernel.views.html.live import as_part
from kernel.views.html.rendering import FORM_BYTES, Html, go_to, is_fragment, published
from kernel.views.http.acting import by_page
from kernel.views.http.origin import refuse_other_sites
from kernel.views.http.requests import limit_body
from kernel.views.http.sessions import Sessions, Visitor

View = Callable[..., Response]
Add = Callable[[View], View]
# The pages of the header, by their endpoints, with the role that sees them.
NAVIGATION = (
    ("overview", Role.VIEWER),
    ("orders", Role.VIEWER),
    ("deliveries", Role.VIEWER),
    ("errors", Role.VIEWER),
    ("work_page", Role.VIEWER),
    ("receivers", Role.VIEWER),
    ("callers", Role.VIEWER),
    ("pauses", Role.VIEWER),
    ("trends_page", Role.VIEWER),
    ("bulk_list", Role.VIEWER),
    ("schedules", Role.VIEWER),
    ("notices", Role.VIEWER),
    ("people_page", Role.ADMIN),
    ("audit", Role.ADMIN),
)
# What all visitors look at is asked for at most every 1.5 s, and takes at most a tenth of the time.
LIVE_SECONDS, LIVE_SHARE = 1.5, 10
COUNTING = Budget(first=500, largest=2000, seconds=0.01, rows=10_000)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one request may do."""

    # What a search for orders may read when no index answers its filter.
    search: Budget = BUDGET
    # A count by groups beside a list may read so much; then it says "at least".
    counting: Budget = COUNTING
    # Deliveries on a page.
    deliveries: int = PAGE


LIMITS = Limits()


class FormRefused(BadRequest):
    """What a form or an address holds is not taken; the description says what, in words."""

    @classmethod
    def by_field(cls, wrong: Mapping[str, str]) -> Self:
        """Say what is wrong with each of these fields."""
        return cls("; ".join(f"{name}: {why}" for name, why in wrong.items()))


def refuse_below(role: Role, visitor: Visitor) -> None:
    """Raise Forbidden for a visitor whose role does not include ``role``."""
    if not visitor.role.includes(role):
        words = f"the role of {visitor.name} is {visitor.role}, and this needs {role}"
        raise Forbidden(words, page=f"needs_{role}")


class Frame:
    """One kernel's dashboard: its blueprint, its sessions, its templates."""

    def __init__(
        self, kernel: Kernel, hints: Hints, blueprint: Blueprint, limits: Limits = LIMITS
    ) -> None:
        self.limits = limits
        self.kernel = kernel
        self.hints = hints
        self.blueprint = blueprint
        self.sessions = Sessions(kernel)
        self._troubles = SingleFlightCache[int](LIVE_SECONDS, share=LIVE_SHARE)
        self.html = Html(blueprint, kernel)

    def page(self, rule: str, role: Role = Role.VIEWER) -> Add:
        """Route GETs of ``rule`` to a view that is given the visitor first.

        Signed in, or 401; of at least this role, or 403.
        """

        def add(view: View) -> View:
            @wraps(view)
            def guarded(**values: Any) -> Response:
                visitor = self._visitor()
                refuse_below(role, visitor)
                return view(visitor, **values)

            self._add(rule, guarded, "GET")
            return view

        return add

    def change(self, rule: str, role: Role = Role.OPERATOR) -> Add:
        """Route POSTs of ``rule`` to a view that changes something.

        From our own pages alone, with the session's token, by at least this role, and not while
        read-only: else 403.
        """

        def add(view: View) -> View:
            @wraps(view)
            def guarded(**values: Any) -> Response:
                visitor = self.check_change()
                refuse_below(role, visitor)
                if visitor.read_only:
                    raise Forbidden("the dashboard is read-only", page="is_read_only")
                return view(visitor, **values)

            self._add(rule, guarded, "POST")
            return view

        return add

    def check_change(self) -> Visitor:
        """Return who sent this form. Raises Unauthenticated, or Forbidden for a forged one."""
        refuse_other_sites()
        limit_body(FORM_BYTES)
        visitor = self._visitor()
        self.sessions.check_token(visitor)
        return visitor

    def render(self, template: str, status: int = 200, **context: Any) -> Response:
        """Render a template with what every page knows: the visitor, and what was just done."""
        visitor = g.get("kernel_visitor")
        known = {"visitor": visitor, "done": flash.said(visitor), "navigation": NAVIGATION}
        answer = self.html.render(
            template, status, **known | {"trouble": self._trouble(visitor)} | context
        )
        flash.forget(answer)
        return as_part(answer) if is_fragment() and status == 200 else answer

    def _trouble(self, visitor: Visitor | None) -> int:
        """Return what the tab's title tells: how many conditions hold, as of the last sweep."""
        if visitor is None:
            return 0
        try:
            return self._troubles.get(self._count_troubles)
        except DATABASE_ERRORS:  # a page about the outage
            return 0

    def _count_troubles(self) -> int:
        with self.kernel.read() as connection:
            return open_troubles(connection)

    def back(self, endpoint: str, done: str = "", **values: Any) -> Response:
        """Answer a change: go to the page ``endpoint``, which says ``done``, the key of a text."""
        answer = go_to(url_for(f".{endpoint}", **values))
        flash.say_next(answer, g.get("kernel_visitor"), done)
        return answer

    def public_address(self, endpoint: str, **values: Any) -> str:
        """Return the address of the page ``endpoint`` under KERNEL_PUBLIC_URL, which is set."""
        return published(self.kernel.settings.public_url, url_for(f".{endpoint}", **values))

    def by(self, visitor: Visitor) -> By:
        """Return who changes something by a form, and why; see `kernel.views.http.acting`."""
        return by_page(self.kernel.settings, visitor.name, visitor.key_prefix)

    def add_open(self, rule: str, view: View, method: str) -> None:
        """Route ``rule`` to a view that needs no session."""
        self._add(rule, view, method)

    def _visitor(self) -> Visitor:
        g.kernel_visitor = self.sessions.visitor()
        found: Visitor = g.kernel_visitor
        return found

    def _add(self, rule: str, view: View, method: str) -> None:
        self.blueprint.add_url_rule(
            rule, view.__name__, view, methods=[method], provide_automatic_options=False
        )
