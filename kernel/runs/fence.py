"""The fence: what a run writes takes effect only while the run owns its order.

The fence is the run number and the checkpoint number in the order's row. A write whose fence no
longer holds changes nothing and raises; it is the same code for every database.
"""

import json
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, cast

from sqlalchemy import ColumnElement, Connection, and_, bindparam, select, update
from sqlalchemy.exc import DBAPIError, InvalidRequestError
from sqlalchemy.orm import Session

from kernel.db.errors import DATABASE_ERRORS, blames_statement, driver_error, is_passing
from kernel.db.guard import GUARD, Guard, unsealed
from kernel.db.statements.prepared import Prepared, say
from kernel.db.states import OrderState
from kernel.db.tables.orders import ORDERS
from kernel.db.transactions import rowcount
from kernel.errors import LeaseLost, OrderCancelled, RunBroken, RunInterrupted, WorkerStopping
from kernel.handlers import Progress, Run
from kernel.runtime.kernel import Kernel

log = logging.getLogger(__name__)

# `Run.check` asks the row once in this time.
LOOK_SECONDS = 1.0
# What a run that gets on has behind it; see `kernel.orders.decide`.
PROGRESS = {"crashes": 0, "broken": 0}
_PROGRESS = ("progress_current", "progress_total", "progress_note", "run_state")
_SAVED = Prepared(
    select(*(ORDERS.c[name] for name in _PROGRESS)).where(ORDERS.c.id == bindparam("id"))
)
STRUCK = "the soft limit struck in the midst of a statement"


def interruption(run: Run) -> RunInterrupted | None:
    """Return what ended this run, however its handler went on afterwards."""
    if run.limit.inside:
        return RunBroken(STRUCK)
    if run.guard.broken is not None:
        return RunBroken(str(run.guard.broken))
    if run.lost:
        return LeaseLost()
    if run.stopping:
        return WorkerStopping()
    return OrderCancelled() if run.cancelled else None


def save_checkpoint(kernel: Kernel, run: Run, progress: Progress, state: str | None) -> None:
    """Commit the work so far with its progress and state. Raises RunInterrupted."""
    if ended := interruption(run):  # before the flush: it needs a connection that is sound
        raise ended
    saved = {
        "progress_current": progress.current,
        "progress_total": progress.total,
        "progress_note": progress.note,
        "run_state": state,
    }
    with committing(kernel, run, PROGRESS | saved):
        pass
    stop_if_told(kernel, run)


def saved_checkpoint(connection: Connection, order_id: str) -> tuple[Progress | None, Any]:
    """Return the progress and the state of the last checkpoint; asked for orders that had one."""
    ((current, total, note, state),) = _SAVED.rows(connection, {"id": order_id})
    progress = None if current is None else Progress(current, total, note)
    return progress, None if state is None else json.loads(state)


@contextmanager
def committing(
    kernel: Kernel, run: Run, values: Mapping[str, Any], *, in_spite_of_cancel: bool = False
) -> Iterator[None]:
    """Commit what the run and the block have written, and ``values`` in the order's row.

    Moves the fence on and renews the lease. Raises LeaseLost, OrderCancelled (unless
    ``in_spite_of_cancel``, which notes the cancel on the run), RunBroken.
    """
    with broken_by_passing_errors(run):
        run.session.flush()  # of the handler's own
    with statements_of_ours(run.guard):
        run.children.store(run)
        if not _moved_on(kernel, run, values, ORDERS.c.cancel_requested_at.is_(None)):
            _note_standing(run.session.connection(), run)
            goes_on = run.cancelled and in_spite_of_cancel and _moved_on(kernel, run, values)
            if not goes_on:
                _refuse(run)
        yield
        run.children.mark(run)
        commit(run)
    run.checkpoints += 1
    run.renewed = time.monotonic()


def stop_if_told(kernel: Kernel, run: Run) -> None:
    """Raise WorkerStopping when the worker shuts down."""
    if kernel.stopping.is_set():
        run.stopping = True
        raise WorkerStopping


def _moved_on(
    kernel: Kernel, run: Run, values: Mapping[str, Any], *only: ColumnElement[bool]
) -> bool:
    """Write the next checkpoint number under the fence; tell whether the row took it."""
    moved = run.session.execute(
        update(ORDERS)
        .where(owned_by(run), ORDERS.c.checkpoint == run.checkpoints, *only)
        .values(
            checkpoint=run.checkpoints + 1,
            lease_until=kernel.clock.sql(kernel.lease),
            **values,
        )
    )
    return rowcount(moved) == 1


def look(kernel: Kernel, run: Run) -> None:
    """Raise RunInterrupted when the run must not go on; see `Run.check`.

    On another connection: the question begins no transaction of the run's. A database that cannot
    be asked says nothing against the run.
    """
    run.stopping = run.stopping or kernel.stopping.is_set()
    if interruption(run) is None and time.monotonic() - run.looked >= LOOK_SECONDS:
        run.looked = time.monotonic()
        try:
            with kernel.read() as connection:
                _note_standing(connection, run)
        except DATABASE_ERRORS as error:
            if not is_passing(error):
                raise
            log.debug("whether the run may go on is not known: %s", error)
    if ended := interruption(run):
        raise ended


