"""The JSON in which the API describes rows: orders, deliveries, attempts."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Row

from kernel.db.states import DeliveryState, OrderState, Priority, StepState
from kernel.db.tables.deliveries import Attempt, Delivery
from kernel.db.tables.orders import Order
from kernel.formats.envelope import envelope, error_data, rfc3339
from kernel.formats.texts import Language, text
from kernel.handlers.registering.secret_fields import MASK


def order_envelope(
    order: Order,
    language: Language,
    deliveries: Iterable[Delivery] | None = None,
    gate: Mapping[str, Any] | None = None,
    steps: Iterable[Row[Any]] = (),
) -> dict[str, Any]:
    """Describe an order as `GET /v1/orders/{id}` does; with its deliveries when given.

    ``gate``: what `kernel.orders.gates.shown` says of it. Of steps a caller is told how they
    stand, without results and errors: those are between the handler and the operator.
    """
    state = OrderState(order.state).on_wire
    msg = order.message if order.message is not None else text(state, language)
    data = order_data(order, gate)
    if deliveries is not None:
        data["deliveries"] = [delivery_data(delivery) for delivery in deliveries]
    if told := [step_data(step) for step in steps]:
        data["steps"] = told
    return envelope(state.wire_status, msg, data)


def order_data(order: Order, gate: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Describe an order with its arguments, and its result if it has one."""
    data = order_summary(order, gate) | {"args": json.loads(order.args)}
    if order.error_code is None and order.finished_at is not None:
        data["result"] = json.loads(order.result or "{}")
    return data


def order_summary(order: Order | Row[Any], gate: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Describe an order without its arguments and result, which may be large.

    ``gate``: what `kernel.orders.gates.shown` says of it.
    """
    data: dict[str, Any] = {
        "order_id": order.id,
        "reference": order.reference,
        "select_tag": order.select_tag,
        "state": OrderState(order.state).on_wire,
        "priority": Priority(order.priority).word,
        "callback_url": order.callback_url or None,
        "created_at": rfc3339(order.created_at),
        "started_at": rfc3339(order.started_at),
        "finished_at": rfc3339(order.finished_at),
    }
    for name in ("not_before", "not_after"):
        if (moment := getattr(order, name)) is not None:
            data[name] = rfc3339(moment)
    data |= gate or {}
    if "children" in data:
        data["children"] = _on_wire(data["children"])
    if order.progress_current is not None or order.finished_at is None:
        data["progress"] = {
            "current": order.progress_current or 0,
            "total": order.progress_total,
            "note": order.progress_note,
        }
    if order.error_code is not None:
        data["error"] = error_data(order.error_code, order.message)
    return data


def _on_wire(counts: Mapping[str, int]) -> dict[str, int]:
    """Return numbers of orders by their states, by the states that callers are told."""
    told = Counter[str]()
    for state, number in counts.items():
        told[OrderState(state).on_wire.value] += number
    return dict(told)


def step_state(step: Row[Any]) -> StepState:
    """Return how a step stands."""
    if step.done_at is not None:
        return StepState.DONE
    if step.attempts == 0:
        return StepState.PENDING
    return StepState.BEGUN if step.duration_ms is None else StepState.FAILED


def step_data(step: Row[Any]) -> dict[str, Any]:
    """Describe a step without its result and its error."""
    return {
        "name": step.name,
        "state": step_state(step),
        "attempts": step.attempts,
        "started_at": rfc3339(step.started_at),
        "duration_ms": step.duration_ms,
    }


def step_details(step: Row[Any]) -> dict[str, Any]:
    """Describe a step as operators see it; a secret result is masked."""
    result: Any = None
    if step.result is not None:
        result = json.loads(step.result)
    elif step.done_at is not None:
        result = MASK
    return step_data(step) | {"error": step.error, "result": result}


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


def event_data(event: Row[Any]) -> dict[str, Any]:
    """Describe what an order was told. The data are a stranger's: escape them where shown."""
    return {
        "name": event.name,
        "data": json.loads(event.data),
        "told_by": event.told_by,
        "told_at": rfc3339(event.told_at),
    }


def attempt_data(attempt: Attempt) -> dict[str, Any]:
    """Describe an attempt. Excerpt and judged are hostile texts: escape them where shown."""
    return {
        "number": attempt.number,
        "started_at": rfc3339(attempt.started_at),
        "duration_ms": attempt.duration_ms,
        "status": attempt.status,
        "reason": attempt.reason,
        "phases": json.loads(attempt.phases),
        "excerpt": attempt.excerpt,
        "judged": attempt.judged,
    }
