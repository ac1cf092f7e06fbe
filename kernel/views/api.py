"""The API under /v1: orders and their deliveries.

``celery -A kernel.views.api worker`` finds its application here, as in the original system.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any

from flask import Blueprint, Response, request, url_for
from pydantic import AfterValidator, AwareDatetime, BaseModel, Field, ValidationError
from werkzeug.exceptions import MethodNotAllowed

from kernel.callers.identity import Scope
from kernel.db.ids import ID
from kernel.db.states import OrderState
from kernel.delivery.redeliver import get_delivery, list_attempts, list_deliveries, redeliver
from kernel.errors import InvalidQuery, NotFound
from kernel.formats.envelope import envelope
from kernel.formats.order_request import problem
from kernel.formats.representations import (
    attempt_data,
    delivery_data,
    order_envelope,
    order_summary,
)
from kernel.formats.strictjson import escape_pointer
from kernel.formats.texts import text
from kernel.orders.cancel import cancel
from kernel.orders.pages import MAX_PAGE, PAGE, OrderFilter, get_order, list_orders
from kernel.orders.transitions import ending
from kernel.runtime.hints import Hints
from kernel.runtime.kernel import Kernel
from kernel.views.http.credentials import identity, orderer
from kernel.views.http.errors import json_response
from kernel.views.http.requests import accept, read_members
from kernel.views.order_page import OrderPage
from kernel.views.pauses import PauseViews
from kernel.worker.celery_app import make_worker

RETRY_AFTER = {"Retry-After": "1"}
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("no calendar has this moment in UTC") from None


Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]


class ListQuery(BaseModel, extra="forbid"):
    """The query string of GET /v1/orders."""

    state: OrderState | None = None
    select_tag: str | None = Field(None, max_length=100, pattern=r"^[!-~]*$")
    since: Moment | None = None
    until: Moment | None = None
    cursor: str | None = Field(None, pattern=f"^{ID.pattern}$")
    limit: int = Field(PAGE, ge=1, le=MAX_PAGE)

    def filter(self) -> OrderFilter:
        """Return what the stage understands."""
        return OrderFilter(
            self.state, self.select_tag, self.since, self.until, self.cursor, self.limit
        )


class Api:
    """The views, bound to one kernel; hints and results go out after the commit."""

    def __init__(self, kernel: Kernel, hints: Hints, pages: OrderPage) -> None:
        self.kernel = kernel
        self.hints = hints
        self.pages = pages
        self.language = kernel.settings.language

    def submit_order(self) -> Response:
        """POST /v1/orders: 202 and the order's place, once its row is committed."""
        who = orderer(self.kernel)
        members = read_members(self.kernel.settings.max_body_bytes)
        self.pages.prepare()
        accepted = accept(self.kernel, who, members)
        self.hints.hint([accepted.order_id])
        place = {"Location": url_for(".show_order", order_id=accepted.order_id)}
        if accepted.replayed:
            answer = self._order(who.sees, accepted.order_id)
            answer.headers.update(place | {"Idempotency-Replayed": "true"})
            return answer
        state = OrderState.PENDING
        data = {"order_id": accepted.order_id, "select_tag": members["select_tag"], "state": state}
        data["page"] = self.pages.link(accepted.order_id)
        body = envelope(state.wire_status, text(state, self.language), data)
        return json_response(202, body, place | RETRY_AFTER)

    def show_order(self, order_id: str) -> Response:
        """GET /v1/orders/{id}: 202 while unfinished, 200 with the outcome when finished."""
        return self._order(identity(self.kernel, Scope.READ).sees, order_id)

    def show_orders(self) -> Response:
        """GET /v1/orders: the caller's own, newest first, in pages."""
        who = identity(self.kernel, Scope.READ)
        wanted = _query().filter()
        with self.kernel.read_session() as session:
            orders = list_orders(session, who.sees, wanted)
            items = [order_summary(order) for order in orders]
        more = len(orders) == wanted.limit
        return self._success({"orders": items, "next_cursor": orders[-1].id if more else None})

    def cancel_order(self, order_id: str) -> Response:
        """POST /v1/orders/{id}/cancel: 200 when cancelled, 202 when the handler must see it."""
        who = identity(self.kernel, Scope.WRITE)
        state = cancel(self.kernel, who.sees, order_id)
        if state is OrderState.CANCELLED:
            self.hints.finished(order_id, ending(self.kernel, "cancelled"))
        return self._order(who.sees, order_id)

    def show_deliveries(self, order_id: str) -> Response:
        """GET /v1/orders/{id}/deliveries: with every attempt inside."""
        who = identity(self.kernel, Scope.READ)
        with self.kernel.read_session() as session:
            get_order(session, who.sees, order_id)
            deliveries = list_deliveries(session, order_id)
            attempts = list_attempts(session, [one.id for one in deliveries])
            items = [
                delivery_data(one) | {"attempts": list(map(attempt_data, attempts[one.id]))}
                for one in deliveries
            ]
        return self._success({"deliveries": items})

    def redeliver_delivery(self, delivery_id: str) -> Response:
        """POST /v1/deliveries/{id}/redeliver: due now, unless an attempt is in flight."""
        who = identity(self.kernel, Scope.WRITE)
        changed = redeliver(self.kernel, who.sees, delivery_id)
        with self.kernel.read_session() as session:
            delivery = get_delivery(session, who.sees, delivery_id)
            data = delivery_data(delivery) | {"redelivered": changed}
        return self._success(data, status=202)

    def refuse(self, **_: str) -> Response:
        """Any other address below ours: 404, for callers alone to know."""
        identity(self.kernel, Scope.READ)
        raise NotFound

    def _order(self, caller_id: int | None, order_id: str) -> Response:
        with self.kernel.read_session() as session:
            order = get_order(session, caller_id, order_id)
            body = order_envelope(order, self.language, list_deliveries(session, order_id))
        body["data"]["page"] = self.pages.link(order_id)
        if OrderState(order.state).is_final:
            return json_response(200, body)
        return json_response(202, body, RETRY_AFTER)

    def _success(self, data: dict[str, Any], status: int = 200) -> Response:
        return json_response(status, envelope(0, text("success", self.language), data))


