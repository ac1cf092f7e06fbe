"""Take orders from workers that stopped renewing their leases."""

import logging
from datetime import datetime

from sqlalchemy import select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from kernel.db.states import OrderState, Outcome
from kernel.db.tables.orders import FENCE, ORDERS, SNAPSHOT, OrderSnapshot
from kernel.db.transactions import rowcount
from kernel.runtime.kernel import Kernel
from kernel.runtime.metrics import RESCUED
from kernel.worker.maintenance.job import Swept, failure

log = logging.getLogger(__name__)


RESCUES = 100


def rescue_orders(kernel: Kernel, swept: Swept) -> None:
    """Take orders from workers that stopped renewing their leases."""
    now = kernel.clock.now()
    with kernel.read_session() as session:
        rows = session.execute(
            select(*SNAPSHOT, ORDERS.c.crashes, ORDERS.c.connection_id)
            .where(ORDERS.c.state == OrderState.RUNNING, ORDERS.c.lease_until < now)
            .order_by(ORDERS.c.lease_until)
            .limit(RESCUES)
        ).all()
    for row in rows:
        held, crashes, connection_id = OrderSnapshot(*row[: len(SNAPSHOT)]), row[-2], row[-1]
        with kernel.write_session() as session:
            rescued = _take_over(kernel, session, held, crashes + 1, now)
        if rescued is None:
            continue
        kernel.metrics.count(RESCUED)
        log.warning("order rescued", extra={"order_id": held.id, "run": held.run})
        if isinstance(rescued, Outcome):
            swept.failed[held.id] = rescued
        else:
            swept.rescued.append(held.id)
        _kill_connection(kernel, connection_id)


def _take_over(
    kernel: Kernel, session: Session, held: OrderSnapshot, crashes: int, now: datetime
) -> Outcome | OrderState | None:
    """Return the order to pending, or fail it after too many crashes; None if its owner lives."""
    taken = session.execute(
        update(ORDERS)
        .where(FENCE, ORDERS.c.lease_until < now)
        .values(
            state=OrderState.PENDING,
            run_after=now,
            crashes=crashes,
            lease_until=None,
            connection_id=None,
        ),
        held.fenced(),
    )
    if rowcount(taken) != 1:
        return None
    handler = kernel.handlers.get(held.select_tag)
    if handler is None or crashes < handler.max_runs:
        return OrderState.PENDING
    outcome = failure(kernel, "worker_lost")
    kernel.finish(session, held._replace(state=OrderState.PENDING), outcome)
    return outcome


def _kill_connection(kernel: Kernel, connection_id: int | None) -> None:
    """Drop a dead run's connection: a frozen worker still holds its row locks."""
    if connection_id is None or kernel.engine.dialect.name == "sqlite":
        return
    try:
        with kernel.write_session() as session:
            session.execute(text(f"KILL CONNECTION {int(connection_id)}"))
    except DBAPIError as error:  # gone already, which is what we want
        log.debug("connection %s not killed: %s", connection_id, error.orig)
