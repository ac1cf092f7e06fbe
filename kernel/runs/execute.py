"""T3: run the handler of an order that was claimed; commit work, outcome and callback together.

Nothing is retried inside a run. When the database drops the transaction, or the lease is lost,
the run can commit nothing more: the order goes back to pending and the next claim is run + 1.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from kernel.db.errors import DATABASE_ERRORS, driver_error
from kernel.db.states import OrderState, Outcome
from kernel.db.tables.gates import Has
from kernel.delivery.first_attempt import FirstAttempts
from kernel.errors import LeaseLost, Unavailable
from kernel.handlers import Run, Wait
from kernel.orders.cancel import go_down
from kernel.orders.decide import NOT_BEGUN, Exit, Why
from kernel.orders.gates.children import with_parent
from kernel.orders.transitions import RunEnd
from kernel.runs.begin import begin_run
from kernel.runs.claim import Batch, Claimed
from kernel.runs.ends.call import count_run, following, judged, run_handler, word_for
from kernel.runs.ends.failures import failure_of
from kernel.runs.ends.unclaimed import end_unclaimed
from kernel.runs.fence import is_fit, release, reopened, throw_away, undo
from kernel.runs.finish import finish, suspend
from kernel.runs.leases import leave, leave_unbegun
from kernel.runs.secret_arguments import log_failure
from kernel.runs.together.company import Company
from kernel.runtime.kernel import Kernel

log = logging.getLogger(__name__)

_AWAY: tuple[type[Exception], ...] = (Unavailable, *DATABASE_ERRORS)


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
                batch.next = claimed  # handed back if this generator is not asked again
                yield from batch.take_hints()
                batch.next = None
                if beside := batch.take_beside():
                    yield from _execute_together(batch, [claimed, *beside])
                else:
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
    while True:
        try:
            return batch.claim()
        except DATABASE_ERRORS as error:
            if batch.unseen:
                raise
            log.warning(
                "others may have the rest: %s", driver_error(error), extra={"order_ids": batch.left}
            )
            return None
        except Exception as error:
            if batch.unseen or not batch.found:  # it is no one order's own
                raise
            batch.hint(end_unclaimed(batch.kernel, batch.found.popleft(), error))


def _execute_together(batch: Batch, claimed: Sequence[Claimed]) -> Iterator[RunEnd]:
    """Run orders that share commits; where one breaks that, each is run again by itself."""
    company = Company(batch, claimed)
    try:
        while company.goes_on:
            yield from company.run()
        batch.claims_along = False
        while company.alone and not batch.kernel.stopping.is_set() and is_fit(batch.connection):
            yield _execute(batch, company.take_alone())
    finally:
        batch.claims_along = True
        company.hand_back()


def _execute(batch: Batch, claimed: Claimed) -> RunEnd:
    kernel, connection, order = batch.kernel, batch.connection, claimed.order
    try:
        run = begin_run(batch, claimed)
    except Exception as error:  # noqa: BLE001 - told there; what is claimed has to leave its run
        kernel.running.pop((order.id, order.run), None)  # it may have begun beside others before
        exit_ = _not_begun(batch, claimed, error)
        return leave_unbegun(kernel, order, claimed.number, exit_)
    along = batch.claims_along
    try:
        end = _followed(batch, claimed, run)
    finally:
        kernel.running.pop((run.order_id, run.number), None)
        release(run, connection, batch.pooled)
        batch.claims_along = along
        if run.guard.lasts:
            batch.pooled = reopened(connection, batch.pooled)
    if end.outcome is not None and (run.gates or 0) & Has.CHILDREN:
        batch.hint(_go_down(kernel, end.order_id, end.outcome))
    return end if claimed.max_running is None else replace(end, makes_room=True)


def _not_begun(batch: Batch, claimed: Claimed, error: Exception) -> Exit:
    """Return how an order leaves that is claimed and cannot begin: handed back, or by a bug."""
    extra = {"order_id": claimed.order.id, "select_tag": claimed.order.select_tag}
    if isinstance(error, DATABASE_ERRORS):
        log.warning("handed back before it began: %s", driver_error(error), extra=extra)
        throw_away(batch.connection)
        return NOT_BEGUN
    log_failure(batch.kernel, claimed, error, extra, "the order cannot begin")
    for hear in batch.kernel.on_bug:
        hear(claimed.order.id, error)
    return Exit(Why.BUG, failure=failure_of(batch.kernel, claimed, error))


def _go_down(kernel: Kernel, order_id: str, outcome: Outcome) -> list[RunEnd]:
    """Cancel the children of an order that was cancelled, those of its last commit included.

    Returns what became of them, and of those that they let go on.
    """
    ends: list[RunEnd] = []
    if outcome.state != OrderState.CANCELLED:
        return ends
    try:
        go_down(kernel, order_id, ends)
    except _AWAY as error:
        log.warning("children left to the sweep: %s", error, extra={"order_id": order_id})
    return ends


def _followed(batch: Batch, claimed: Claimed, run: Run) -> RunEnd:
    """Conclude a run, with a span around it, its ids in every log line, and counted."""
    with following(batch.kernel, claimed, run) as note:
        end = _conclude(batch, claimed, run)
        note(word_for(end))
    count_run(batch.kernel, claimed, end, time.monotonic() - run.started)
    return end


def _conclude(batch: Batch, claimed: Claimed, run: Run) -> RunEnd:
    """Run the handler and commit its outcome; without one, write what `decide` says."""
    try:
        word = run_handler(batch.kernel, claimed, run)
        batch.claims_along = batch.claims_along and not run.guard.lasts
        if isinstance(word, Wait):
            return suspend(batch, claimed, run, word)
        return finish(batch, claimed, run, word)
    except LeaseLost:
        log.warning("lost to another run", extra={"order_id": run.order_id, "run": run.number})
        undo(run)
        return RunEnd(run.order_id)
    except Exception as error:  # noqa: BLE001 - a handler may leave its connection in any state
        exit_ = judged(batch.kernel, claimed, run, error)
    undo(run)
    # Before anything is written: SQLite's writer may get the connection that the handler gave back.
    release(run, batch.connection, batch.pooled)
    batch.hand_back()
    return leave(batch.kernel, run.order_id, run.number, exit_, run.gates)
