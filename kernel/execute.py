"""T2 and T3: claim an order, run its handler, commit work, outcome and callback together.

Nothing is retried inside a run. When the database drops the transaction, or the lease is lost,
the run can commit nothing more: the order goes back to pending and the next claim is run + 1.
"""

import json
import logging
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Connection, func, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from kernel.database import GUARD, RunSession
from kernel.errors import LeaseLost, OrderCancelled, Reject, Retry, RunBroken, WorkerStopping
from kernel.fence import commit_outcome, hand_back, interruption, save_checkpoint, undo
from kernel.handlers import Handler, Partial, Progress, Run
from kernel.messages import text
from kernel.models import HELD, ORDERS, HeldOrder, rowcount
from kernel.runtime import Kernel
from kernel.schemas import cut, encode_result
from kernel.states import OrderState, Outcome

log = logging.getLogger(__name__)

SETBACK_SECONDS = 0.2
MAX_SETBACK_SECONDS = 30.0
# A worker's connection that is silent for longer than its handler may run is dropped by the
# server: the row locks of a frozen worker do not outlive it by the usual eight hours.
WAIT_MARGIN_SECONDS = 30
_MORE = tuple(
    ORDERS.c[name]
    for name in ("args", "progress_current", "progress_total", "progress_note", "run_state")
)


@dataclass(frozen=True, slots=True)
class Claimed:
    """An order this process owns; its handler has not begun."""

    held: HeldOrder
    handler: Handler
    args: str
    progress: Progress | None
    state: Any


@dataclass(frozen=True, slots=True)
class Executed:
    """What became of a run: an outcome, or in how many seconds the order is due again.

    Neither when the order is somebody else's now, or the database cannot be told.
    """

    order_id: str
    outcome: Outcome | None = None
    again_in: float | None = None


def execute(kernel: Kernel, order_id: str) -> Executed | None:
    """Run one order if it is due and nobody else has it; return what became of it.

    None when there was nothing to do: a duplicate, early or unknown hint changes nothing. Raises
    SQLAlchemy's errors when the database cannot be reached for the claim. Blocks for as long as
    the handler takes; one call per thread.
    """
    if kernel.stopping.is_set():
        return None
    with kernel.connection() as connection:
        claimed = claim(kernel, connection, order_id)
        if claimed is None:
            return None
        run = _begin(kernel, connection, claimed)
        try:
            return _conclude(kernel, claimed, run)
        finally:
            kernel.running.pop(order_id, None)
            if not connection.invalidated:
                connection.info.pop(GUARD, None)


def claim(kernel: Kernel, connection: Connection, order_id: str) -> Claimed | None:
    """T2: take a due order whose tag this process knows: pending → running, run + 1, a lease."""
    now = kernel.clock.now()
    with Session(connection) as session:
        taken = session.execute(
            update(ORDERS)
            .where(
                ORDERS.c.id == order_id,
                ORDERS.c.state == OrderState.PENDING,
                ORDERS.c.run_after <= now,
                ORDERS.c.select_tag.in_(list(kernel.handlers)),
            )
            .values(
                state=OrderState.RUNNING,
                run=ORDERS.c.run + 1,
                lease_until=now + kernel.lease,
                started_at=func.coalesce(ORDERS.c.started_at, now),
                connection_id=_connection_id(connection),
            )
        )
        if rowcount(taken) != 1:
            return None
        row = session.execute(select(*HELD, *_MORE).where(ORDERS.c.id == order_id)).one()
        session.commit()
    held = HeldOrder(*row[: len(HELD)])
    args, current, total, note, state = row[len(HELD) :]
    progress = None if current is None else Progress(current, total, note)
    handler = kernel.handlers[held.select_tag]
    return Claimed(held, handler, args, progress, None if state is None else json.loads(state))


def _connection_id(connection: Connection) -> int | None:
    """Return the server's number of this connection: a rescue kills it by that."""
    thread_id = getattr(connection.connection.dbapi_connection, "thread_id", None)
    return None if thread_id is None else int(thread_id())


def _begin(kernel: Kernel, connection: Connection, claimed: Claimed) -> Run:
    time_limit = claimed.handler.time_limit or kernel.settings.time_limit_seconds
    _limit_silence(connection, time_limit)
    run = Run(
        order_id=claimed.held.id,
        number=claimed.held.run,
        now=kernel.clock.now(),
        session=RunSession(connection),
        progress=claimed.progress,
        state=claimed.state,
        time_limit=time_limit,
        checkpoints=claimed.held.checkpoint,
        _save=lambda run, progress, state: save_checkpoint(kernel, run, progress, state),
    )
    connection.info[GUARD] = run.guard
    kernel.running[run.order_id] = run
    return run


