"""Every change of an order's state is written here, and nowhere else.

`TAKE` makes a pending order running (`kernel.runs.claim`). `end_order` writes an outcome together
with the callback it owes. `leave_running` writes what `decide` says when a run ends without an
outcome. All of them are conditional: they change nothing, and say so, when the row no longer
stands as the caller saw it. The caller commits.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, delete, exists, func, insert, null, select, update
from sqlalchemy.orm import Session

from kernel.db.columns import UTCDateTime
from kernel.db.ids import new_id
from kernel.db.statements.prepared import Prepared
from kernel.db.states import Claim, OrderState, Outcome
from kernel.db.tables.deliveries import DELIVERIES, OutboxRow
from kernel.db.tables.orders import FENCE, ORDERS, RUN_MARKS, SNAPSHOT, OrderSnapshot
from kernel.db.transactions import rowcount
from kernel.formats.envelope import TRANSACTION_ENDED, callback_body, cut
from kernel.formats.texts import text
from kernel.formats.tracecontext import UNTRACED, Trace
from kernel.orders.decide import Again, Ended, Exit, Standing, decide
from kernel.runtime.kernel import Kernel
from kernel.transport.addresses import origin_of

# Statements of the hot paths are made once: building one costs more than running it.
TAKE = Prepared(
    update(ORDERS)
    .where(FENCE)
    .values(
        state=OrderState.RUNNING,
        run=ORDERS.c.run + 1,
        lease_until=bindparam("lease"),
        started_at=func.coalesce(ORDERS.c.started_at, bindparam("now", type_=UTCDateTime())),
        connection_id=bindparam("connection"),
    )
)
_OUTCOME = ("state", "message", "result", "error_code")
_END = Prepared(
    update(ORDERS)
    .where(FENCE)
    .values(
        {name: bindparam(f"new_{name}") for name in _OUTCOME}
        | {"finished_at": bindparam("now"), "lease_until": null(), "connection_id": null()}
    )
)
_OUTBOX = ("id", "order_id", "caller_id", "origin", "url", "body", "created_at")
_INSERT_DELIVERY = Prepared(
    insert(DELIVERIES), (*_OUTBOX, "next_attempt_at", "claim_token", "attempt", "tries", "is_retry")
)
# Whether a run of the order has left a mark; see `kernel.db.guard`.
_MARKED = exists().where(RUN_MARKS.c.order_id == ORDERS.c.id).label("marked")
_COUNTERS = ("crashes", "broken", "timeouts", "retries")


@dataclass(frozen=True, slots=True)
class RunEnd:
    """What became of an order at the end of a run.

    ``outcome`` and the outbox row of its callback, or ``again_in``: seconds until it is due again.
    Neither when another run owns the order, or the database could not be told yet.
    """

    order_id: str
    outcome: Outcome | None = None
    again_in: float | None = None
    owed: OutboxRow | None = None


def end_order(
    kernel: Kernel,
    session: Session,
    order: OrderSnapshot,
    outcome: Outcome,
    first_attempt: Claim | None = None,
    trace: Trace = UNTRACED,
) -> OutboxRow | None:
    """Write the outcome and the callback it owes; return the callback's outbox row.

    The one way into a final state. Returns None, having written nothing, when ``order`` no longer
    stands as it was seen. ``first_attempt``: this process has claimed the callback's first attempt
    and sends it after the commit; without it the callback is due for any dispatcher.
    """
    now = kernel.clock.now()
    connection = session.connection()
    ended = {f"new_{name}": getattr(outcome, name) for name in _OUTCOME}
    if _END.execute(connection, {**order.fenced(), **ended, "now": now}) != 1:
        return None
    return _owe(connection, order, callback_body(order, outcome, now), first_attempt, now, trace)


def _owe(
    connection: Connection,
    order: OrderSnapshot,
    body: bytes,
    claim: Claim | None,
    now: datetime,
    trace: Trace,
) -> OutboxRow:
    """Insert the callback: due now, or with its first attempt claimed."""
    row = OutboxRow(
        id=new_id(now),
        order_id=order.id,
        caller_id=order.caller_id,
        origin=origin_of(order.callback_url),
        url=order.callback_url,
        body=body,
        created_at=now,
        attempt=0 if claim is None else 1,
        tries=0 if claim is None else 1,
        token=None if claim is None else claim.token,
        request_id=trace.request_id,
        traceparent=trace.traceparent,
    )
    values: dict[str, Any] = {name: getattr(row, name) for name in _OUTBOX} | {
        "next_attempt_at": now if claim is None else claim.until,
        "claim_token": row.token,
        "attempt": row.attempt,
        "tries": row.tries,
        "is_retry": claim is not None,
    }
    _INSERT_DELIVERY.execute(connection, values)
    return row


def leave_running(
    kernel: Kernel,
    session: Session,
    held: tuple[str, int],
    exit_: Exit,
    expired_before: datetime | None = None,
) -> RunEnd | None:
    """Write what becomes of an order whose run ends without an outcome; see `decide`.

    ``held``: the order's id and the number of the run. Returns None, having written nothing, when
    that run no longer owns the order; with ``expired_before``, also when its lease holds longer.
    """
    order_id, run = held
    owned = [ORDERS.c.id == order_id, ORDERS.c.state == OrderState.RUNNING, ORDERS.c.run == run]
    if expired_before is not None:
        owned.append(ORDERS.c.lease_until < expired_before)
    counters = (ORDERS.c[name] for name in _COUNTERS)
    columns = (*SNAPSHOT, ORDERS.c.cancel_requested_at, _MARKED, *counters)
    row = session.execute(select(*columns).where(*owned).with_for_update()).one_or_none()
    if row is None:
        return None
    order = OrderSnapshot(*row[: len(SNAPSHOT)])
    verdict = decide(exit_, _standing(kernel, order, row))
    if isinstance(verdict, Ended):
        return _end(kernel, session, order, verdict)
    _put_back(kernel, session, order, verdict)
    return RunEnd(order_id, again_in=verdict.after)


def _standing(kernel: Kernel, order: OrderSnapshot, row: Any) -> Standing:
    handler = kernel.handlers.get(order.select_tag)
    return Standing(
        run=order.run,
        **{name: getattr(row, name) for name in _COUNTERS},
        cancel_requested=row.cancel_requested_at is not None,
        marked=row.marked,
        max_runs=None if handler is None else handler.max_runs,
    )


def _end(kernel: Kernel, session: Session, order: OrderSnapshot, verdict: Ended) -> RunEnd:
    outcome = ending(kernel, verdict.code, verdict.detail)
    if verdict.code == TRANSACTION_ENDED:
        session.execute(delete(RUN_MARKS).where(RUN_MARKS.c.order_id == order.id))
    owed = end_order(kernel, session, order, outcome)
    return RunEnd(order.id, outcome, owed=owed)


def _put_back(kernel: Kernel, session: Session, order: OrderSnapshot, verdict: Again) -> None:
    session.execute(
        update(ORDERS)
        .where(FENCE)
        .values(
            state=OrderState.PENDING,
            run_after=kernel.clock.now() + timedelta(seconds=verdict.after),
            lease_until=None,
            connection_id=None,
            **{name: getattr(verdict, name) for name in _COUNTERS},
        ),
        order.fenced(),
    )


def ending(kernel: Kernel, code: str, detail: str = "") -> Outcome:
    """Return the outcome of an order that ends without its handler's word: an error code.

    ``cancelled`` is a state of its own; every other code is that of a failed order.
    """
    state = OrderState.CANCELLED if code == OrderState.CANCELLED else OrderState.FAILED
    message = text(code, kernel.settings.language) + (f": {detail}" if detail else "")
    return Outcome(state, cut(message), error_code=code)


def note_cancel(session: Session, order_id: str, now: datetime) -> bool:
    """Note on a running order that it is to be cancelled; False when it does not run any more."""
    noted = session.execute(
        update(ORDERS)
        .where(ORDERS.c.id == order_id, ORDERS.c.state == OrderState.RUNNING)
        .values(cancel_requested_at=now)
    )
    return rowcount(noted) == 1