def api_blueprint(kernel: Kernel, hints: Hints, pages: OrderPage) -> Blueprint:
    """Build the blueprint of the API for ``kernel``; ``pages`` makes the links to orders' pages.

    What lies below its addresses, and methods they do not have, are its own too: an application
    that mounts it would otherwise answer those in words of its own.
    """
    api, pauses = Api(kernel, hints, pages), PauseViews(kernel)
    blueprint = Blueprint("api", __name__, url_prefix="/v1")
    views: dict[str, dict[str, Callable[..., Response]]] = {
        "/orders": {"POST": api.submit_order, "GET": api.show_orders},
        "/orders/<order_id>": {"GET": api.show_order},
        "/orders/<order_id>/cancel": {"POST": api.cancel_order},
        "/orders/<order_id>/deliveries": {"GET": api.show_deliveries},
        "/deliveries/<delivery_id>/redeliver": {"POST": api.redeliver_delivery},
        "/deliveries/replay": {"POST": pauses.replay_deliveries},
        "/pauses": {"GET": pauses.show_pauses, "POST": pauses.pause},
        "/pauses/<pause_id>": {"DELETE": pauses.resume},
        "/orders/<path:below>": dict.fromkeys(METHODS, api.refuse),
        "/deliveries/<path:below>": dict.fromkeys(METHODS, api.refuse),
        "/pauses/<path:below>": dict.fromkeys(METHODS, api.refuse),
    }
    for rule, by_method in views.items():
        _add(blueprint, rule, by_method)
    return blueprint


def _add(blueprint: Blueprint, rule: str, views: dict[str, Callable[..., Response]]) -> None:
    """Route ``rule`` by method, and answer the methods it does not have."""
    add = partial(blueprint.add_url_rule, rule, provide_automatic_options=False)
    for method, view in views.items():
        add(view_func=view, methods=[method])
    others = METHODS - set(views) - ({"HEAD"} if "GET" in views else set())
    if others:

        def refuse_method(**_: str) -> Response:
            raise MethodNotAllowed(sorted(METHODS - others))

        add(f"other methods of {rule}", refuse_method, methods=others)


def _query() -> ListQuery:
    """Read the query string strictly. Raises InvalidQuery with pointers."""
    given = request.args.to_dict(flat=False)
    problems = [
        problem(f"/{escape_pointer(name)}", "repeated", "give it once")
        for name, values in given.items()
        if len(values) > 1
    ]
    if problems:
        raise InvalidQuery(errors=problems)
    try:
        return ListQuery.model_validate_strings(request.args.to_dict())
    except ValidationError as error:
        problems = [
            problem(f"/{escape_pointer(found['loc'][0])}", found["type"], found["msg"])
            for found in error.errors()
        ]
        raise InvalidQuery(errors=problems) from None


def __getattr__(name: str) -> Any:
    """Make ``celery``, the worker's application of KERNEL_* and kernel.toml, on first use."""
    if name != "celery":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()["celery"] = make_worker(Kernel.from_env())
    return globals()["celery"]