def _limit_silence(connection: Connection, time_limit: float) -> None:
    seconds = int(time_limit) + WAIT_MARGIN_SECONDS
    if connection.dialect.name == "sqlite" or connection.info.get("wait_timeout") == seconds:
        return
    cursor = connection.connection.cursor()
    cursor.execute(f"SET SESSION wait_timeout = {seconds}")
    cursor.close()
    connection.info["wait_timeout"] = seconds


def _conclude(kernel: Kernel, claimed: Claimed, run: Run) -> Executed:
    """Run the handler and commit what it came to; hand the order back when nothing can be."""
    try:
        return _finish(kernel, claimed.held, run, run_handler(kernel, claimed, run))
    except Retry as verdict:
        after = max(0.0, verdict.after)
    except WorkerStopping:
        log.info("handed back: the worker is stopping", extra={"order_id": run.order_id})
        after = 0.0
    except RunBroken as error:
        log.warning("run broken: %s", error, extra={"order_id": run.order_id})
        after = min(MAX_SETBACK_SECONDS, SETBACK_SECONDS * 2 ** min(run.number - 1, 10))
    except LeaseLost:
        log.warning("lost to another run", extra={"order_id": run.order_id, "run": run.number})
        undo(run)
        return Executed(run.order_id)
    undo(run)
    if hand_back(kernel, run, after):
        return Executed(run.order_id, again_in=after)
    return Executed(run.order_id)


def run_handler(kernel: Kernel, claimed: Claimed, run: Run) -> Outcome:
    """Call the handler and judge what it did; the writes of a success stay uncommitted.

    Raises Retry, and RunInterrupted when the run may not finish. Any other exception is the
    handler's bug: ``internal_error`` for the caller, the traceback for the log.
    """
    outcome, failure = None, None
    try:
        outcome = _returned(kernel, run, claimed)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - it is a stranger's code
        failure = error
    ended = interruption(run)
    if ended is not None and not isinstance(ended, OrderCancelled):
        raise ended
    if outcome is not None and ended is None and not run.guard.spoiled:
        return outcome
    undo(run)
    if ended is not None:
        return _refused(kernel, "cancelled", state=OrderState.CANCELLED)
    if isinstance(failure, Retry):
        raise failure
    if isinstance(failure, Reject):
        code = failure.reject_code[:64].encode("ascii", "replace").decode()
        return Outcome(OrderState.FAILED, cut(failure.message), error_code=code)
    _log_bug(failure, claimed)
    return _refused(kernel, "internal_error")


def _returned(kernel: Kernel, run: Run, claimed: Claimed) -> Outcome:
    returned = claimed.handler.function(run, claimed.handler.parse(claimed.args))
    run.session.flush()
    if isinstance(returned, Partial):
        result = encode_result(returned.result)
        return Outcome(OrderState.WARNING, cut(returned.message), result)
    message = text("success", kernel.settings.language)
    return Outcome(OrderState.SUCCESS, message, encode_result(returned))


def _refused(kernel: Kernel, code: str, state: OrderState = OrderState.FAILED) -> Outcome:
    return Outcome(state, text(code, kernel.settings.language), error_code=code)


def _log_bug(failure: BaseException | None, claimed: Claimed) -> None:
    extra = {"order_id": claimed.held.id, "select_tag": claimed.held.select_tag}
    if isinstance(failure, ValidationError):  # an older order, a newer model: say where, not what
        places = [".".join(map(str, found["loc"])) for found in failure.errors()]
        log.error("arguments no longer fit the handler's model: %s", places, extra=extra)
    elif failure is None:
        log.error("the handler's transaction was rolled back inside it", extra=extra)
    else:
        log.error("bug in a handler", exc_info=failure, extra=extra)


def _finish(kernel: Kernel, held: HeldOrder, run: Run, outcome: Outcome) -> Executed:
    try:
        commit_outcome(kernel, held, run, outcome)
    except DBAPIError:
        log.exception("the outcome could not be written", extra={"order_id": run.order_id})
        undo(run)
        outcome = _refused(kernel, "internal_error")
        commit_outcome(kernel, held, run, outcome)
    return Executed(run.order_id, outcome)
