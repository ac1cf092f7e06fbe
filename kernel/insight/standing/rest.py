"""Whether an installation is at rest: no process is at work, no order runs, no callback is sent."""

from sqlalchemy import func, select

from kernel.db.states import DeliveryState, OrderState
from kernel.db.tables.deliveries import DELIVERIES
from kernel.db.tables.orders import ORDERS
from kernel.delivery.claim import claim_length
from kernel.insight.workers import processes
from kernel.runtime.kernel import Kernel


def unrest(kernel: Kernel) -> list[str]:
    """Say what still goes on, and how it ends; nothing of an installation at rest.

    API processes are not seen: they leave no sign while nothing is submitted.
    """
    found = [
        f"{one.kind} {one.pid} on {one.host} was seen at {one.seen_at:%H:%M:%S} UTC: stop it"
        for one in processes(kernel)
        if one.alive
    ]
    clock = kernel.clock
    claimed = (
        DELIVERIES.c.state == DeliveryState.PENDING,
        DELIVERIES.c.claim_token.is_not(None),
        DELIVERIES.c.next_attempt_at > clock.sql(),
        DELIVERIES.c.next_attempt_at <= clock.sql(claim_length(kernel)),
    )
    with kernel.read() as connection:
        running = connection.scalar(
            select(func.count()).where(ORDERS.c.state == OrderState.RUNNING).select_from(ORDERS)
        )
        sent, last = connection.execute(
            select(func.count(), func.max(DELIVERIES.c.next_attempt_at)).where(*claimed)
        ).one()
    if running:
        found.append(
            f"{running} orders run: let their workers end them, or, when their workers are dead, "
            "give them back with `kernel sweep --rescue`"
        )
    if sent:
        found.append(f"{sent} callbacks are claimed, until {last:%H:%M:%S} UTC: wait for it")
    return found
