"""Take orders from workers that stopped renewing their leases."""

import logging

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from kernel.db.states import OrderState
from kernel.db.tables.orders import ORDERS
from kernel.orders.decide import Exit, Why
from kernel.orders.transitions import leave_running
from kernel.runtime.kernel import Kernel
from kernel.runtime.metrics import RESCUED
from kernel.worker.maintenance.job import Swept

log = logging.getLogger(__name__)

# Orders that one sweep takes over at the most.
RESCUES = 100
_COLUMNS = (ORDERS.c.id, ORDERS.c.run, ORDERS.c.connection_id)


def rescue_orders(kernel: Kernel, swept: Swept) -> None:
    """Take over running orders whose leases have run out, the oldest lease first.

    Each goes back to pending, or ends, as `kernel.orders.decide` says of a worker that died. The
    dead run's database connection is killed: a frozen worker still holds its row locks.
    """
    now = kernel.clock.now()
    with kernel.read_session() as session:
        rows = session.execute(
            select(*_COLUMNS)
            .where(ORDERS.c.state == OrderState.RUNNING, ORDERS.c.lease_until < now)
            .order_by(ORDERS.c.lease_until)
            .limit(RESCUES)
        ).all()
    for order_id, run, connection_id in rows:
        with kernel.write_session() as session:
            end = leave_running(kernel, session, (order_id, run), Exit(Why.DIED), now)
        if end is None:  # its owner lives
            continue
        kernel.metrics.count(RESCUED)
        log.warning("order rescued", extra={"order_id": order_id, "run": run})
        swept.add(end)
        _kill_connection(kernel, connection_id)


def _kill_connection(kernel: Kernel, connection_id: int | None) -> None:
    if connection_id is None:
        return
    try:
        with kernel.write() as connection:
            kernel.dialect.kill_connection(connection, connection_id)
    except DBAPIError as error:  # gone already, which is what we want
        log.debug("connection %s not killed: %s", connection_id, error.orig)
