"""The fence: what a run writes takes effect only while the run owns its order.

The fence is the run number and the checkpoint number in the order's row. A write whose fence no
longer holds changes nothing and raises; it is the same code for every database.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, cast

from sqlalchemy import ColumnElement, Connection, and_, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from kernel.db.errors import is_passing
from kernel.db.guard import GUARD, unsealed
from kernel.db.states import OrderState
from kernel.db.tables.orders import ORDERS
from kernel.db.transactions import rowcount
from kernel.errors import LeaseLost, OrderCancelled, RunBroken, RunInterrupted, WorkerStopping
from kernel.handlers import Progress, Run
from kernel.runtime.kernel import Kernel

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
    with broken_by_passing_errors(run):
        run.session.flush()
        if ended := interruption(run):
            raise ended
        saved = run.session.execute(
            update(ORDERS)
            .where(
                owned_by(run),
                ORDERS.c.checkpoint == run.checkpoints,
                ORDERS.c.cancel_requested_at.is_(None),
            )
            .values(
                checkpoint=run.checkpoints + 1,
                crashes=0,
                broken=0,
                lease_until=kernel.clock.now() + kernel.lease,
                progress_current=progress.current,
                progress_total=progress.total,
                progress_note=progress.note,
                run_state=state,
            )
        )
        if rowcount(saved) != 1:
            _explain_refusal(run)
        commit(run)
    run.checkpoints += 1
    run.renewed = time.monotonic()
    if kernel.stopping.is_set():
        run.stopping = True
        raise WorkerStopping


def commit(run: Run) -> None:
    """Commit what the run has written; only the kernel may."""
    with unsealed(run.guard):
        Session.commit(run.session)
    run.guard.holds = False


def undo(run: Run) -> None:
    """Roll back what is not committed, in what state the handler has left its connection.

    A connection that is gone has rolled back already. One that cannot is thrown away: its server
    rolls back then.
    """
    with unsealed(run.guard):
        connection = None
        try:
            connection = cast(Connection, run.session.get_bind())
            Session.rollback(run.session)
            # A COMMIT that was refused to the handler left SQLAlchemy without a transaction to
            # roll back, and the server with one.
            if not connection.invalidated:
                connection.connection.rollback()
        except Exception:
            log.debug("rollback on a lost connection", exc_info=True)
            _throw_away(connection)
    run.guard.spoiled = False


def release(run: Run, connection: Connection, pooled: dict[Any, Any]) -> None:
    """End the run's use of its connection, for the next order's run; or throw the connection away.

    ``pooled``: the connection's ``info``, from before the handler began. The session is closed for
    good: kept by a handler, it would write into the next order's run. A connection that the
    handler has closed, given back to the pool or left in a transaction is thrown away.
    """
    # For good: given back to the pool by the handler, the connection still carries this guard.
    run.guard.sealed = False
    with suppress(Exception):
        Session.close(run.session)
    if pooled.get(GUARD) is run.guard:
        del pooled[GUARD]
    if not is_fit(connection) or connection.in_transaction():
        _throw_away(connection)
    else:
        connection.info.pop(GUARD, None)


def is_fit(connection: Connection) -> bool:
    """Tell whether ``connection`` still holds a connection to the database. Asks no server."""
    return not (connection.closed or connection.invalidated) and connection.connection.is_valid


def is_guarded(run: Run) -> bool:
    """Tell whether the session of ``run`` still has the connection that its guard watches."""
    connection = cast(Connection, run.session.get_bind())
    return is_fit(connection) and connection.info.get(GUARD) is run.guard


def _throw_away(connection: Connection | None) -> None:
    if connection is None:
        return
    with suppress(Exception):
        connection.invalidate()


def owned_by(run: Run) -> ColumnElement[bool]:
    """Return the condition that ``run`` still owns its order."""
    running = ORDERS.c.state == OrderState.RUNNING
    return and_(ORDERS.c.id == run.order_id, running, ORDERS.c.run == run.number)


@contextmanager
def broken_by_passing_errors(run: Run) -> Iterator[None]:
    """Raise RunBroken when the database drops the run's transaction inside the block."""
    try:
        yield
    except DBAPIError as error:
        if run.guard.broken is None and not is_passing(error.orig):
            raise
        run.guard.broken = run.guard.broken or error.orig
        raise RunBroken(str(run.guard.broken)) from error


def _explain_refusal(run: Run) -> None:
    """Find out why a checkpoint's fence did not hold, and raise it."""
    row = run.session.execute(
        select(ORDERS.c.cancel_requested_at).where(owned_by(run))
    ).one_or_none()
    run.cancelled = row is not None and row.cancel_requested_at is not None
    run.lost = not run.cancelled
    undo(run)
    raise OrderCancelled if run.cancelled else LeaseLost
