"""T3: run the handler of an order that was claimed; commit work, outcome and callback together.

Nothing is retried inside a run. When the database drops the transaction, or the lease is lost,
the run can commit nothing more: the order goes back to pending and the next claim is run + 1.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from kernel.config.logging import binding
from kernel.db.errors import DRIVER_ERRORS
from kernel.db.guard import GUARD, RunSession
from kernel.db.states import OrderState, Outcome, OwedDelivery
from kernel.errors import LeaseLost, OrderCancelled, Reject, Retry, RunBroken, WorkerStopping
from kernel.formats.envelope import cut, encode_result
from kernel.formats.texts import text
from kernel.formats.tracecontext import UNTRACED, Trace
from kernel.handlers import Partial, Run
from kernel.runs.claim import Batch, Claimed
from kernel.runs.fence import commit_outcome, end, hand_back, interruption, save_checkpoint, undo
from kernel.runtime.kernel import Kernel, Reserve, no_claim
from kernel.runtime.metrics import ORDER_SECONDS, RUN_SECONDS, RUNS

log = logging.getLogger(__name__)

SETBACK_SECONDS = 0.2
MAX_SETBACK_SECONDS = 30.0
# A worker's connection that is silent for longer than its handler may run is dropped by the
# server: the row locks of a frozen worker do not outlive it by the usual eight hours.
WAIT_MARGIN_SECONDS = 30


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
    """Run one order if it is due and nobody else has it; None when there was nothing to do.

    As `execute_each`, for one.
    """
    executed = list(execute_each(kernel, [order_id], reserve))
    return executed[0] if executed else None


def execute_each(
    kernel: Kernel, order_ids: Sequence[str], reserve: Reserve = no_claim
) -> Iterator[Executed]:
    """Run orders one after the other, each if it is due and nobody else has it.

    Tells of each what became of it, before the next begins. Duplicate, early and unknown hints
    change nothing and are not told of. When those before it have taken too long, an order is left
    to whoever is free: it is due again at once. Raises SQLAlchemy's errors when the database
    cannot be reached for a claim. Blocks for as long as the handlers take; one call per thread.
    """
    if kernel.stopping.is_set():
        return
    with kernel.run_connection() as connection:
        batch = Batch(kernel, connection, order_ids)
        try:
            while (claimed := _claim(batch)) is not None:
                yield _execute(batch, claimed, reserve)
        finally:
            batch.hand_back()
    for order_id in batch.left:
        yield Executed(order_id, again_in=0.0)


def _claim(batch: Batch) -> Claimed | None:
    try:
        return batch.claim()
    except DBAPIError as error:
        if batch.unseen:
            raise
        log.warning("others may have the rest: %s", error.orig, extra={"order_ids": batch.left})
        return None


def _execute(batch: Batch, claimed: Claimed, reserve: Reserve) -> Executed:
    kernel, connection, held = batch.kernel, batch.connection, claimed.held
    try:
        run = begin_run(kernel, connection, claimed)
    except DRIVER_ERRORS as error:
        log.warning("handed back before it began: %s", error, extra={"order_id": held.id})
        connection.invalidate()
        hand_back(kernel, held.id, held.run, 0.0)
        return Executed(held.id, again_in=0.0)
    try:
        return _followed(batch, claimed, run, reserve)
    finally:
        kernel.running.pop(run.order_id, None)
        end(run)
        if not connection.invalidated:
            connection.info.pop(GUARD, None)


def begin_run(kernel: Kernel, connection: Connection, claimed: Claimed) -> Run:
    """Make the run of an order that ``connection`` has claimed, and have its lease renewed."""
    time_limit = claimed.handler.time_limit or kernel.settings.time_limit_seconds
    _limit_silence(connection, time_limit)
    run = Run(
        order_id=claimed.held.id,
        number=claimed.held.run,
        now=kernel.clock.now(),
        session=RunSession(connection, close_resets_only=False),
        progress=claimed.progress,
        state=claimed.state,
        time_limit=time_limit,
        checkpoints=claimed.held.checkpoint,
        _save=lambda run, progress, state: save_checkpoint(kernel, run, progress, state),
        request_id=claimed.trace.request_id,
    )
    connection.info[GUARD] = run.guard
    kernel.owed.pop(run.order_id, None)  # an earlier claim of this order, if it was one
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


def _followed(batch: Batch, claimed: Claimed, run: Run, reserve: Reserve) -> Executed:
    """Conclude a run, with a span around it, its ids in every log line, and counted."""
    kernel, held, trace = batch.kernel, claimed.held, claimed.trace
    ids: dict[str, Any] = {"order_id": held.id, "select_tag": held.select_tag, "run": held.run}
    with (
        binding(**ids, request_id=trace.request_id),
        kernel.tracer.span("kernel.run", "consumer", trace.traceparent) as span,
    ):
        run.traceparent = span.traceparent
        executed = _conclude(batch, claimed, run, reserve)
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


def _conclude(batch: Batch, claimed: Claimed, run: Run, reserve: Reserve) -> Executed:
    """Run the handler and commit what it came to; hand the order back when nothing can be."""
    kernel = batch.kernel
    try:
        return _finish(batch, claimed, run, reserve)
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
    batch.hand_back()
    if hand_back(kernel, run.order_id, run.number, after):
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


def _finish(batch: Batch, claimed: Claimed, run: Run, reserve: Reserve) -> Executed:
    kernel, held = batch.kernel, claimed.held
    outcome = run_handler(kernel, claimed, run)
    try:
        owed = commit_outcome(kernel, held, run, outcome, reserve, batch.claim_along)
    except DBAPIError:
        log.exception("the outcome could not be written", extra={"order_id": run.order_id})
        undo(run)
        batch.hand_back()
        outcome = _refused(kernel, "internal_error")
        owed = commit_outcome(kernel, held, run, outcome, reserve)
    trace = Trace(run.request_id, run.traceparent)
    return Executed(run.order_id, outcome, owed=owed, trace=trace)
