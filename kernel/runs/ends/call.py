"""The handler is called, and judged: an outcome whose writes are not committed yet, or an error."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from pydantic import ValidationError

from kernel.config.logging import binding
from kernel.db.guard import SPOILED
from kernel.db.states import OrderState, Outcome
from kernel.errors import HandlerVerdict, Reject, Retry, TimeLimit
from kernel.formats.envelope import cut, encode_result
from kernel.formats.texts import text
from kernel.handlers import Partial, Run, Wait
from kernel.handlers.run import ONE_COMMIT
from kernel.orders.decide import Exit, Why
from kernel.orders.secrets.arguments import SecretsGone
from kernel.orders.transitions import RunEnd
from kernel.runs.claim import Claimed
from kernel.runs.ends.exits import HandlerBug, TimedOut, UnfitArguments, exit_of, text_of
from kernel.runs.ends.failures import failure_of, told_of
from kernel.runs.ends.forked import in_this_process
from kernel.runs.fence import discard, interruption, is_guarded, undo
from kernel.runs.secret_arguments import arguments, log_failure, places_of, without_secrets
from kernel.runtime.kernel import Kernel
from kernel.runtime.metrics import ORDER_SECONDS, RUN_SECONDS, RUNS

log = logging.getLogger("kernel.runs.execute")
ROLLED_BACK = "the handler's transaction was rolled back inside it"


@contextmanager
def following(kernel: Kernel, claimed: Claimed, run: Run) -> Iterator[Callable[[str], None]]:
    """Put a span around a run, and its ids in every log line; yield what is told how it ended."""
    order, trace = claimed.order, claimed.trace
    ids: dict[str, Any] = {"order_id": order.id, "select_tag": order.select_tag, "run": order.run}
    with (
        binding(**ids, reference=order.reference, request_id=trace.request_id),
        kernel.tracer.span("kernel.run", "consumer", trace.traceparent) as span,
    ):
        run.traceparent = span.traceparent
        yield lambda word: span.note(word == OrderState.FAILED, outcome=word, **ids)


def word_for(end: RunEnd) -> str:
    """Return how a run ended, in the word that spans and counters have for it."""
    if end.outcome is not None:
        return end.outcome.state
    if end.waits:
        return "waits"
    return "lost" if end.again_in is None else "again"


def count_run(kernel: Kernel, claimed: Claimed, end: RunEnd, seconds: float) -> None:
    """Count a run that has ended and took ``seconds``, and its order if that has ended."""
    order = claimed.order
    kernel.metrics.count(RUNS, order.select_tag, word_for(end))
    kernel.metrics.observe(RUN_SECONDS, seconds, order.select_tag)
    if end.outcome is not None:
        lasted = (kernel.clock.now() - order.created_at).total_seconds()
        kernel.metrics.observe(ORDER_SECONDS, lasted, order.select_tag)


def judged(kernel: Kernel, claimed: Claimed, run: Run, error: Exception) -> Exit:
    """Return how a run ended that raised ``error``, logged, and told to who listens for bugs.

    An error that cannot be told is a bug all the same: the run ends.
    """
    try:
        return _judged(kernel, claimed, run, error)
    except BaseException:  # noqa: BLE001 - of a handler's class, in which anything may raise
        _say_untellable(claimed)
        return Exit(Why.BUG)


def _judged(kernel: Kernel, claimed: Claimed, run: Run, error: Exception) -> Exit:
    secrets, struck = run.steps.secrets, error.__cause__ if isinstance(error, TimedOut) else None
    exit_ = exit_of(run, error, without_secrets(kernel, claimed, text_of(struck or error), secrets))
    if exit_.why is Why.BUG and not isinstance(error, HandlerBug):
        said = "the outcome could not be written"
        log_failure(kernel, claimed, error, {"order_id": run.order_id}, said, secrets)
    exit_ = replace(exit_, failure=failure_of(kernel, claimed, error, secrets))
    for hear in kernel.on_bug if exit_.why is Why.BUG else ():
        hear(run.order_id, told_of(error) or error)
    return exit_


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
    if _is_time_limit(failure) or (run.limit.inside and not isinstance(failure, Retry)):
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
    try:
        _log_bug(kernel, failure, (claimed, run), told)
    except BaseException:  # noqa: BLE001 - as in `judged`
        _say_untellable(claimed)
    raise HandlerBug(told or ROLLED_BACK) from failure


def _is_time_limit(failure: BaseException | None) -> bool:
    """Tell TimeLimit, also among the errors of tasks that it has struck in."""
    if isinstance(failure, BaseExceptionGroup):
        return failure.subgroup(TimeLimit) is not None
    return isinstance(failure, TimeLimit)


def _returned(kernel: Kernel, run: Run, claimed: Claimed) -> Outcome | Wait:
    try:
        args = claimed.handler.parse(arguments(kernel, claimed))
    except SecretsGone:
        message = text(SecretsGone.code, kernel.settings.language)
        return Outcome(OrderState.FAILED, message, error_code=SecretsGone.code)
    except ValidationError as error:
        raise UnfitArguments(error) from error
    call = partial(in_this_process, partial(claimed.handler.function, run, args))
    returned = run.limit.call(call)
    run.session.flush()
    if not is_guarded(run):
        raise RuntimeError("the handler has closed or changed its session's connection")
    if not kernel.dialect.can_commit(run.session.connection()):
        raise RuntimeError(SPOILED)
    if isinstance(returned, Wait):
        if run.together:
            raise RuntimeError(f"no Wait of a handler with together=True: {ONE_COMMIT}")
        return returned
    if isinstance(returned, Partial):
        result = encode_result(returned.result, claimed.handler.result)
        return Outcome(OrderState.WARNING, cut(returned.message), result)
    message = text("success", kernel.settings.language)
    result = encode_result(returned, claimed.handler.result)
    return Outcome(OrderState.SUCCESS, message, result)


def _say_untellable(claimed: Claimed) -> None:
    """Log it without the error, of which every look may raise."""
    extra = {"order_id": claimed.order.id, "select_tag": claimed.order.select_tag}
    log.error("bug in a handler, whose error cannot be told", extra=extra)


def _log_bug(
    kernel: Kernel, failure: BaseException | None, of: tuple[Claimed, Run], ended: str | None
) -> None:
    claimed, run = of
    extra = {"order_id": claimed.order.id, "select_tag": claimed.order.select_tag}
    if isinstance(failure, UnfitArguments):  # an older order, a newer model: say where, not what
        places = places_of(failure.error)
        log.error("arguments no longer fit the handler's model: %s", places, extra=extra)
    elif ended is not None:
        log.error(ended, extra=extra)
    elif failure is None:
        log.error(ROLLED_BACK, extra=extra)
    else:
        log_failure(kernel, claimed, failure, extra, of_steps=run.steps.secrets)
