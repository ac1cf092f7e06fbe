"""What operators are told of an error that ended a run: its type, its place, its traceback.

An error is of the handler's code, which may be of any class and may refuse to say what it is. So
nothing here raises: a run's end is written in
any case.
"""

import logging
from collections.abc import Collection
from types import TracebackType

from pydantic import ValidationError

from kernel.errors import Retry, RunBroken, RunInterrupted, TimeLimit
from kernel.formats.envelope import MAX_MESSAGE
from kernel.handlers import Handler
from kernel.orders.decide import Failure
from kernel.runs.claim import Claimed
from kernel.runs.ends.exits import HandlerBug, TimedOut, UnfitArguments, text_of
from kernel.runs.secret_arguments import has_secrets, traceback_of, unfit, without_secrets
from kernel.runtime.kernel import Kernel

log = logging.getLogger("kernel.runs.execute")

MAX_NAME = 255
# Characters of a traceback that are kept: more than half of the end, where the error is.
MAX_HEAD, MAX_TAIL = 5_000, 10_000
LEFT_OUT = "\n... {count} characters left out ...\n"
# Between the texts that are masked together: no text has it afterwards, nor would every database
# take it.
_BETWEEN = "\0"


def failure_of(
    kernel: Kernel, claimed: Claimed, error: BaseException, of_steps: Collection[str] = ()
) -> Failure | None:
    """Return what is told of the error that ended a run; None when it tells of nothing wrong.

    Secrets of the order are masked, and those ``of_steps``. Never raises.
    """
    try:
        return _failure_of(kernel, claimed, error, of_steps)
    except Exception:
        log.exception("the error of a run cannot be told", extra={"order_id": claimed.order.id})
        return None


def _failure_of(
    kernel: Kernel, claimed: Claimed, error: BaseException, of_steps: Collection[str]
) -> Failure | None:
    wrong = told_of(error)
    if wrong is None:
        said = str(error) if isinstance(error, HandlerBug) else ""
        return Failure(message=_fit(said, MAX_MESSAGE)) if said else None
    # It says what was given: the log does not, nor does this.
    is_unfit = isinstance(error.__cause__, UnfitArguments)
    if isinstance(wrong, ValidationError) and (is_unfit or has_secrets(claimed, of_steps)):
        said = unfit(wrong)
    else:
        said = text_of(wrong)
    lines = "" if is_unfit else traceback_of(claimed, wrong, of_steps)
    masked = without_secrets(kernel, claimed, f"{said}{_BETWEEN}{lines}", of_steps)
    said, _, lines = masked.partition(_BETWEEN)
    # Where the limit struck is chance: such failures are of one kind by their code.
    kind = "" if isinstance(wrong, TimeLimit) else _kind(type(wrong))
    return Failure(
        kind=_fit(kind, MAX_NAME),
        place=_fit(place_of(wrong.__traceback__, claimed.handler), MAX_NAME),
        message=_fit(said, MAX_MESSAGE),
        traceback=_shortened(lines),
    )


def place_of(trace: TracebackType | None, handler: Handler) -> str:
    """Return the function of the handler's own package in which an error was raised, the innermost.

    Without its line, which each edit moves. Where none of its frames is left: the last frame of
    all, or nothing.
    """
    own, last = "", ""
    package = handler.function.__module__.partition(".")[0]
    while trace is not None:
        frame = trace.tb_frame
        module = str(frame.f_globals.get("__name__", "?"))
        code = frame.f_code
        last = f"{module}.{getattr(code, 'co_qualname', code.co_name)}"
        if _is_own(module, package, handler):
            own = last
        trace = trace.tb_next
    return own or last


def _is_own(module: str, package: str, handler: Handler) -> bool:
    if package == "kernel":  # a built-in one: the package is all of the service
        return module == handler.function.__module__
    return module.partition(".")[0] == package


def told_of(error: BaseException) -> BaseException | None:
    """Return the error that people should see of what ended a run."""
    if isinstance(error, HandlerBug | TimedOut | Retry):
        wrong = error.__cause__
        return wrong.error if isinstance(wrong, UnfitArguments) else wrong
    if isinstance(error, RunBroken):
        return error.__cause__ or error
    return None if isinstance(error, RunInterrupted) else error


def _kind(of: type[BaseException]) -> str:
    return of.__qualname__ if of.__module__ == "builtins" else f"{of.__module__}.{of.__qualname__}"


def _fit(said: str, length: int) -> str:
    """Return text that every database takes: no NUL, no lone surrogates, no longer than that."""
    return said.replace("\0", "").encode("utf-8", "replace").decode()[:length]


def _shortened(lines: str) -> str:
    left = len(lines) - MAX_HEAD - MAX_TAIL
    if left > 0:
        lines = lines[:MAX_HEAD] + LEFT_OUT.format(count=left) + lines[-MAX_TAIL:]
    return _fit(lines, len(lines))
