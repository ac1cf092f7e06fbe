"""Take orders from workers that stopped renewing their leases."""

import logging
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from kernel.db.states import OrderState
from kernel.db.tables.orders import ORDERS
from kernel.orders.decide import Exit, Why
from kernel.orders.transitions import leave_running
from kernel.runtime.kernel import Kernel
from kernel.runtime.metrics import RESCUED
from kernel.worker.maintenance.job import Swept
from kernel.worker.maintenance.set_aside import SetAside

log = logging.getLogger(__name__)

# Orders that one sweep takes over at the most.
RESCUES = 100
_COLUMNS = (ORDERS.c.id, ORDERS.c.run, ORDERS.c.connection_id)


def rescue_orders(kernel: Kernel, swept: Swept, aside: SetAside | None = None) -> None:
    """Take over running orders whose leases have run out, the oldest lease first.

    Each goes back to pending, or ends, as `kernel.orders.decide` says of a worker that died. The
    dead run's database connection is killed: a frozen worker still holds its row locks. An order
    whose row cannot be written is set ``aside``, and the others are taken over.
    """
    aside = SetAside("order not rescued") if aside is None else aside
    now = kernel.clock.now()
    with kernel.read_session() as session:
        rows = session.execute(
            select(*_COLUMNS)
            .where(ORDERS.c.state == OrderState.RUNNING, ORDERS.c.lease_until < now)
            .order_by(ORDERS.c.lease_until)
            .limit(RESCUES + len(aside))
        ).all()

    def rescue(row: Any) -> None:
        with kernel.write_session() as session:
            end = leave_running(kernel, session, (row.id, row.run), Exit(Why.DIED), now)
        if end is None:  # its owner lives
            return
        kernel.metrics.count(RESCUED)
        log.warning("order rescued", extra={"order_id": row.id, "run": row.run})
        swept.add(end)
        _kill_connection(kernel, row.connection_id)

    aside.do_each(rows, rescue, key=lambda row: str(row.id))


def _kill_connection(kernel: Kernel, connection_id: int | None) -> None:
    if connection_id is None:
        return
    try:
        with kernel.write() as connection:
            kernel.dialect.kill_connection(connection, connection_id)
    except DBAPIError as error:  # gone already, which is what we want
        log.debug("connection %s not killed: %s", connection_id, error.orig)
