"""How a run ends that has no outcome: what was raised in it, as an Exit."""

import logging

from pydantic import ValidationError

from kernel.db.errors import is_contention, is_passing
from kernel.errors import Retry, RunBroken, RunInterrupted
from kernel.handlers import Run
from kernel.orders.decide import Exit, Why

log = logging.getLogger("kernel.runs.execute")


class HandlerBug(Exception):
    """The handler raised what no handler should, its cause, or rolled its transaction back."""


class UnfitArguments(Exception):
    """The handler's model refuses the order's arguments: the order is older than the model."""

    def __init__(self, error: ValidationError) -> None:
        super().__init__()
        self.error = error


class TimedOut(Exception):
    """The handler let TimeLimit pass, or it struck where nothing can be committed any more."""


def exit_of(run: Run, error: Exception, said: str) -> Exit:
    """Return how a run ended that raised ``error``, and log it unless it is a bug.

    ``said``: what the error says, for others; of one that came too late, what it struck.
    """
    extra = {"order_id": run.order_id}
    if isinstance(error, Retry):
        reason = error.reason or ""
        log.info("the handler asks for a retry: %s", reason or "no reason given", extra=extra)
        return Exit(Why.RETRY, after=error.after, max_tries=error.max_tries, reason=reason)
    if isinstance(error, RunBroken) and run.guard.refused:
        return Exit(Why.BUG)
    if isinstance(error, RunBroken) or is_passing(error):
        log.warning("run broken: %s", said, extra=extra)
        contention = is_contention(run.guard.broken or error)
        return Exit(Why.BROKEN, error=said, contention=contention)
    if isinstance(error, RunInterrupted):  # stopping, or a cancel, which the row knows
        log.info("handed back: %s", error.message, extra=extra)
        return Exit(Why.STOPPING)
    if isinstance(error, TimedOut):
        where = "in the midst of a statement" if error.__cause__ is None else said
        log.warning("timed out: %s", where, extra=extra)
        return Exit(Why.TIMED_OUT)
    return Exit(Why.BUG)


def text_of(error: BaseException) -> str:
    """Return what an error says. It may be of a handler's class, which may refuse to say it."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - a handler's class
        return "(its text cannot be read)"
