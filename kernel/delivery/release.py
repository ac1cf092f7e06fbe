"""Deliveries of a process that is gone are due again before its claims run out."""

from sqlalchemy import select, update

from kernel.db.states import DeliveryState
from kernel.db.tables.deliveries import DELIVERIES
from kernel.db.transactions import rowcount
from kernel.delivery.claim import longest_claim
from kernel.runtime.kernel import Kernel


def release_claims(kernel: Kernel, runner: str) -> int:
    """Make due what the process ``runner`` has claimed and not recorded; return how many.

    Only for a process that has ended: its attempts may have arrived all the same, and go out again
    as when a claim runs out. They count as made.
    """
    clock = kernel.clock
    claimed = (
        DELIVERIES.c.state == DeliveryState.PENDING,
        DELIVERIES.c.claim_token.startswith(runner),
    )
    with kernel.read() as connection:
        # Claimed deliveries are retries to the claim, and due when the claim runs out.
        ids = connection.scalars(
            select(DELIVERIES.c.id).where(
                *claimed,
                DELIVERIES.c.is_retry.is_(True),
                DELIVERIES.c.next_attempt_at > clock.sql(),
                DELIVERIES.c.next_attempt_at <= clock.sql(longest_claim(kernel)),
            )
        ).all()
    if not ids:
        return 0
    with kernel.write() as connection:
        return rowcount(
            connection.execute(
                update(DELIVERIES)
                .where(DELIVERIES.c.id.in_(ids), *claimed)
                .values(claim_token=None, next_attempt_at=clock.sql())
            )
        )
