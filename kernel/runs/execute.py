"""T3: run the handler of an order that was claimed; commit work, outcome and callback together.

Nothing is retried inside a run. When the database drops the transaction, or the lease is lost,
the run can commit nothing more: the order goes back to pending and the next claim is run + 1.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError

from kernel.config.logging import binding
from kernel.db.errors import DRIVER_ERRORS
from kernel.db.guard import SPOILED
from kernel.db.states import OrderState, Outcome
from kernel.db.tables.gates import Has
from kernel.delivery.first_attempt import FirstAttempts
from kernel.errors import (
    HandlerVerdict,
    LeaseLost,
    Reject,
    Retry,
    TimeLimit,
    Unavailable,
)
from kernel.formats.envelope import cut, encode_result
from kernel.formats.texts import text
from kernel.handlers import Partial, Run, Wait
from kernel.orders.cancel import cancel_children
from kernel.orders.decide import Exit, Why
from kernel.orders.gates.children import with_parent
from kernel.orders.secrets.arguments import SecretsGone
from kernel.orders.transitions import RunEnd
from kernel.runs.begin import begin_run
from kernel.runs.claim import Batch, Claimed
from kernel.runs.exits import HandlerBug, TimedOut, exit_of
from kernel.runs.failures import failure_of, told_of
from kernel.runs.fence import (
    discard,
    interruption,
    is_guarded,
    release,
    undo,
)
from kernel.runs.finish import finish, suspend
from kernel.runs.leases import leave
from kernel.runs.secret_arguments import arguments, log_failure, without_secrets
from kernel.runtime.kernel import Kernel
from kernel.runtime.metrics import ORDER_SECONDS, RUN_SECONDS, RUNS

log = logging.getLogger(__name__)
ROLLED_BACK = "the handler's transaction was rolled back inside it"


def execute(
    kernel: Kernel, order_id: str, first_attempts: FirstAttempts | None = None
) -> RunEnd | None:
    """Run one order if it is due and no other process has it; None when there was nothing to do.

    As `execute_each`, for one.
    """
    ends = list(execute_each(kernel, [order_id], first_attempts))
    return next((end for end in ends if end.order_id == order_id), None)


def execute_each(
    kernel: Kernel, order_ids: Sequence[str], first_attempts: FirstAttempts | None = None
) -> Iterator[RunEnd]:
    """Run orders one after the other, each if it is due and no other process has it.

    Yields what became of each before the next begins. Duplicate, early and unknown hints change
    nothing and yield nothing. If earlier orders took too long, the remaining ones are yielded with
    ``again_in=0`` so that another worker can take them. So are orders that go on because a limit
    lets them. ``first_attempts`` says which callbacks
    this process sends itself. Raises SQLAlchemy's errors when the database cannot be reached for a
    claim. Blocks for as long as the handlers take; one call per thread.
    """
    if kernel.stopping.is_set():
        return
    with kernel.run_connection() as connection:
        batch = Batch(kernel, connection, order_ids, first_attempts)
        try:
            while (claimed := _claim(batch)) is not None:
                yield from batch.take_hints()
                yield with_parent(kernel, _execute(batch, claimed))
                yield from batch.take_hints()
        finally:
            batch.hand_back()
    yield from batch.take_hints()
    for end in batch.ends:
        yield with_parent(kernel, end)
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
        return leave(kernel, order.id, order.run, Exit(Why.NOT_BEGUN), order.gates)
    try:
        end = _followed(batch, claimed, run)
    finally:
        kernel.running.pop((run.order_id, run.number), None)
        release(run, connection, batch.pooled)
    if end.outcome is not None and (run.gates or 0) & Has.CHILDREN:
        batch.hint(_go_down(kernel, end.order_id, end.outcome))
    return end if claimed.max_running is None else replace(end, makes_room=True)


def _go_down(kernel: Kernel, order_id: str, outcome: Outcome) -> list[RunEnd]:
    """Cancel the children of an order that was cancelled, those of its last commit included.

    Returns what became of them, and of those that they let go on.
    """
    ends: list[RunEnd] = []
    if outcome.state != OrderState.CANCELLED:
        return ends
    try:
        cancel_children(kernel, order_id, ends)
    except (DBAPIError, Unavailable) as error:
        log.warning("children not cancelled: %s", error, extra={"order_id": order_id})
    return ends


def _followed(batch: Batch, claimed: Claimed, run: Run) -> RunEnd:
    """Conclude a run, with a span around it, its ids in every log line, and counted."""
    kernel, order, trace = batch.kernel, claimed.order, claimed.trace
    ids: dict[str, Any] = {"order_id": order.id, "select_tag": order.select_tag, "run": order.run}
    with (
        binding(**ids, reference=order.reference, request_id=trace.request_id),
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
    if end.waits:
        return "waits"
    return "lost" if end.again_in is None else "again"


def _conclude(batch: Batch, claimed: Claimed, run: Run) -> RunEnd:
    """Run the handler and commit its outcome; without one, write what `decide` says."""
    try:
        word = run_handler(batch.kernel, claimed, run)
        if isinstance(word, Wait):
            return suspend(batch, run, word)
        return finish(batch, claimed, run, word)
    except LeaseLost:
        log.warning("lost to another run", extra={"order_id": run.order_id, "run": run.number})
        undo(run)
        return RunEnd(run.order_id)
    except Exception as error:  # noqa: BLE001 - a handler may leave its connection in any state
        exit_ = exit_of(run, error, without_secrets(batch.kernel, claimed, str(error)))
        if exit_.why is Why.BUG and not isinstance(error, HandlerBug):
            said = "the outcome could not be written"
            log_failure(batch.kernel, claimed, error, {"order_id": run.order_id}, said)
        exit_ = replace(exit_, failure=failure_of(batch.kernel, claimed, error))
        for hear in batch.kernel.on_bug if exit_.why is Why.BUG else ():
            hear(run.order_id, told_of(error) or error)
    undo(run)
    # Before anything is written: SQLite's writer may get the connection that the handler gave back.
    release(run, batch.connection, batch.pooled)
    batch.hand_back()
    return leave(batch.kernel, run.order_id, run.number, exit_, run.gates)


def run_handler(kernel: Kernel, claimed: Claimed, run: Run) -> Outcome | Wait:
    """Call the handler and judge what it did; the writes of a success stay uncommitted.

    Returns success, warning, the failure that the handler chose (`Reject`), or its Wait. Raises
    Retry, RunInterrupted when the run may not finish, TimedOut after its soft limit, and HandlerBug
    for everything else that a handler raises, of any class: the caller is told ``internal_error``,
    the log has the traceback.
    """
    outcome, failure = None, None
    try:
        outcome = _returned(kernel, run, claimed)
    except BaseException as error:  # noqa: BLE001 - a handler's code; no class of error ends a worker
        failure = error
    if run.limit.inside:
        discard(kernel, run)
    if isinstance(failure, TimeLimit) or (run.limit.inside and not isinstance(failure, Retry)):
        raise TimedOut from failure
    if not run.limit.inside and (ended := interruption(run)) is not None:
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
    told = run.guard.told if run.guard.ended else None
    _log_bug(kernel, failure, claimed, told)
    raise HandlerBug(told or ROLLED_BACK) from failure


def _returned(kernel: Kernel, run: Run, claimed: Claimed) -> Outcome | Wait:
    try:
        args = claimed.handler.parse(arguments(kernel, claimed))
    except SecretsGone:
        message = text(SecretsGone.code, kernel.settings.language)
        return Outcome(OrderState.FAILED, message, error_code=SecretsGone.code)
    returned = run.limit.call(lambda: claimed.handler.function(run, args))
    run.session.flush()
    if not is_guarded(run):
        raise RuntimeError("the handler has closed or changed its session's connection")
    if not kernel.dialect.can_commit(run.session.connection()):
        raise RuntimeError(SPOILED)
    if isinstance(returned, Wait):
        return returned
    if isinstance(returned, Partial):
        result = encode_result(returned.result, claimed.handler.result)
        return Outcome(OrderState.WARNING, cut(returned.message), result)
    message = text("success", kernel.settings.language)
    result = encode_result(returned, claimed.handler.result)
    return Outcome(OrderState.SUCCESS, message, result)


def _log_bug(
    kernel: Kernel, failure: BaseException | None, claimed: Claimed, ended: str | None
) -> None:
    extra = {"order_id": claimed.order.id, "select_tag": claimed.order.select_tag}
    if isinstance(failure, ValidationError):  # an older order, a newer model: say where, not what
        places = [".".join(map(str, found["loc"])) for found in failure.errors()]
        log.error("arguments no longer fit the handler's model: %s", places, extra=extra)
    elif ended is not None:
        log.error(ended, extra=extra)
    elif failure is None:
        log.error(ROLLED_BACK, extra=extra)
    else:
        log_failure(kernel, claimed, failure, extra)
