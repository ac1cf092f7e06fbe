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

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from flask import Blueprint, Response, g, request, url_for

from kernel.db.statements.keyset import Budget
from kernel.delivery.redeliver import BATCH
from kernel.errors import Forbidden
from kernel.insight.delivery_search import PAGE
from kernel.insight.order_search import BUDGET
from kernel.runtime.hints import Hints
from kernel.runtime.kernel import Kernel
from kernel.views.html.rendering import FORM_BYTES, Html, go_to
from kernel.views.html.texts import TEXTS
from kernel.views.http.origin import refuse_other_sites
from kernel.views.http.sessions import Sessions, Visitor

View = Callable[..., Response]
Add = Callable[[View], View]
DONE = "done_"
# What all visitors look at is asked for at most every 1.5 s, and takes at most a tenth of the time.
LIVE_SECONDS, LIVE_SHARE = 1.5, 10


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one request may do."""

    # What a search for orders may read when no index answers its filter.
    search: Budget = BUDGET
    # Deliveries on a page.
    deliveries: int = PAGE
    # A replay of many deliveries goes on in steps of this length, each a request of its own.
    step_seconds: float = 1.0
    # Deliveries that one transaction of a replay makes due.
    replay_batch: int = BATCH


LIMITS = Limits()


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
        self.html = Html(blueprint, kernel)

    def page(self, rule: str) -> Add:
        """Route GETs of ``rule`` to a view that is given the visitor first; signed in, or 401."""

        def add(view: View) -> View:
            @wraps(view)
            def guarded(**values: Any) -> Response:
                return view(self._visitor(), **values)

            self._add(rule, guarded, "GET")
            return view

        return add

    def change(self, rule: str) -> Add:
        """Route POSTs of ``rule`` to a view that changes something.

        From our own pages alone, with the session's token, and not while read-only: else 403.
        """

        def add(view: View) -> View:
            @wraps(view)
            def guarded(**values: Any) -> Response:
                visitor = self.check_change()
                if not visitor.may_change:
                    raise Forbidden("the dashboard is read-only", page="is_read_only")
                return view(visitor, **values)

            self._add(rule, guarded, "POST")
            return view

        return add

    def check_change(self) -> Visitor:
        """Return who sent this form. Raises Unauthenticated, or Forbidden for a forged one."""
        refuse_other_sites()
        request.max_content_length = FORM_BYTES
        visitor = self._visitor()
        self.sessions.check_token(visitor)
        return visitor

    def render(self, template: str, status: int = 200, **context: Any) -> Response:
        """Render a template with what every page knows: the visitor, and what was just done."""
        done = request.args.get("done", "")
        if not (done.startswith(DONE) and done in TEXTS):
            done = ""
        known = {"visitor": g.get("kernel_visitor"), "done": done}
        return self.html.render(template, status, **known, **context)

    def back(self, endpoint: str, done: str = "", **values: Any) -> Response:
        """Answer a change: go to the page ``endpoint``, which says ``done``, the key of a text."""
        return go_to(url_for(f".{endpoint}", done=done or None, **values))

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
