"""The writes of a run: checkpoint, outcome, hand-back and lease, each only while it owns its order.

The fence is the run number and the checkpoint number in the order's row. A write whose fence no
longer holds changes nothing and raises; it is the same code for every database.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import cast

from sqlalchemy import ColumnElement, Connection, and_, select, update
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Session

from kernel.db.errors import DRIVER_ERRORS, is_passing
from kernel.db.guard import unsealed
from kernel.db.states import OrderState, Outcome, OwedDelivery
from kernel.db.tables.orders import ORDERS, OrderSnapshot
from kernel.db.transactions import rowcount
from kernel.errors import LeaseLost, OrderCancelled, RunBroken, RunInterrupted, WorkerStopping
from kernel.handlers import Progress, Run
from kernel.runtime.kernel import Kernel, Reserve

log = logging.getLogger(__name__)


def interruption(run: Run) -> RunInterrupted | None:
    """Return what ended this run, however its handler went on afterwards."""
    if run.guard.broken is not None:
        return RunBroken(str(run.guard.broken))
    if run.lost:
        return LeaseLost()
    if run.stopping:
        return WorkerStopping()
    return OrderCancelled() if run.cancelled else None


def save_checkpoint(kernel: Kernel, run: Run, progress: Progress, state: str | None) -> None:
    """Commit the work so far with its progress and state. Raises RunInterrupted."""
    with _broken_by_passing_errors(run):
        run.session.flush()
        if ended := interruption(run):
            raise ended
        saved = run.session.execute(
            update(ORDERS)
            .where(
                _owned_by(run),
                ORDERS.c.checkpoint == run.checkpoints,
                ORDERS.c.cancel_requested_at.is_(None),
            )
            .values(
                checkpoint=run.checkpoints + 1,
                crashes=0,
                lease_until=kernel.clock.now() + kernel.lease,
                progress_current=progress.current,
                progress_total=progress.total,
                progress_note=progress.note,
                run_state=state,
            )
        )
        if rowcount(saved) != 1:
            _explain_refusal(run)
        _commit(run)
    run.checkpoints += 1
    run.renewed = time.monotonic()
    if kernel.stopping.is_set():
        run.stopping = True
        raise WorkerStopping


def commit_outcome(
    kernel: Kernel,
    held: OrderSnapshot,
    run: Run,
    outcome: Outcome,
    reserve: Reserve,
    along: Callable[[], object] = lambda: None,
) -> OwedDelivery:
    """T3: commit the handler's writes, the outcome and the delivery, which is returned.

    ``along`` writes what else shares this commit, as its last statement: what it locks is locked
    for a moment. It may raise RunBroken, and nothing from SQLAlchemy.
    Raises LeaseLost or RunBroken; nothing is committed then, or nobody will ever know: when the
    answer to COMMIT is lost, the row tells the next claim.
    """
    with _broken_by_passing_errors(run):
        fence = held._replace(state=OrderState.RUNNING, checkpoint=run.checkpoints)
        owed = kernel.finish(run.session, fence, outcome, reserve)
        if run.guard.broken is not None:
            raise RunBroken(str(run.guard.broken))
        if owed is None:
            raise LeaseLost
        along()
        _commit(run)
    return owed


def undo(run: Run) -> None:
    """Roll back what is not committed; a connection that is gone has done so already."""
    connection = cast(Connection, run.session.get_bind())
    with unsealed(run.guard):
        try:
            Session.rollback(run.session)
            # A COMMIT that was refused to the handler left SQLAlchemy without a transaction to
            # roll back, and the server with one.
            if not connection.invalidated:
                connection.connection.rollback()
        except (SQLAlchemyError, *DRIVER_ERRORS):
            log.debug("rollback on a lost connection", exc_info=True)
    run.guard.spoiled = False


def end(run: Run) -> None:
    """Close the session for good: kept by a handler, it would write into the next order's run."""
    with unsealed(run.guard), suppress(SQLAlchemyError, *DRIVER_ERRORS):
        Session.close(run.session)


def hand_back(kernel: Kernel, order_id: str, run: int, after: float) -> bool:
    """Give an order back: running → pending, due ``after`` seconds from now.

    Changes nothing when run number ``run`` no longer owns it. Returns False, and keeps both in
    ``kernel.owed`` for the dispatcher to try again, when the database cannot be reached.
    """
    try:
        with kernel.write_session() as session:
            session.execute(
                update(ORDERS)
                .where(_owned(order_id, run))
                .values(
                    state=OrderState.PENDING,
                    run_after=kernel.clock.now() + timedelta(seconds=after),
                    lease_until=None,
                    connection_id=None,
                )
            )
    except DBAPIError as error:
        log.warning("hand-back put off: %s", error.orig, extra={"order_id": order_id})
        kernel.owed[order_id] = run
        return False
    kernel.owed.pop(order_id, None)
    return True


def renew_leases(kernel: Kernel, runs: Sequence[Run], now: datetime) -> None:
    """Extend the leases of runs this process is executing, in one transaction.

    A run that no longer owns its order is marked lost. Database errors pass to the caller: a
    heartbeat that cannot be written is not a lost lease.
    """
    with kernel.write_session() as session:
        renewed = {
            run.order_id: rowcount(
                session.execute(
                    update(ORDERS).where(_owned_by(run)).values(lease_until=now + kernel.lease)
                )
            )
            for run in runs
        }
    for run in runs:
        run.renewed = time.monotonic()
        run.lost = run.lost or renewed[run.order_id] != 1


def _owned_by(run: Run) -> ColumnElement[bool]:
    return _owned(run.order_id, run.number)


def _owned(order_id: str, run: int) -> ColumnElement[bool]:
    running = ORDERS.c.state == OrderState.RUNNING
    return and_(ORDERS.c.id == order_id, running, ORDERS.c.run == run)


@contextmanager
def _broken_by_passing_errors(run: Run) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        if run.guard.broken is None and not is_passing(error.orig):
            raise
        run.guard.broken = run.guard.broken or error
        raise RunBroken(str(run.guard.broken)) from error


def _explain_refusal(run: Run) -> None:
    """Find out why a checkpoint's fence did not hold, and raise it."""
    row = run.session.execute(
        select(ORDERS.c.cancel_requested_at).where(_owned_by(run))
    ).one_or_none()
    run.cancelled = row is not None and row.cancel_requested_at is not None
    run.lost = not run.cancelled
    undo(run)
    raise OrderCancelled if run.cancelled else LeaseLost


def _commit(run: Run) -> None:
    with unsealed(run.guard):
        Session.commit(run.session)
