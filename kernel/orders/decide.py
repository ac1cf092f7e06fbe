"""What becomes of an order whose run ended without an outcome: one decision for every way out.

A table in `tests/orders/test_decide.py` says what each row of inputs comes to. `decide` is asked by
`kernel.orders.transitions.leave_running`, in the transaction that locks the order's row and writes
the answer: what the row says is what holds. Pure: no database, no clock.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

# Broken runs are counted in quarters: a deadlock or a lock wait (another transaction was first)
# counts one, every other passing error four. An order whose runs broke this often ends as failed.
BROKEN_QUARTERS = 4
MAX_BROKEN = 20 * BROKEN_QUARTERS
# A broken order is due again after this many seconds, doubled with each run.
SETBACK_SECONDS = 0.2
MAX_SETBACK_SECONDS = 30.0
# An order that lost its worker n times is due again after 0, 2, 4, 8 ... seconds.
CRASH_SECONDS = 2.0
MAX_CRASH_PAUSE_SECONDS = 60.0
# An order whose handler asks for a retry and does not say when is due again after this many
# seconds, doubled with each of its retries.
RETRY_SECONDS = 5.0
MAX_RETRY_PAUSE_SECONDS = 900.0
# An order whose handler waits again and again ends as failed with this run: what it waits for is
# there each time.
MAX_WAITING_RUNS = 10_000


class Why(StrEnum):
    """Why a run ended without an outcome."""

    # The handler asked to be run again (`Retry`).
    RETRY = "retry"
    # The handler waits for something (`Wait`); what the run has written is committed.
    WAIT = "wait"
    # The database dropped the run's transaction or connection.
    BROKEN = "broken"
    # The order was claimed, and its handler was never called.
    NOT_BEGUN = "not_begun"
    # The worker is shutting down.
    STOPPING = "stopping"
    # The worker's process died, or stopped renewing its leases.
    DIED = "died"
    # A person had the worker's process terminated. It counts as a crash: what hangs each time does
    # not go round for ever.
    TERMINATED = "terminated"
    # The run exceeded its handler's time limit.
    TIMED_OUT = "timed_out"
    # The handler raised something unforeseen, or the outcome could not be written.
    BUG = "bug"


_CRASHES = (Why.DIED, Why.TERMINATED)


@dataclass(frozen=True, slots=True)
class Failure:
    """What operators are told of an error: the exception's type, and the function that raised it.

    ``message``: what it says. Secrets are masked, and everything is cut to its column. ``kind`` is
    empty where no exception tells of one kind of error.
    """

    kind: str = ""
    place: str = ""
    message: str = ""
    traceback: str = ""


@dataclass(frozen=True, slots=True)
class Exit:
    """How a run ended without an outcome. It keeps its reason when it has to be written later.

    For RETRY: ``after``, seconds until the order is due again (None: the longer, the more retries
    it had), ``max_tries``, the number of retries it may have (None: any number), and ``reason``,
    for the caller. ``error``: the last error of a broken run, for the caller. ``contention``: the
    database refused because another transaction was first. ``put_off``: the exit could not be
    written at once, so the database was away. For WAIT: ``what`` the order waits for, and
    ``until`` when at the longest.
    """

    why: Why
    after: float | None = None
    error: str = ""
    contention: bool = False
    put_off: bool = False
    max_tries: int | None = None
    reason: str = ""
    what: str = ""
    until: datetime | None = None
    failure: Failure | None = None

    def later(self) -> "Exit":
        """Return the same exit, marked as one that could not be written at once."""
        return replace(self, put_off=True)


NOT_BEGUN = Exit(Why.NOT_BEGUN)


@dataclass(frozen=True, slots=True)
class Standing:
    """What the order's row says when a run ends: the counters, and what was asked of it.

    ``crashes`` and ``broken`` are set to 0 by a checkpoint; ``timeouts`` and ``retries`` never.
    ``marked``: a statement has ended the run's transaction: part of its work is stored.
    ``max_runs``: the handler's limit of crashes and time-outs; None where it is not known.
    """

    run: int
    crashes: int = 0
    broken: int = 0
    timeouts: int = 0
    retries: int = 0
    cancel_requested: bool = False
    marked: bool = False
    max_runs: int | None = None
    # Checkpoints of all runs, and whether its not_after is past.
    checkpoint: int = 0
    is_late: bool = False
    # Whether a run before this one has begun, as its row tells. Older releases wrote none.
    has_begun: bool = False


@dataclass(frozen=True, slots=True)
class Again:
    """The order is pending again, due in ``after`` seconds, with these counters.

    ``not_begun``: no run of it has begun yet, so that its not_after still holds.
    """

    after: float
    crashes: int
    broken: int
    timeouts: int
    retries: int
    not_begun: bool = False


@dataclass(frozen=True, slots=True)
class Waits:
    """The order waits for ``what``, and until ``until`` at the longest."""

    what: str
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Ended:
    """The order ends with this error code; ``detail`` follows the text of the code."""

    code: str
    detail: str = ""


def decide(exit_: Exit, row: Standing) -> Again | Waits | Ended:
    """Return what becomes of the order.

    An order of which part is stored is never run again. A cancel that was acknowledged is honoured
    by every other exit. A broken run counts only if its exit
    could be written at once: then the database takes writes, and the trouble is the run's own.
    """
    why, again = exit_.why, _counted(exit_, row)
    verdicts = (
        (row.marked, Ended("transaction_ended")),
        (row.cancel_requested, Ended("cancelled")),
        (again.not_begun and row.is_late, Ended("expired")),
        (why is Why.BUG, Ended("internal_error")),
        (why in _CRASHES and _reached(again.crashes, row), Ended("worker_lost")),
        (why is Why.TIMED_OUT and _reached(again.timeouts, row), Ended("timed_out")),
        (why is Why.BROKEN and again.broken >= MAX_BROKEN, Ended("keeps_breaking", exit_.error)),
        (_retried_enough(exit_, row), Ended("too_many_retries", exit_.reason)),
        (why is Why.WAIT and row.run >= MAX_WAITING_RUNS, Ended("waits_too_often", exit_.what)),
    )
    goes_on = Waits(exit_.what, exit_.until) if why is Why.WAIT else again
    return next((ended for holds, ended in verdicts if holds), goes_on)


def _counted(exit_: Exit, row: Standing) -> Again:
    """Return when the order is due again, and its counters with this exit counted."""
    why = exit_.why
    asked = retry_pause(row.retries) if exit_.after is None else max(0.0, exit_.after)
    pauses = {
        Why.RETRY: asked,
        Why.BROKEN: setback(row.run),
        **dict.fromkeys(_CRASHES, crash_pause(row.crashes + 1)),
    }
    quarters = 1 if exit_.contention else BROKEN_QUARTERS
    return Again(
        after=pauses.get(why, 0.0),
        crashes=row.crashes + (why in _CRASHES),
        broken=row.broken + (quarters if why is Why.BROKEN and not exit_.put_off else 0),
        timeouts=row.timeouts + (why is Why.TIMED_OUT),
        retries=row.retries + (why is Why.RETRY),
        not_begun=why is Why.NOT_BEGUN and not _has_left_a_trace(row),
    )


def _has_left_a_trace(row: Standing) -> bool:
    """Tell whether a run before this one has begun, as far as the rows show it."""
    if row.has_begun:
        return True
    return bool(row.checkpoint or row.crashes or row.broken or row.timeouts or row.retries)


def setback(run: int) -> float:
    """Return after how many seconds a broken order is due again: 0.2, 0.4, 0.8 ... 30."""
    return min(MAX_SETBACK_SECONDS, SETBACK_SECONDS * 2.0 ** min(run - 1, 10))


def crash_pause(crashes: int) -> float:
    """Return after how many seconds an order is due after its ``crashes``-th: 0, 2, 4, 8 ... 60."""
    if crashes < 2:
        return 0.0
    return min(MAX_CRASH_PAUSE_SECONDS, CRASH_SECONDS * 2.0 ** min(crashes - 2, 10))


def retry_pause(retries: int) -> float:
    """Return after how many seconds an order is due again that had ``retries``: 5, 10 ... 900."""
    return min(MAX_RETRY_PAUSE_SECONDS, RETRY_SECONDS * 2.0 ** min(retries, 10))


def _retried_enough(exit_: Exit, row: Standing) -> bool:
    limit = exit_.max_tries
    return exit_.why is Why.RETRY and limit is not None and row.retries >= limit


def _reached(count: int, row: Standing) -> bool:
    return row.max_runs is not None and count >= row.max_runs
