"""Every change of an order's state is written here.

`TAKE` makes a pending order running (`kernel.runs.claim`). `end_order` writes an outcome together
with the callback it owes. `leave_running` writes what `decide` says when a run ends without an
outcome. All are conditional: they change nothing, and say so, when the row no longer stands as the
caller saw it. The caller commits.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    null,
    select,
    update,
)
from sqlalchemy.orm import Session

from kernel.db.clock import DatabaseTime, database_time
from kernel.db.statements.prepared import Prepared
from kernel.db.states import Claim, OrderState, Outcome
from kernel.db.tables.gates import GATES, Has
from kernel.db.tables.orders import (
    FENCE,
    NO_CALLBACK,
    ORDERS,
    RUN_MARKS,
    SNAPSHOT,
    OrderSnapshot,
    with_bit,
)
from kernel.db.transactions import rowcount
from kernel.formats.envelope import TRANSACTION_ENDED, callback_body
from kernel.formats.tracecontext import UNTRACED, Trace
from kernel.orders.decide import Again, Ended, Exit, Waits, decide
from kernel.orders.due import MAY_BEGIN
from kernel.orders.ends.descent import note_descent
from kernel.orders.ends.outbox import Owing, ending, owe
from kernel.orders.ends.outbox import RunEnd as RunEnd  # noqa: PLC0414 - found here by all
from kernel.orders.ends.outbox import Waiting as Waiting  # noqa: PLC0414 - found here by all
from kernel.orders.ends.run_ends import COUNTERS, HAS_BEGUN, note_exit, note_failed, standing
from kernel.orders.gates.keys import has_key, lock_turn, pass_on
from kernel.orders.gates.limits import slots
from kernel.orders.gates.limits.known import limits
from kernel.orders.gates.limits.line import Line, deal, write
from kernel.runtime.kernel import Kernel

# Statements of the hot paths are made once: building one costs more than running it.
# As it was looked at, for what is beside the row is read by that: it may have been told an event.
TAKE = Prepared(
    update(ORDERS)
    .where(FENCE, MAY_BEGIN, func.coalesce(ORDERS.c.gates, 0) == bindparam("held_gates"))
    .values(
        state=OrderState.RUNNING,
        run=ORDERS.c.run + 1,
        lease_until=database_time("lease"),
        started_at=database_time("now"),
        connection_id=bindparam("connection"),
        runner=bindparam("runner"),
    )
)
_OUTCOME = ("state", "message", "result", "error_code")
_ENDED = {"finished_at": bindparam("now"), "lease_until": null(), "connection_id": null()}
_HAS_ENDED: dict[str, Any] = {name: bindparam(f"new_{name}") for name in _OUTCOME} | _ENDED
_END = Prepared(update(ORDERS).where(FENCE).values(_HAS_ENDED))
# Of each order that has succeeded: only the row knows whether it has secrets.
_SUCCEED = Prepared(update(ORDERS).where(FENCE).values(_HAS_ENDED | {"secret_args": null()}))
# Whether a run of the order has left a mark; see `kernel.db.guard`.
_MARKED = exists().where(RUN_MARKS.c.order_id == ORDERS.c.id).label("marked")


def end_order(
    kernel: Kernel,
    session: Session,
    order: OrderSnapshot,
    outcome: Outcome,
    first_attempt: Claim | None = None,
    trace: Trace = UNTRACED,
) -> RunEnd | None:
    """Write the outcome and the callback it owes, unless the caller polls instead.

    The one way into a final state. Returns None, having written nothing, when ``order`` no longer
    stands as it was seen. ``first_attempt``: this process has claimed the callback's first attempt
    and sends it after the commit; without it the callback is due for any dispatcher.
    """
    # One time for the row and for the callback's body, whose bytes are made here.
    now = kernel.clock.now()
    connection = session.connection()
    # Locks are taken in this order everywhere: key, limit, order.
    turn = lock_turn(connection, order.id) if has_key(order.gates) else None
    kept = slots.lock_kept(kernel, connection, order)
    ended = {f"new_{name}": getattr(outcome, name) for name in _OUTCOME}
    end = _SUCCEED if outcome.state == OrderState.SUCCESS else _END
    if end.execute(connection, {**order.fenced(), **ended, "now": now}) != 1:
        return None
    note_failed(kernel, connection, order, outcome)
    if order.state == OrderState.WAITING:
        _leave_waiting(connection, [order.id])
    if order.has_children:
        note_descent(kernel, connection, order, outcome)
    woken = pass_on(connection, turn, order.id, lambda next_: wake(kernel, session, [next_]))
    if kept is not None:
        woken = (*woken, *let_go_on(kernel, session, kept))
    if order.callback_url == NO_CALLBACK:
        return RunEnd(order.id, outcome, woken=woken, is_child=order.is_child)
    said = None if turn is None else turn.said
    body = callback_body(order, outcome, now, kernel.settings.language, said)
    row = owe(kernel.clock, connection, order, body, Owing(now, trace, first_attempt))
    return RunEnd(order.id, outcome, owed=row, woken=woken, is_child=order.is_child)


def leave_running(
    kernel: Kernel,
    session: Session,
    held: tuple[str, int],
    exit_: Exit,
    *,
    only: ColumnElement[bool] | None = None,
    gates: int | None = None,
) -> RunEnd | None:
    """Write what becomes of an order whose run ends without an outcome; see `decide`.

    ``held``: the order's id and the number of the run. Returns None, having written nothing, when
    that run no longer owns the order; with ``only``, also when that is not true of its row.
    ``gates``: as in its row; the row of an ordering key is locked first.
    """
    order_id, run = held
    if has_key(gates):
        lock_turn(session.connection(), order_id)
    line = slots.lock_held(kernel, session.connection(), held)
    owned = [ORDERS.c.id == order_id, ORDERS.c.state == OrderState.RUNNING, ORDERS.c.run == run]
    if only is not None:
        owned.append(only)
    counters = (ORDERS.c[name] for name in COUNTERS)
    is_late = (ORDERS.c.not_after <= kernel.clock.sql()).label("is_late")
    asked = (ORDERS.c.cancel_requested_at, ORDERS.c.not_after)
    columns = (*SNAPSHOT, *asked, _MARKED, HAS_BEGUN, is_late, *counters)
    row = session.execute(select(*columns).where(*owned).with_for_update()).one_or_none()
    if row is None:
        return None
    order = OrderSnapshot(*row[: len(SNAPSHOT)])
    verdict = decide(exit_, standing(kernel, order, row))
    note_exit(kernel, session.connection(), order, exit_, verdict)
    if isinstance(verdict, Ended):
        end = _end(kernel, session, order, verdict)
    elif isinstance(verdict, Waits):
        begin_waiting(kernel, session, order, Waiting(verdict.what, verdict.until))
        end = RunEnd(order_id, waits=True)
    else:
        _put_back(kernel, session, order, verdict, row.not_after)
        end = RunEnd(order_id, again_in=verdict.after)
    if line is None or end is None:
        return end
    return replace(end, woken=(*end.woken, *let_go_on(kernel, session, line)))


def let_go_on(kernel: Kernel, session: Session, line: Line) -> list[str]:
    """Give what is free in a locked line to the orders that wait there; return those woken."""
    if line.place.tag not in kernel.handlers:  # its limit is not known here: left to the sweep
        write(session.connection(), line, is_wanted=True)
        return []
    limit = limits(kernel).of(line.place.tag)
    deal(session.connection(), line, limit)
    woken = wake(kernel, session, line.next) if line.next else []
    if limit is not None and limit.rate is not None and line.wait:
        for one in woken:
            put_off(session, one, line.free_at)
    return woken


def _end(kernel: Kernel, session: Session, order: OrderSnapshot, verdict: Ended) -> RunEnd | None:
    outcome = ending(kernel, verdict.code, verdict.detail)
    if verdict.code == TRANSACTION_ENDED:
        session.execute(delete(RUN_MARKS).where(RUN_MARKS.c.order_id == order.id))
    return end_order(kernel, session, order, outcome)


def _put_back(
    kernel: Kernel, session: Session, order: OrderSnapshot, verdict: Again, ends: datetime | None
) -> None:
    session.execute(
        update(ORDERS)
        .where(FENCE)
        .values(
            state=OrderState.PENDING,
            run_after=kernel.clock.sql(timedelta(seconds=verdict.after)),
            lease_until=None,
            connection_id=None,
            runner=None,
            # Never begun, as far as the row shows it: its window still holds.
            **({"started_at": None} if verdict.not_begun else {}),
            **{name: getattr(verdict, name) for name in COUNTERS},
        ),
        order.fenced(),
    )
    if verdict.not_begun and ends is not None:  # a sweep may have closed its window beside the run
        window = update(GATES).where(GATES.c.order_id == order.id)
        session.execute(window.values(closes_at=ends))


def begin_waiting(
    kernel: Kernel, session: Session, order: OrderSnapshot, waiting: Waiting, has: Has = Has.WAITED
) -> bool:
    """Have an order wait; False, having written nothing, when it stands otherwise than held.

    ``has`` is noted in the order's row. The caller looks afterwards, in the same transaction,
    whether what the order waits for is there already, and wakes it then.
    """
    held = update(ORDERS).where(FENCE)
    values = {
        "state": OrderState.WAITING,
        "gates": with_bit(has),
        **dict.fromkeys(("lease_until", "connection_id", "runner")),
    }
    if rowcount(session.execute(held.values(values), order.fenced())) != 1:
        return False
    waits = {
        "waiting_for": waiting.what,
        "waiting_since": kernel.clock.sql(),
        "wakes_at": waiting.until,
    }
    known = session.execute(update(GATES).where(GATES.c.order_id == order.id).values(waits))
    if rowcount(known) == 0:
        of = {"order_id": order.id, "caller_id": order.caller_id}
        session.execute(insert(GATES).values(of | waits))
    return True


def begin_waiting_together(
    kernel: Kernel, session: Session, order_ids: Sequence[str], what: str
) -> int:
    """Have pending orders wait, in the order in which they were due; return how many."""
    locked = select(ORDERS.c.id, ORDERS.c.caller_id, ORDERS.c.run_after).where(
        ORDERS.c.id.in_(order_ids), ORDERS.c.state == OrderState.PENDING
    )
    rows = session.execute(locked.order_by(ORDERS.c.id).with_for_update()).all()
    if rows:
        waits = update(ORDERS).where(ORDERS.c.id.in_([row.id for row in rows]))
        session.execute(waits.values(state=OrderState.WAITING))
        told = {"waiting_for": what, "waiting_since": kernel.clock.sql(), "wakes_at": None}
        noted = kernel.dialect.upsert(GATES, lambda new: {**told, "accepted_at": new.accepted_at})
        of = [dict(zip(("order_id", "caller_id", "accepted_at"), row, strict=True)) for row in rows]
        session.execute(noted.values(told), of)
    return len(rows)


def wake(
    kernel: Kernel,
    session: Session,
    order_ids: Sequence[str],
    only: ColumnElement[bool] | None = None,
) -> list[str]:
    """Make waiting orders pending, due now or when their windows open; return those it changed.

    ``only``: those of whose row in `GATES` that is true, once their orders' rows are locked. They
    are to be hinted after the commit.
    """
    waits = and_(ORDERS.c.id.in_(order_ids), ORDERS.c.state == OrderState.WAITING)
    locked = select(ORDERS.c.id).where(waits).order_by(ORDERS.c.id).with_for_update()
    woken = list(session.scalars(locked))
    if woken and only is not None:
        fit = select(GATES.c.order_id).where(GATES.c.order_id.in_(woken), only)
        woken = list(session.scalars(fit.order_by(GATES.c.order_id)))
    if woken:
        now = kernel.clock.sql()
        due = case((ORDERS.c.not_before > now, ORDERS.c.not_before), else_=now)
        goes_on = update(ORDERS).where(ORDERS.c.id.in_(woken))
        session.execute(goes_on.values(state=OrderState.PENDING, run_after=due))
        _leave_waiting(session.connection(), woken)
    return woken


def put_off(session: Session, order_id: str, until: datetime) -> None:
    """Have a pending order be due at a moment, when its turn comes; nothing counts against it."""
    pending = update(ORDERS).where(ORDERS.c.id == order_id, ORDERS.c.state == OrderState.PENDING)
    session.execute(pending.values(run_after=until, gates=with_bit(Has.LIMIT)))


def _leave_waiting(connection: Connection, order_ids: Sequence[str]) -> None:
    waited = update(GATES).where(GATES.c.order_id.in_(order_ids))
    connection.execute(waited.values(waiting_for=None, waiting_since=None, wakes_at=None))


def note_cancel(session: Session, order_id: str, now: DatabaseTime) -> bool:
    """Note on a running order that it is to be cancelled; False when it does not run any more."""
    running = update(ORDERS).where(ORDERS.c.id == order_id, ORDERS.c.state == OrderState.RUNNING)
    return rowcount(session.execute(running.values(cancel_requested_at=now))) == 1
