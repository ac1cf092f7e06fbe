"""GET /o/{signed link}: the page for the person who ordered. One order, and nothing else.

No sign-in: the link is the permission (see `kernel.views.http.links`). What is wrong with a link
is not told: a forged, foreign or expired one is answered like one that never was.
"""

import json
from collections.abc import Iterator
from typing import Any

from flask import Blueprint, Response, request
from sqlalchemy import Row, bindparam, select

from kernel.db.errors import DATABASE_ERRORS
from kernel.db.states import OrderState
from kernel.db.tables.orders import ORDERS, Order
from kernel.formats.texts import TEXTS, Language
from kernel.runtime.kernel import Kernel
from kernel.runtime.service_key import ServiceKeys
from kernel.views.html.rendering import Html, beside
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
_SHOWN = ("select_tag", "state", "created_at", "finished_at", "message", "error_code", "result")
_PROGRESS = ("progress_current", "progress_total", "progress_note")
_COLUMNS = (ORDERS.c[name] for name in (*_SHOWN, *_PROGRESS))
_LOOK = select(*_COLUMNS).where(ORDERS.c.id == bindparam("id"))


class OrderPage:
    """Pages of single orders, and the links that lead to them."""

    def __init__(self, kernel: Kernel) -> None:
        self.blueprint = Blueprint("order_page", __name__, url_prefix=PREFIX)
        self._kernel = kernel
        self._links = Links(ServiceKeys(kernel))
        self._html = Html(self.blueprint, kernel)
        for rule in ("/<token>", "/<path:token>"):
            self.blueprint.add_url_rule(
                rule, view_func=self.show_page, provide_automatic_options=False
            )
        for kind in DATABASE_ERRORS:
            self.blueprint.register_error_handler(kind, self.apologise)

    def prepare(self) -> None:
        """Read what links are signed with. Before an order is stored: after that, nothing fails."""
        self._links.prepare()

    def link(self, order_id: str) -> str:
        """Return the address of this order's page, the same each time. Within a request."""
        path = beside("order_page.show_page", token=self._links.token(order_id))
        seen = f"{'https' if is_https() else 'http'}://{request.host}"
        return (self._kernel.settings.public_url or seen).rstrip("/") + path

    def show_page(self, token: str) -> Response:
        """GET /o/{token}: how far the order is, or its outcome."""
        order_id = self._links.order_id(token)
        order = None if order_id is None else self._find(order_id)
        if order is None:
            return self._answer("order_page/unknown.html", 404)
        return self._answer("order_page/order.html", 200, **describe(order))

    def apologise(self, error: Exception) -> Response:
        """Answer while the database is away. Raises ``error`` when it is something else."""
        if not is_unavailable(error):
            raise error
        answer = self._answer("order_page/away.html", 503)
        answer.headers["Retry-After"] = str(RELOAD_SECONDS)
        return answer

    def _find(self, order_id: str) -> Row[Any] | None:
        with self._kernel.read() as connection:
            return connection.execute(_LOOK, {"id": order_id}).one_or_none()

    def _answer(self, template: str, status: int, **shown: Any) -> Response:
        answer = self._html.render(template, status, reload_seconds=RELOAD_SECONDS, **shown)
        answer.headers.update(HEADERS)
        return answer


def describe(order: Row[Any]) -> dict[str, Any]:
    """Say what the page shows of an order: its state, how far it is, and its outcome."""
    state = OrderState(order.state)
    return {
        "tag": order.select_tag,
        "state": state,
        "final": state.is_final,
        "created_at": order.created_at,
        "finished_at": order.finished_at,
        "progress": progress(order, state),
        "message": _message(order),
        "result": list(_members(json.loads(order.result or "{}"))),
    }


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


def progress(order: Row[Any] | Order, state: OrderState) -> dict[str, Any]:
    """Say how far an order is: ``percent`` is None where it is unknown."""
    current, total = order.progress_current or 0, order.progress_total
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
