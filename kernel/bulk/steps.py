"""One step of a bulk act: claimed, done for a part of a second, and left for the next.

Each change has the job's row in its commit (`kernel.bulk.progress`). So a process may die at any
point: the next step, in any process, goes on behind the last change that was committed.
"""

import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from kernel.bulk.callbacks import drop_many, redeliver_many
from kernel.bulk.choosing import Page, Span, next_page
from kernel.bulk.jobs import abort
from kernel.bulk.kinds import JobState, Kind, Plan, plan_of
from kernel.bulk.orders import ForOthers, cancel_one, go_on_down, rerun_one
from kernel.bulk.progress import Left, Noting, Overtaken, Progress, claim, pause_after
from kernel.callers.audit.actor import SYSTEM
from kernel.callers.audit.acts import By
from kernel.db.errors import driver_error, is_outage, is_passing
from kernel.db.statements.keyset import Key
from kernel.db.transactions import retrying
from kernel.errors import KernelError, TooManyPending, Unavailable
from kernel.orders.backpressure import Pressure
from kernel.orders.transitions import RunEnd
from kernel.runtime.kernel import Kernel

# How long a step may go on, in seconds; the change that is under way then is its last.
STEP_SECONDS = 0.25
# Orders of a step, each with a commit of its own; callbacks of a step, in one commit.
ORDERS, CALLBACKS = 100, 500
# The time after which another process looks whether it can do what this one cannot.
FOR_OTHERS = timedelta(seconds=2)
SAID = 500
# Failed steps in a row, over a quarter of an hour, after which an act is ended: no later step would
# do better, and the act holds up its caller's next replay.
MOST_FAILURES = 20
GIVEN_UP = By(SYSTEM, f"{MOST_FAILURES} steps in a row have failed")


@dataclass(slots=True)
class Stepped:
    """What a step did, for hints and the result mirror."""

    job_id: str
    # Orders that it has cancelled, and the ends that followed from these.
    ends: list[RunEnd] = field(default_factory=list)
    # New orders.
    hints: list[str] = field(default_factory=list)
    # Whether callbacks are due.
    sends: bool = False
    # Why it ended early, if the error is no one item's own.
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class Worker:
    """What a process does steps with: its token, and how many orders of each caller are pending."""

    kernel: Kernel
    token: str
    pressure: Pressure
    seconds: float = STEP_SECONDS


def step(worker: Worker, job_id: str | None = None) -> Stepped | None:
    """Do a step of a job that is due, or of the one with this id; None when none is.

    Raises the error of a database that is away.
    """
    kernel = worker.kernel
    progress = claim(kernel, worker.token, job_id)
    if progress is None:
        return None
    stepped = Stepped(progress.job.id)
    try:
        _work(worker, progress, stepped)
    except Overtaken:
        pass
    except ForOthers as error:
        _rest(progress, FOR_OTHERS, str(error))
    except TooManyPending as error:
        seconds = float(error.data.get("retry_after", 1))
        _rest(progress, timedelta(seconds=seconds), error.message)
    except Exception as error:  # noqa: BLE001 - what was done before it is told all the same
        stepped.error = error
        if not is_outage(error):
            failures = progress.job.failures + 1
            _rest(progress, pause_after(failures), _in_words(error), failures=failures)
            passes = isinstance(error, Unavailable) or is_passing(error)
            if failures >= MOST_FAILURES and not passes:
                abort(kernel, progress.job.id, GIVEN_UP)
    return stepped


def _work(worker: Worker, progress: Progress, stepped: Stepped) -> None:
    job = progress.job
    try:
        plan = plan_of(job)
    except TypeError:
        raise ForOthers("left to a process of the newer release that knows it") from None
    most = ORDERS if plan.kind.is_of_orders else CALLBACKS
    quota = most if plan.rate is None else min(most, max(1, plan.rate // 60))
    with worker.kernel.read_session() as session:
        span = Span(job.until_id, job.created_at)
        page = next_page(session, plan, span, progress.place, quota)
    if not plan.kind.is_of_orders:
        _callbacks(worker.kernel, plan, progress, page)
        stepped.sends = plan.kind is Kind.REDELIVER and progress.done > 0
        whole = True
    else:
        whole = _orders(worker, plan, progress, (page, stepped))
    place, is_over = (page.edge, page.edge is None) if whole else (progress.place, False)
    pause = 60.0 * progress.done / plan.rate if plan.rate else 0.0
    _leave(progress, place if place is not None else progress.place, pause, is_over)


def _orders(worker: Worker, plan: Plan, progress: Progress, task: tuple[Page, Stepped]) -> bool:
    """Do one order after another; False when time is up: the last of them may not be done."""
    page, stepped = task
    deadline = time.monotonic() + worker.seconds
    if plan.kind is Kind.CANCEL and progress.place is not None:
        # The step before this one may have ended on the way to the children of its last order.
        (last,) = progress.place
        if not go_on_down(worker.kernel, last, stepped.ends, deadline):
            return False
    for place in page.keys:
        left = _one(worker, plan, Noting(progress, place), (stepped, deadline))
        if left is None:
            progress.written(place, 1)
        else:
            progress.left.append(left)
            progress.place = place
        if time.monotonic() > deadline:
            return False
    return True


def _one(worker: Worker, plan: Plan, by: Noting, task: tuple[Stepped, float]) -> Left | None:
    (order_id,) = by.place or ("",)
    stepped, deadline = task
    if plan.kind is Kind.CANCEL:
        return cancel_one(worker.kernel, order_id, by, stepped.ends, deadline)
    made = rerun_one(worker.kernel, order_id, by, plan.again, worker.pressure)
    if isinstance(made, Left):
        return made
    stepped.hints += made
    return None


def _callbacks(kernel: Kernel, plan: Plan, progress: Progress, page: Page) -> None:
    if not page.keys:
        return
    place = page.keys[-1] if page.edge is None else page.edge
    if plan.kind is Kind.REDELIVER:
        redeliver_many(kernel, progress, page.ids, place, reshaped=plan.reshaped)
    else:
        drop_many(kernel, progress, page.ids, place)


def _leave(progress: Progress, place: Key | None, pause: float, is_over: bool) -> None:
    """Write how far the step came, and give the job back; the last step ends it."""
    clock = progress.kernel.clock
    next_at = clock.sql(timedelta(seconds=pause))
    values: dict[str, Any] = {"next_at": next_at, "last_error": None, "failures": 0}
    if is_over:
        values |= {"state": JobState.DONE, "finished_at": clock.sql()}

    def once() -> None:
        with progress.kernel.write() as connection:
            progress.write(connection, place, 0, **values, claim_token=None, lease_until=None)

    with suppress(Overtaken):  # aborted meanwhile, or the answer to the first COMMIT was lost
        retrying(once)


def _rest(progress: Progress, pause: timedelta, said: str, failures: int = 0) -> None:
    """Give the job back until a later time, and say why.

    Its place stays as it was committed: of the last change only the answer may be lost.
    """
    values = {"next_at": progress.kernel.clock.sql(pause), "last_error": said[:SAID]}

    def once() -> None:
        with progress.kernel.write() as connection:
            progress.give_back(connection, failures=failures, **values)

    with suppress(Overtaken):
        retrying(once)


def _in_words(error: Exception) -> str:
    if isinstance(error, KernelError):
        return error.message
    return f"{type(error).__name__}: {driver_error(error)}"
