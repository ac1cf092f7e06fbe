"""The JSON in which the API describes rows: orders, deliveries, attempts."""

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Row

from kernel.db.states import DeliveryState, OrderState
from kernel.db.tables.deliveries import Attempt, Delivery
from kernel.db.tables.orders import Order
from kernel.formats.envelope import envelope, error_data, rfc3339
from kernel.formats.texts import Language, text


def order_envelope(
    order: Order, language: Language, deliveries: Iterable[Delivery] | None = None
) -> dict[str, Any]:
    """Describe an order as `GET /v1/orders/{id}` does; with its deliveries when given."""
    state = OrderState(order.state)
    msg = order.message if order.message is not None else text(state, language)
    data = order_data(order)
    if deliveries is not None:
        data["deliveries"] = [delivery_data(delivery) for delivery in deliveries]
    return envelope(state.wire_status, msg, data)


def order_data(order: Order) -> dict[str, Any]:
    """Describe an order with its arguments, and its result if it has one."""
    data = order_summary(order) | {"args": json.loads(order.args)}
    if order.error_code is None and order.finished_at is not None:
        data["result"] = json.loads(order.result or "{}")
    return data


def order_summary(order: Order | Row[Any]) -> dict[str, Any]:
    """Describe an order without its arguments and result, which may be large."""
    data: dict[str, Any] = {
        "order_id": order.id,
        "select_tag": order.select_tag,
        "state": order.state,
        "callback_url": order.callback_url,
        "created_at": rfc3339(order.created_at),
        "started_at": rfc3339(order.started_at),
        "finished_at": rfc3339(order.finished_at),
    }
    if order.progress_current is not None or order.finished_at is None:
        data["progress"] = {
            "current": order.progress_current or 0,
            "total": order.progress_total,
            "note": order.progress_note,
        }
    if order.error_code is not None:
        data["error"] = error_data(order.error_code, order.message)
    return data


def delivery_data(delivery: Delivery) -> dict[str, Any]:
    """Describe a delivery without its body; `died_of` is there when it is dead.

    It is None where a release that kept no reasons gave it up.
    """
    data = {
        "delivery_id": delivery.id,
        "state": delivery.state,
        "attempt_count": delivery.attempt,
        "next_attempt_at": rfc3339(delivery.next_attempt_at)
        if delivery.finished_at is None
        else None,
        "finished_at": rfc3339(delivery.finished_at),
    }
    if delivery.state == DeliveryState.DEAD:
        data["died_of"] = delivery.died_of
    return data


def attempt_data(attempt: Attempt) -> dict[str, Any]:
    """Describe an attempt. The excerpt is hostile text: escape it where it is shown."""
    return {
        "number": attempt.number,
        "started_at": rfc3339(attempt.started_at),
        "duration_ms": attempt.duration_ms,
        "status": attempt.status,
        "reason": attempt.reason,
        "phases": json.loads(attempt.phases),
        "excerpt": attempt.excerpt,
    }
