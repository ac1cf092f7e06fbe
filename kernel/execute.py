"""T2 and T3: claim an order, run its handler, commit work, outcome and callback together.

Nothing is retried inside a run. When the database drops the transaction, or the lease is lost,
the run can commit nothing more: the order goes back to pending and the next claim is run + 1.
"""

import json
import logging
import time
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Connection, Update, bindparam, func, literal_column, select, update
from sqlalchemy.exc import DBAPIError

from kernel.columns import UTCDateTime
from kernel.config.logging import binding
from kernel.database import GUARD, RunSession
from kernel.errors import LeaseLost, OrderCancelled, Reject, Retry, RunBroken, WorkerStopping
from kernel.fence import commit_outcome, hand_back, interruption, save_checkpoint, undo
from kernel.handlers import Handler, Partial, Progress, Run
from kernel.messages import text
from kernel.metrics import ORDER_SECONDS, RUN_SECONDS, RUNS
from kernel.models import HELD, ORDERS, HeldOrder, rowcount
from kernel.runtime import Kernel, Reserve, no_claim
from kernel.schemas import cut, encode_result
from kernel.states import OrderState, Outcome, OwedDelivery
from kernel.tracecontext import UNTRACED, Trace

log = logging.getLogger(__name__)

SETBACK_SECONDS = 0.2
MAX_SETBACK_SECONDS = 30.0
# The clocks of two processes differ by what reading them took. A hint that is early by less is on
# time: refused, its order would wait for the sweep.
EARLY_SECONDS = 0.5
# A worker's connection that is silent for longer than its handler may run is dropped by the
# server: the row locks of a frozen worker do not outlive it by the usual eight hours.
WAIT_MARGIN_SECONDS = 30
_PROGRESS = ("progress_current", "progress_total", "progress_note", "run_state")
_MORE = tuple(ORDERS.c[name] for name in ("args", *_PROGRESS, "request_id", "traceparent"))


_TAKEN = select(*HELD, *_MORE).where(ORDERS.c.id == bindparam("order_id"))


@cache
def _taking(tags: tuple[str, ...]) -> Update:
    """Make the claim's statement for a worker that knows these tags."""
    return (
        update(ORDERS)
        .where(
            ORDERS.c.id == bindparam("order_id"),
            ORDERS.c.state == OrderState.PENDING,
            ORDERS.c.run_after <= bindparam("due"),
            ORDERS.c.select_tag.in_([literal_column(f"'{tag}'") for tag in tags]),
        )
        .values(
            state=OrderState.RUNNING,
            run=ORDERS.c.run + 1,
            lease_until=bindparam("lease"),
            started_at=func.coalesce(ORDERS.c.started_at, bindparam("now", type_=UTCDateTime())),
            connection_id=bindparam("connection"),
        )
    )


@dataclass(frozen=True, slots=True)
class Claimed:
    """An order this process owns; its handler has not begun."""

    held: HeldOrder
    handler: Handler
    args: str
    progress: Progress | None
    state: Any
    trace: Trace


@dataclass(frozen=True, slots=True)
class Executed:
    """What became of a run: an outcome and the callback it owes, or when the order is due again.

    Neither when the order is somebody else's now, or the database cannot be told.
    """

    order_id: str
    outcome: Outcome | None = None
    again_in: float | None = None
    owed: OwedDelivery | None = None
    trace: Trace = UNTRACED


def execute(kernel: Kernel, order_id: str, reserve: Reserve = no_claim) -> Executed | None:
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
            return _followed(kernel, claimed, run, reserve)
        finally:
            kernel.running.pop(order_id, None)
            if not connection.invalidated:
                connection.info.pop(GUARD, None)


def claim(kernel: Kernel, connection: Connection, order_id: str) -> Claimed | None:
    """T2: take a due order whose tag this process knows: pending → running, run + 1, a lease."""
    now = kernel.clock.now()
    due = now + timedelta(seconds=EARLY_SECONDS)
    mine = {"lease": now + kernel.lease, "connection": _connection_id(connection)}
    taking = _taking(tuple(kernel.handlers))
    with connection.begin() as transaction:
        taken = connection.execute(taking, {"order_id": order_id, "now": now, "due": due, **mine})
        if rowcount(taken) != 1:
            transaction.rollback()
            return None
        row = connection.execute(_TAKEN, {"order_id": order_id}).one()
    held = HeldOrder(*row[: len(HELD)])
    args, current, total, note, state, *trace = row[len(HELD) :]
    progress = None if current is None else Progress(current, total, note)
    state = None if state is None else json.loads(state)
    return Claimed(held, kernel.handlers[held.select_tag], args, progress, state, Trace(*trace))


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
        request_id=claimed.trace.request_id,
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


def _followed(kernel: Kernel, claimed: Claimed, run: Run, reserve: Reserve) -> Executed:
    """Conclude a run, with a span around it, its ids in every log line, and counted."""
    held, trace = claimed.held, claimed.trace
    ids: dict[str, Any] = {"order_id": held.id, "select_tag": held.select_tag, "run": held.run}
    with (
        binding(**ids, request_id=trace.request_id),
        kernel.tracer.span("kernel.run", "consumer", trace.traceparent) as span,
    ):
        run.traceparent = span.traceparent
        executed = _conclude(kernel, claimed, run, reserve)
        outcome = _word_for(executed)
        span.note(outcome == OrderState.FAILED, outcome=outcome, **ids)
    kernel.metrics.count(RUNS, held.select_tag, outcome)
    kernel.metrics.observe(RUN_SECONDS, time.monotonic() - run.started, held.select_tag)
    if executed.outcome is not None:
        lasted = (kernel.clock.now() - held.created_at).total_seconds()
        kernel.metrics.observe(ORDER_SECONDS, lasted, held.select_tag)
    return executed


def _word_for(executed: Executed) -> str:
    if executed.outcome is not None:
        return executed.outcome.state
    return "lost" if executed.again_in is None else "again"


def _conclude(kernel: Kernel, claimed: Claimed, run: Run, reserve: Reserve) -> Executed:
    """Run the handler and commit what it came to; hand the order back when nothing can be."""
    try:
        return _finish(kernel, claimed.held, run, run_handler(kernel, claimed, run), reserve)
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


def _finish(
    kernel: Kernel, held: HeldOrder, run: Run, outcome: Outcome, reserve: Reserve
) -> Executed:
    try:
        owed = commit_outcome(kernel, held, run, outcome, reserve)
    except DBAPIError:
        log.exception("the outcome could not be written", extra={"order_id": run.order_id})
        undo(run)
        outcome = _refused(kernel, "internal_error")
        owed = commit_outcome(kernel, held, run, outcome, reserve)
    trace = Trace(run.request_id, run.traceparent)
    return Executed(run.order_id, outcome, owed=owed, trace=trace)
