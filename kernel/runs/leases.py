"""Leases of running orders: renewed while the run lives, and what is written when it leaves one.

A lease says until when a running order's worker is taken for alive. A run that ends without an
outcome gives its order back, or ends it, by `leave`; see `kernel.orders.decide`.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from functools import partial

from sqlalchemy import update

from kernel.db.errors import DATABASE_ERRORS, driver_error
from kernel.db.tables.orders import ORDERS
from kernel.db.transactions import rowcount
from kernel.handlers import Run
from kernel.orders.decide import Exit
from kernel.orders.gates.children import with_parent
from kernel.orders.transitions import RunEnd, leave_running
from kernel.runs.fence import owned_by
from kernel.runtime.kernel import Kernel

log = logging.getLogger(__name__)


def leave(kernel: Kernel, order_id: str, run: int, exit_: Exit, gates: int | None = None) -> RunEnd:
    """Write what becomes of an order whose run number ``run`` ends without an outcome.

    ``gates``: as the order's row has them, see `leave_running`.
    When the database cannot be reached, the end stays in ``kernel.pending_handbacks`` with its
    reason, and `retry_handbacks` writes it later. Changes nothing when another run owns the order.
    """
    held = (order_id, run)
    try:
        with kernel.write_session() as session:
            end = leave_running(kernel, session, held, exit_, gates=gates)
    except DATABASE_ERRORS as error:
        log.warning("hand-back put off: %s", driver_error(error), extra={"order_id": order_id})
        kernel.pending_handbacks[held] = partial(leave, kernel, order_id, run, exit_.later(), gates)
        return RunEnd(order_id)
    kernel.pending_handbacks.pop(held, None)
    return end or RunEnd(order_id)


def retry_handbacks(kernel: Kernel) -> Iterator[RunEnd]:
    """Try again to write the ends of runs that were put off; yield what became of each order."""
    for again in list(kernel.pending_handbacks.values()):
        end = again()
        if isinstance(end, RunEnd):
            yield with_parent(kernel, end)


def renew_leases(kernel: Kernel, runs: Sequence[Run]) -> None:
    """Extend the leases of runs this process is executing, in one transaction.

    A run that no longer owns its order is marked lost. Database errors pass to the caller: a
    heartbeat that cannot be written is not a lost lease.
    """
    until = kernel.clock.sql(kernel.lease)
    with kernel.write_session() as session:
        renewed = [
            rowcount(session.execute(update(ORDERS).where(owned_by(run)).values(lease_until=until)))
            for run in runs
        ]
    for run, count in zip(runs, renewed, strict=True):
        run.renewed = time.monotonic()
        run.lost = run.lost or count != 1
