"""T3: run the handler of an order that was claimed; commit work, outcome and callback together.

Nothing is retried inside a run. When the database drops the transaction, or the lease is lost,
the run can commit nothing more: the order goes back to pending and the next claim is run + 1.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError

from kernel.config.logging import binding
from kernel.db.errors import DRIVER_ERRORS, is_contention, is_passing
from kernel.db.guard import GUARD, Guard, RunSession
from kernel.db.states import OrderState, Outcome
from kernel.delivery.first_attempt import FirstAttempts
from kernel.errors import HandlerVerdict, LeaseLost, Reject, Retry, RunBroken, RunInterrupted
from kernel.formats.envelope import cut, encode_result
from kernel.formats.texts import text
from kernel.handlers import Partial, Run
from kernel.orders.decide import Exit, Why
from kernel.orders.transitions import RunEnd
from kernel.runs.claim import Batch, Claimed
from kernel.runs.fence import interruption, is_guarded, release, save_checkpoint, undo
from kernel.runs.finish import finish
from kernel.runs.leases import leave
from kernel.runtime.kernel import Kernel
from kernel.runtime.metrics import ORDER_SECONDS, RUN_SECONDS, RUNS

log = logging.getLogger(__name__)

# A worker's connection that is silent for longer than its handler may run is dropped by the
# server: the row locks of a frozen worker do not outlive it by the usual eight hours.
WAIT_MARGIN_SECONDS = 30


def execute(
    kernel: Kernel, order_id: str, first_attempts: FirstAttempts | None = None
) -> RunEnd | None:
    """Run one order if it is due and no other process has it; None when there was nothing to do.

    As `execute_each`, for one.
    """
    ends = list(execute_each(kernel, [order_id], first_attempts))
    return ends[0] if ends else None


def execute_each(
    kernel: Kernel, order_ids: Sequence[str], first_attempts: FirstAttempts | None = None
) -> Iterator[RunEnd]:
    """Run orders one after the other, each if it is due and no other process has it.

    Yields what became of each before the next begins. Duplicate, early and unknown hints change
    nothing and yield nothing. If earlier orders took too long, the remaining ones are yielded with
    ``again_in=0`` so that another worker can take them. ``first_attempts`` says which callbacks
    this process sends itself. Raises SQLAlchemy's errors when the database cannot be reached for a
    claim. Blocks for as long as the handlers take; one call per thread.
    """
    if kernel.stopping.is_set():
        return
    with kernel.run_connection() as connection:
        batch = Batch(kernel, connection, order_ids, first_attempts)
        try:
            while (claimed := _claim(batch)) is not None:
                yield _execute(batch, claimed)
        finally:
            batch.hand_back()
    yield from batch.ends
    for order_id in batch.left:
        yield RunEnd(order_id, again_in=0.0)


def _claim(batch: Batch) -> Claimed | None:
    try:
        return batch.claim()
    except DBAPIError as error:
        if batch.unseen:
            raise
        log.warning("others may have the rest: %s", error.orig, extra={"order_ids": batch.left})
        return None


def _execute(batch: Batch, claimed: Claimed) -> RunEnd:
    kernel, connection, order = batch.kernel, batch.connection, claimed.order
    try:
        run = begin_run(batch, claimed)
    except DRIVER_ERRORS as error:
        log.warning("handed back before it began: %s", error, extra={"order_id": order.id})
        connection.invalidate()
        return leave(kernel, order.id, order.run, Exit(Why.NOT_BEGUN))
    try:
        return _followed(batch, claimed, run)
    finally:
        kernel.running.pop((run.order_id, run.number), None)
        release(run, connection, batch.pooled)


def begin_run(batch: Batch, claimed: Claimed) -> Run:
    """Make the run of an order that ``batch`` has claimed, and have its lease renewed."""
    kernel, connection, order = batch.kernel, batch.connection, claimed.order
    time_limit = claimed.handler.time_limit or kernel.settings.time_limit_seconds
    kernel.dialect.limit_silence(connection, int(time_limit) + WAIT_MARGIN_SECONDS)
    batch.first_attempts.prepare(order.caller_id)
    run = Run(
        order_id=order.id,
        number=order.run,
        now=kernel.clock.now(),
        session=RunSession(connection, close_resets_only=False),
        progress=claimed.progress,
        state=claimed.state,
        time_limit=time_limit,
        checkpoints=order.checkpoint,
        _save=lambda run, progress, state: save_checkpoint(kernel, run, progress, state),
        request_id=claimed.trace.request_id,
        guard=Guard(mark=(order.id, order.run)),
    )
    connection.info[GUARD] = run.guard
    kernel.running[run.order_id, run.number] = run
    return run


def _followed(batch: Batch, claimed: Claimed, run: Run) -> RunEnd:
    """Conclude a run, with a span around it, its ids in every log line, and counted."""
    kernel, order, trace = batch.kernel, claimed.order, claimed.trace
    ids: dict[str, Any] = {"order_id": order.id, "select_tag": order.select_tag, "run": order.run}
    with (
        binding(**ids, request_id=trace.request_id),
        kernel.tracer.span("kernel.run", "consumer", trace.traceparent) as span,
    ):
        run.traceparent = span.traceparent
        end = _conclude(batch, claimed, run)
        word = _word_for(end)
        span.note(word == OrderState.FAILED, outcome=word, **ids)
    kernel.metrics.count(RUNS, order.select_tag, word)
    kernel.metrics.observe(RUN_SECONDS, time.monotonic() - run.started, order.select_tag)
    if end.outcome is not None:
        lasted = (kernel.clock.now() - order.created_at).total_seconds()
        kernel.metrics.observe(ORDER_SECONDS, lasted, order.select_tag)
    return end


def _word_for(end: RunEnd) -> str:
    if end.outcome is not None:
        return end.outcome.state
    return "lost" if end.again_in is None else "again"


def _conclude(batch: Batch, claimed: Claimed, run: Run) -> RunEnd:
    """Run the handler and commit its outcome; without one, write what `decide` says."""
    try:
        return finish(batch, claimed, run, run_handler(batch.kernel, claimed, run))
    except LeaseLost:
        log.warning("lost to another run", extra={"order_id": run.order_id, "run": run.number})
        undo(run)
        return RunEnd(run.order_id)
    except Exception as error:  # noqa: BLE001 - a handler may leave its connection in any state
        exit_ = _exit(run, error)
    undo(run)
    # Before anything is written: SQLite's writer may get the connection that the handler gave back.
    release(run, batch.connection, batch.pooled)
    batch.hand_back()
    return leave(batch.kernel, run.order_id, run.number, exit_)


def _exit(run: Run, error: Exception) -> Exit:
    """Return how a run ended that raised ``error``, and log it."""
    extra = {"order_id": run.order_id}
    if isinstance(error, Retry):
        reason = error.reason or ""
        log.info("the handler asks for a retry: %s", reason or "no reason given", extra=extra)
        return Exit(Why.RETRY, after=error.after, max_tries=error.max_tries, reason=reason)
    if isinstance(error, RunBroken) or is_passing(error):
        log.warning("run broken: %s", error, extra=extra)
        contention = is_contention(run.guard.broken or error)
        return Exit(Why.BROKEN, error=str(error), contention=contention)
    if isinstance(error, RunInterrupted):  # stopping, or a cancel, which the row knows
        log.info("handed back: %s", error.message, extra=extra)
        return Exit(Why.STOPPING)
    if not isinstance(error, HandlerBug):
        log.error("the outcome could not be written", exc_info=error, extra=extra)
    return Exit(Why.BUG)


class HandlerBug(Exception):
    """The handler raised what no handler should, or rolled its transaction back."""


def run_handler(kernel: Kernel, claimed: Claimed, run: Run) -> Outcome:
    """Call the handler and judge what it did; the writes of a success stay uncommitted.

    Returns success, warning, or the failure that the handler chose (`Reject`). Raises Retry,
    RunInterrupted when the run may not finish, and HandlerBug for everything else that a handler
    raises, of any class: the caller is told ``internal_error``, the log has the traceback.
    """
    outcome, failure = None, None
    try:
        outcome = _returned(kernel, run, claimed)
    except BaseException as error:  # noqa: BLE001 - a handler's code; no class of error ends a worker
        failure = error
    if (ended := interruption(run)) is not None:
        raise ended
    if outcome is not None and not run.guard.spoiled and run.guard.ended is None:
        return outcome
    undo(run)
    try:
        if isinstance(failure, HandlerVerdict):
            failure.check()
    except BaseException as wrong:  # noqa: BLE001 - of a handler's own class, perhaps
        failure = wrong
    if isinstance(failure, Retry):
        raise failure
    if isinstance(failure, Reject):
        code = failure.reject_code.encode().decode()
        return Outcome(OrderState.FAILED, cut(failure.message), error_code=code)
    _log_bug(failure, claimed, run.guard.ended)
    raise HandlerBug


def _returned(kernel: Kernel, run: Run, claimed: Claimed) -> Outcome:
    returned = claimed.handler.function(run, claimed.handler.parse(claimed.args))
    run.session.flush()
    if not is_guarded(run):
        raise RuntimeError("the handler has closed or changed its session's connection")
    if isinstance(returned, Partial):
        result = encode_result(returned.result)
        return Outcome(OrderState.WARNING, cut(returned.message), result)
    message = text("success", kernel.settings.language)
    return Outcome(OrderState.SUCCESS, message, encode_result(returned))


def _log_bug(failure: BaseException | None, claimed: Claimed, ended: str | None) -> None:
    extra = {"order_id": claimed.order.id, "select_tag": claimed.order.select_tag}
    if isinstance(failure, ValidationError):  # an older order, a newer model: say where, not what
        places = [".".join(map(str, found["loc"])) for found in failure.errors()]
        log.error("arguments no longer fit the handler's model: %s", places, extra=extra)
    elif ended is not None:
        log.error("%s ended the handler's transaction", ended, extra=extra)
    elif failure is None:
        log.error("the handler's transaction was rolled back inside it", extra=extra)
    else:
        log.error("bug in a handler", exc_info=failure, extra=extra)
