"""An order as an operator reads it: in a terminal, as a file, with why it stands as it does."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from kernel.callers.audit.search import act_data
from kernel.callers.profile import profiles_of
from kernel.db.tables.audit import ACTS
from kernel.db.tables.callers import Caller
from kernel.db.tables.deliveries import Delivery
from kernel.delivery.redeliver import list_attempts, list_deliveries
from kernel.formats.durations import Spans
from kernel.formats.envelope import rfc3339
from kernel.formats.representations import (
    attempt_data,
    delivery_data,
    event_data,
    order_data,
    step_details,
)
from kernel.insight.failures.runs import run_data, runs_of
from kernel.insight.standing.as_sent import Replica, Request
from kernel.insight.standing.look import Look
from kernel.insight.standing.sentences import how_attempt_ended, why_callback, why_work
from kernel.insight.standing.words import Words, said
from kernel.orders.gates.events import events_of
from kernel.orders.gates.shown import gate_shown
from kernel.orders.pages import get_order
from kernel.runs.recorded import list_steps, rerun_of
from kernel.runtime.kernel import Kernel

# The most acts that are read of one order.
ACTS_SHOWN = 100
# What of a run only operators read.
_OF_OPERATORS = ("error_type", "place", "message", "traceback")


def described(
    kernel: Kernel, session: Session, order_id: str, *, tells_errors: bool = True
) -> dict[str, Any]:
    """Describe an order with all that belongs to it. Raises NotFound.

    ``tells_errors``: also the exceptions of its runs and steps, which viewers do not read.
    """
    order, t = get_order(session, None, order_id), Words("en")
    gate = gate_shown(session, order)
    look, acts = Look(kernel, session, order, gate), acts_on(session, order_id)
    of = {
        "rerun_of": rerun_of(session, order),
        "runs": [_run(one, tells_errors) for one in map(run_data, runs_of(session, order))],
        "steps": [
            _step(one, tells_errors) for one in map(step_details, list_steps(session, order))
        ],
        "events": [event_data(one) for one in events_of(session, order_id)] if order.gates else [],
        "acts": [_act(one) for one in acts],
    }
    return (
        order_data(order, gate)
        | {"why": said(t, why_work(look.work()))}
        | {"caller": session.get_one(Caller, order.caller_id).name}
        | {"idempotency_key": order.idempotency_key, "request_id": order.request_id}
        | {name: value for name, value in of.items() if value}
        | {"deliveries": _deliveries(look, t, acts)}
    )


def explain(look: Look, data: dict[str, Any], deliveries: Sequence[Delivery], t: Spans) -> None:
    """Add ``why`` to an order's JSON, and to those of its ``deliveries`` that it has."""
    data["why"] = said(t, why_work(look.work()))
    for one, shown in zip(deliveries, data.get("deliveries", ()), strict=False):
        shown["why"] = said(t, why_callback(look.callback(one)))


def acts_on(session: Session, order_id: str) -> list[dict[str, Any]]:
    """Return what people did to an order and its callbacks, the first first."""
    deliveries = [f"delivery {one.id}" for one in list_deliveries(session, order_id)]
    query = select(ACTS).where(ACTS.c.target.in_([f"order {order_id}", *deliveries]))
    rows = session.execute(query.order_by(ACTS.c.id.desc()).limit(ACTS_SHOWN)).all()
    return [act_data(row) for row in reversed(rows)]


def acts_of(acts: Sequence[dict[str, Any]], delivery_id: str) -> list[dict[str, Any]]:
    """Return those of these acts that were done to a callback."""
    return [one for one in acts if one["target"] == f"delivery {delivery_id}"]


def _deliveries(look: Look, t: Spans, acts: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    session, order = look.session, look.order
    deliveries = list_deliveries(session, order.id)
    attempts = list_attempts(session, [one.id for one in deliveries])
    connection, found = session.connection(), []
    for one in deliveries:
        profile = profiles_of(connection, [one.caller_id], look.now)[one.caller_id]
        replica = Replica(order, one, profile, acts_of(acts, one.id))
        tried = [
            attempt_data(each)
            | {"ended": said(t, how_attempt_ended(each.reason, each.status))}
            | {"sent": _sent(replica.of(each))}
            for each in attempts[one.id]
        ]
        why = said(t, why_callback(look.callback(one)))
        found.append(delivery_data(one) | {"url": one.url, "why": why, "attempts": tried})
    return found


def _sent(request: Request) -> dict[str, Any]:
    """Describe what an attempt has sent; a value of None is a secret, or was not kept."""
    if request.refused:
        return {"refused": request.refused}
    return {
        "method": request.method,
        "url": request.url,
        "headers": dict(request.headers),
        "body": request.text,
        "notes": list(request.notes),
    }


def _run(run: Any, tells_errors: bool) -> dict[str, Any]:
    hidden = {} if tells_errors else dict.fromkeys(_OF_OPERATORS)
    return {**run, **hidden}


def _step(step: dict[str, Any], tells_errors: bool) -> dict[str, Any]:
    return step if tells_errors else step | {"error": None}


def _act(act: dict[str, Any]) -> dict[str, Any]:
    """Describe an act without where it came from: addresses and keys are the audit trail's."""
    shown = {name: act[name] for name in ("actor", "via", "verb", "target", "before", "after")}
    return {"at": rfc3339(act["at"])} | shown | {"reason": act["reason"]}
