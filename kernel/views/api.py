"""The API of DESIGN's wire: orders and deliveries under /v1.

Also where ``celery -A kernel.views.api worker`` finds its application, as in the original.
"""

from typing import Any

from flask import Blueprint, Response, request, url_for
from pydantic import AwareDatetime, BaseModel, Field, ValidationError
from sqlalchemy import select

from kernel.errors import InvalidOrder
from kernel.messages import text
from kernel.models import Attempt
from kernel.runtime import Kernel
from kernel.schemas import (
    STATUS,
    attempt_data,
    delivery_data,
    envelope,
    escape_pointer,
    order_data,
    order_envelope,
    problem,
)
from kernel.states import FINAL, OrderState, Outcome
from kernel.submit import (
    MAX_PAGE,
    PAGE,
    OrderFilter,
    cancel,
    get_delivery,
    get_order,
    list_deliveries,
    list_orders,
    redeliver,
    submit,
)
from kernel.tasks import Broker, make_worker
from kernel.views.errors import json_response
from kernel.views.requests import idempotency_key, identity, read_order

RETRY_AFTER = {"Retry-After": "1"}


class ListQuery(BaseModel, extra="forbid"):
    """The query string of GET /v1/orders."""

    state: OrderState | None = None
    select_tag: str | None = Field(None, max_length=100)
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    cursor: str | None = Field(None, max_length=36)
    limit: int = Field(PAGE, ge=1, le=MAX_PAGE)

    def filter(self) -> OrderFilter:
        """Return what the stage understands."""
        return OrderFilter(
            self.state, self.select_tag, self.since, self.until, self.cursor, self.limit
        )


class Api:
    """The views, bound to one kernel; hints and results go to its broker, after the commit."""

    def __init__(self, kernel: Kernel, broker: Broker) -> None:
        self.kernel = kernel
        self.broker = broker
        self.language = kernel.settings.language

    def submit_order(self) -> Response:
        """POST /v1/orders: 202 and the order's place, once its row is committed."""
        who = identity(self.kernel)
        order = read_order(self.kernel, who)
        accepted = submit(self.kernel, who, order, idempotency_key())
        self.broker.hint([accepted.order_id])
        place = url_for(".show_order", order_id=accepted.order_id)
        if accepted.replayed:
            answer = self._order(who.caller_id, accepted.order_id)
            answer.headers.update({"Location": place, "Idempotency-Replayed": "true"})
            return answer
        data = {
            "order_id": accepted.order_id,
            "select_tag": order.select_tag,
            "state": OrderState.PENDING,
        }
        body = envelope(STATUS[OrderState.PENDING], text("pending", self.language), data)
        return json_response(202, body, {"Location": place, **RETRY_AFTER})

    def show_order(self, order_id: str) -> Response:
        """GET /v1/orders/{id}: 202 while unfinished, 200 with the outcome when finished."""
        return self._order(identity(self.kernel).caller_id, order_id)

    def show_orders(self) -> Response:
        """GET /v1/orders: the caller's own, newest first, in pages."""
        who = identity(self.kernel)
        wanted = _query().filter()
        with self.kernel.reading() as session:
            orders = list_orders(session, who.caller_id, wanted)
            items = [order_data(order) for order in orders]
        more = len(orders) == wanted.limit
        return self._success({"orders": items, "next_cursor": orders[-1].id if more else None})

    def cancel_order(self, order_id: str) -> Response:
        """POST /v1/orders/{id}/cancel: 200 when cancelled, 202 when the handler must see it."""
        who = identity(self.kernel)
        state = cancel(self.kernel, who.caller_id, order_id)
        if state is OrderState.CANCELLED:
            outcome = Outcome(state, text("cancelled", self.language), error_code="cancelled")
            self.broker.finished(order_id, outcome)
        return self._order(who.caller_id, order_id)

    def show_deliveries(self, order_id: str) -> Response:
        """GET /v1/orders/{id}/deliveries: with every attempt inside."""
        who = identity(self.kernel)
        with self.kernel.reading() as session:
            get_order(session, who.caller_id, order_id)
            deliveries = list_deliveries(session, order_id)
            attempts: dict[str, list[dict[str, Any]]] = {one.id: [] for one in deliveries}
            query = select(Attempt).where(Attempt.delivery_id.in_(attempts)).order_by(Attempt.id)
            for attempt in session.scalars(query):
                attempts[attempt.delivery_id].append(attempt_data(attempt))
        items = [delivery_data(one) | {"attempts": attempts[one.id]} for one in deliveries]
        return self._success({"deliveries": items})

    def redeliver_delivery(self, delivery_id: str) -> Response:
        """POST /v1/deliveries/{id}/redeliver: due now, unless an attempt is in flight."""
        who = identity(self.kernel)
        changed = redeliver(self.kernel, who.caller_id, delivery_id)
        with self.kernel.reading() as session:
            delivery = get_delivery(session, who.caller_id, delivery_id)
            data = delivery_data(delivery) | {"redelivered": changed}
        return self._success(data, status=202)

    def _order(self, caller_id: int, order_id: str) -> Response:
        with self.kernel.reading() as session:
            order = get_order(session, caller_id, order_id)
            body = order_envelope(order, self.language, list_deliveries(session, order_id))
        if order.state in FINAL:
            return json_response(200, body)
        return json_response(202, body, RETRY_AFTER)

    def _success(self, data: dict[str, Any], status: int = 200) -> Response:
        return json_response(status, envelope(0, text("success", self.language), data))


def api_blueprint(kernel: Kernel, broker: Broker) -> Blueprint:
    """Build the blueprint of the API for ``kernel``."""
    api = Api(kernel, broker)
    blueprint = Blueprint("api", __name__, url_prefix="/v1")
    for method, rule, view in (
        ("POST", "/orders", api.submit_order),
        ("GET", "/orders", api.show_orders),
        ("GET", "/orders/<order_id>", api.show_order),
        ("POST", "/orders/<order_id>/cancel", api.cancel_order),
        ("GET", "/orders/<order_id>/deliveries", api.show_deliveries),
        ("POST", "/deliveries/<delivery_id>/redeliver", api.redeliver_delivery),
    ):
        blueprint.add_url_rule(rule, view_func=view, methods=[method])
    return blueprint


def _query() -> ListQuery:
    """Read the query string strictly. Raises InvalidOrder with pointers."""
    try:
        return ListQuery.model_validate_strings(request.args.to_dict())
    except ValidationError as error:
        problems = [
            problem(f"/{escape_pointer(found['loc'][0])}", found["type"], found["msg"])
            for found in error.errors()
        ]
        raise InvalidOrder(errors=problems) from None


def __getattr__(name: str) -> Any:
    """Make ``celery``, the worker's application of KERNEL_* and kernel.toml, on first use."""
    if name != "celery":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()["celery"] = make_worker(Kernel.from_env())
    return globals()["celery"]
