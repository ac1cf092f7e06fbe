"""Leases of running orders: renewed while the run lives, and what is written when it leaves one.

A lease says until when a running order's worker is taken for alive. A run that ends without an
outcome gives its order back, or ends it, by `leave`; see `kernel.orders.decide`.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial

from sqlalchemy import ColumnElement, and_, select, update

from kernel.db.errors import DATABASE_ERRORS, driver_error, is_contention
from kernel.db.states import OrderState
from kernel.db.tables.orders import ORDERS, OrderSnapshot
from kernel.handlers import Run
from kernel.orders.decide import NOT_BEGUN, Exit
from kernel.orders.gates.children import with_parent
from kernel.orders.transitions import RunEnd, leave_running
from kernel.runs.fence import owned_by
from kernel.runtime.kernel import Kernel

log = logging.getLogger(__name__)


def leave(
    kernel: Kernel,
    order_id: str,
    run: int,
    exit_: Exit,
    gates: int | None = None,
    only: ColumnElement[bool] | None = None,
) -> RunEnd:
    """Write what becomes of an order whose run number ``run`` ends without an outcome.

    ``gates``: as the order's row has them; ``only``: see `leave_running`.
    When the database cannot be reached, the end stays in ``kernel.pending_handbacks`` with its
    reason, and `retry_handbacks` writes it later. Changes nothing when another run owns the order.
    """
    held = (order_id, run)
    try:
        return _write(kernel, held, exit_, gates, only)
    except DATABASE_ERRORS as error:
        return _put_off(kernel, held, exit_, gates, error, only)


def leave_unbegun(
    kernel: Kernel, order: OrderSnapshot, number: int | None, exit_: Exit = NOT_BEGUN
) -> RunEnd:
    """Do as `leave` for an order that this process has claimed by connection ``number``.

    If the COMMIT of the claim stored nothing, a process may have claimed it as the same run
    meanwhile. The row has another process or connection then, and is left to that.
    """
    by_this = ORDERS.c.connection_id.is_not_distinct_from(number)  # null where none has a number
    mine = and_(ORDERS.c.runner == kernel.runner, by_this)
    return leave(kernel, order.id, order.run, exit_, order.gates, mine)


def leave_behind(kernel: Kernel, run: Run, exit_: Exit) -> RunEnd:
    """Do as `leave` for a run that goes on here, in a process that is to end.

    Its own transaction may hold the order's row: then its connection is ended, and that with it.
    """
    held, number = (run.order_id, run.number), run.connection_number
    try:
        return _write(kernel, held, exit_, run.gates)
    except DATABASE_ERRORS as error:
        if number is None or not is_contention(error):
            return _put_off(kernel, held, exit_, run.gates, error)
    with suppress(*DATABASE_ERRORS), kernel.write() as connection:
        kernel.dialect.kill_connection(connection, number)
    return leave(kernel, *held, exit_, run.gates)


def _write(
    kernel: Kernel,
    held: tuple[str, int],
    exit_: Exit,
    gates: int | None,
    only: ColumnElement[bool] | None = None,
) -> RunEnd:
    with kernel.write_session() as session:
        end = leave_running(kernel, session, held, exit_, gates=gates, only=only)
        # The row is locked: a claim of this process that came before is seen here.
        if only is not None and _is_claimed_anew(kernel, held, exit_):
            session.rollback()
            end = None
    kernel.pending_handbacks.pop(held, None)
    return end or RunEnd(held[0])


def _is_claimed_anew(kernel: Kernel, held: tuple[str, int], exit_: Exit) -> bool:
    """Tell whether this process has claimed the order since, as the same run.

    A row tells that by its connection, where those have numbers. A claim forgets what was put off.
    """
    forgotten = exit_.put_off and held not in kernel.pending_handbacks
    return forgotten or held in kernel.running


def _put_off(
    kernel: Kernel,
    held: tuple[str, int],
    exit_: Exit,
    gates: int | None,
    error: BaseException,
    only: ColumnElement[bool] | None = None,
) -> RunEnd:
    log.warning("hand-back put off: %s", driver_error(error), extra={"order_id": held[0]})
    kernel.pending_handbacks[held] = partial(leave, kernel, *held, exit_.later(), gates, only)
    return RunEnd(held[0])


def retry_handbacks(kernel: Kernel) -> Iterator[RunEnd]:
    """Try again to write the ends of runs that were put off; yield what became of each order."""
    for again in list(kernel.pending_handbacks.values()):
        end = again()
        if isinstance(end, RunEnd):
            yield with_parent(kernel, end)


def renew_leases(kernel: Kernel, runs: Sequence[Run]) -> None:
    """Extend the leases of runs this process is executing, in one transaction.

    It waits for no lock: a row that another transaction holds is left for the next time. The run's
    own may hold it, by a foreign key to the order; then no other process gets it, either. A run
    that no longer owns its order is marked lost. Database errors pass to the caller: a heartbeat
    that cannot be written is not a lost lease.
    """
    until, ids = kernel.clock.sql(kernel.lease), [run.order_id for run in runs]
    running = select(ORDERS.c.id, ORDERS.c.run).where(
        ORDERS.c.id.in_(ids), ORDERS.c.state == OrderState.RUNNING
    )
    # As an UPDATE locks it: on PostgreSQL a reference to the order does not stand against that.
    unlocked = running.with_for_update(skip_locked=True, key_share=True)
    with kernel.write_session() as session:
        free = {tuple(row) for row in session.execute(unlocked)}
        mine = [run for run in runs if (run.order_id, run.number) in free]
        for run in mine:
            session.execute(update(ORDERS).where(owned_by(run)).values(lease_until=until))
        others = [run for run in runs if run not in mine]
        there = {tuple(row) for row in session.execute(running)} if others else set()
    for run in mine:
        run.renewed = time.monotonic()
    for run in others:
        run.lost = run.lost or (run.order_id, run.number) not in there