def commit(run: Run) -> None:
    """Commit what the run has written; only the kernel may."""
    with unsealed(run.guard):
        Session.commit(run.session)
    run.guard.holds = False


def undo(run: Run) -> None:
    """Roll back what is not committed, in what state the handler has left its connection.

    A connection that is gone has rolled back already. One that cannot is thrown away: its server
    rolls back then. Children that were submitted are no rows yet, and are forgotten here.
    """
    run.children.forget()
    with unsealed(run.guard):
        connection = None
        try:
            connection = cast(Connection, run.session.get_bind())
            if run.guard.savepoint is not None:
                undo_together(run, connection)
                return
            Session.rollback(run.session)
            # A COMMIT that was refused to the handler left SQLAlchemy without a transaction to
            # roll back, and the server with one.
            if not connection.invalidated:
                connection.connection.rollback()
        except Exception:
            log.debug("rollback on a lost connection", exc_info=True)
            throw_away(connection)
    run.guard.spoiled = False


def undo_together(run: Run, connection: Connection) -> None:
    """Undo what one run has written of a transaction that others share; its session is closed.

    A transaction that is not whole any more stays as it is: its end is that of all of them.
    """
    Session.close(run.session)
    whole = connection.in_transaction() and not connection.in_nested_transaction()
    if whole and not run.guard.spoiled and run.guard.broken is None:
        say(connection, f"ROLLBACK TO SAVEPOINT {run.guard.savepoint}")


def discard(kernel: Kernel, run: Run) -> None:
    """Throw the run's connection away, unused: half an answer may still be on its way.

    The server is told to end it, for it may be in a statement that takes long. What cannot be told
    is left to the server, which rolls back when it finds the connection closed.
    """
    throw_away(cast(Connection, run.session.get_bind()))
    if run.connection_number is not None:
        with suppress(DBAPIError), kernel.write() as other:
            kernel.dialect.kill_connection(other, run.connection_number)


def release(run: Run, connection: Connection, pooled: dict[Any, Any]) -> None:
    """End the run's use of its connection, for the next order's run; or throw the connection away.

    ``pooled``: the connection's ``info``, from before the handler began. The session is closed for
    good: kept by a handler, it would write into the next order's run. A connection that the
    handler has closed, given back to the pool or left in a transaction is thrown away, and so is
    one whose session the handler may have changed.
    """
    # For good: given back to the pool by the handler, the connection still carries this guard.
    run.guard.sealed = False
    with suppress(Exception):
        Session.close(run.session)
    if pooled.get(GUARD) is run.guard:
        del pooled[GUARD]
    if run.guard.lasts or not is_fit(connection) or connection.in_transaction():
        throw_away(connection)
    else:
        connection.info.pop(GUARD, None)


def is_fit(connection: Connection) -> bool:
    """Tell whether ``connection`` still holds a connection to the database. Asks no server."""
    return not (connection.closed or connection.invalidated) and connection.connection.is_valid


def is_guarded(run: Run) -> bool:
    """Tell whether the session of ``run`` still has the connection that its guard watches."""
    connection = cast(Connection, run.session.get_bind())
    return is_fit(connection) and connection.info.get(GUARD) is run.guard


def reopened(connection: Connection, before: dict[Any, Any]) -> dict[Any, Any]:
    """Take another connection for one that was thrown away; return its ``info``.

    If none is to be had, ``before``: then nothing is begun on this one.
    """
    with suppress(InvalidRequestError, *DATABASE_ERRORS):
        return connection.info
    return before


def throw_away(connection: Connection | None) -> None:
    """Close a connection for good; no order is to use it any more."""
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
        if run.guard.broken is None and not is_passing(error):
            raise
        raise _broken(run.guard, error) from error


@contextmanager
def statements_of_ours(guard: Guard) -> Iterator[None]:
    """Raise RunBroken for every error of the database that does not blame a statement.

    For statements that are kernel's own: no handler is to blame for what becomes of them, and the
    order's next run may succeed. One that breaks every time ends the order, too.
    """
    try:
        yield
    except DATABASE_ERRORS as error:
        if guard.broken is None and blames_statement(error) and not is_passing(error):
            raise
        raise _broken(guard, error) from error


def _broken(guard: Guard, error: Exception) -> RunBroken:
    guard.broken = guard.broken or driver_error(error)
    return RunBroken(str(guard.broken))


def _refuse(run: Run) -> None:
    """Raise why a checkpoint's fence did not hold; what the row says was noted just now."""
    run.lost = not run.cancelled
    undo(run)
    raise OrderCancelled if run.cancelled else LeaseLost


def _note_standing(connection: Connection, run: Run) -> None:
    """Note from the order's row whether the run was cancelled, or lost to another one."""
    row = connection.execute(
        select(ORDERS.c.cancel_requested_at).where(owned_by(run))
    ).one_or_none()
    run.lost = run.lost or row is None
    run.cancelled = row is not None and row.cancel_requested_at is not None
