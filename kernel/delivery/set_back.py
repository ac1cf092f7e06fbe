"""When callbacks are due, once the database's clock was set back; see `from_now`."""

from datetime import timedelta

from sqlalchemy import and_, bindparam, or_, select, update

from kernel.db.columns import UTCDateTime
from kernel.db.statements.set_back import MOST, from_now, move
from kernel.db.states import DeliveryState
from kernel.db.tables.deliveries import ATTEMPTS, DELIVERIES
from kernel.delivery.claim import longest_claim
from kernel.runtime.kernel import Kernel
from kernel.transport.backoff import LONGEST_PUT_OFF


def bring_callbacks_forward(kernel: Kernel) -> int:
    """Have callbacks wait for their next attempt no longer than they were to, from now.

    0 when none was to be moved. A claim lasts no longer than any can. Reads all callbacks that
    wait, so it is for the rare case.
    """
    now, longest = kernel.clock.sql(), longest_claim(kernel)
    last = and_(
        ATTEMPTS.c.delivery_id == DELIVERIES.c.id, ATTEMPTS.c.number == DELIVERIES.c.attempt
    )
    claimed_too_long = and_(
        DELIVERIES.c.claim_token.is_not(None),
        DELIVERIES.c.next_attempt_at > kernel.clock.sql(longest),
    )
    tried_later = and_(DELIVERIES.c.claim_token.is_(None), ATTEMPTS.c.started_at > now)
    # None was made since it became owed: an attempt that is put off is put off for minutes.
    put_off_later = and_(
        DELIVERIES.c.claim_token.is_(None),
        DELIVERIES.c.tries == 0,
        DELIVERIES.c.next_attempt_at > kernel.clock.sql(timedelta(seconds=LONGEST_PUT_OFF)),
    )
    columns = (
        *(DELIVERIES.c.id, DELIVERIES.c.next_attempt_at, DELIVERIES.c.claim_token),
        *(ATTEMPTS.c.started_at, now.label("now")),
    )
    with kernel.read() as connection:
        found = connection.execute(
            select(*columns)
            .outerjoin_from(DELIVERIES, ATTEMPTS, last)
            .where(
                DELIVERIES.c.state == DeliveryState.PENDING,
                DELIVERIES.c.is_retry.is_(True),
                DELIVERIES.c.next_attempt_at > now,
                or_(claimed_too_long, tried_later, put_off_later),
            )
            .limit(MOST)
        ).all()
    moved = []
    for row in found:
        due = row.now
        if row.claim_token is not None:
            due += longest
        elif row.started_at is not None and row.started_at > row.now:
            due = from_now(row.next_attempt_at, row.started_at, row.now)
        if due is not None:
            moved.append({"delivery": row.id, "was": row.next_attempt_at, "due": due})
    move(kernel.write, _MOVE, moved)
    return len(found) if moved else 0


_MOVE = (
    update(DELIVERIES)
    .where(
        DELIVERIES.c.id == bindparam("delivery"),
        DELIVERIES.c.state == DeliveryState.PENDING,
        DELIVERIES.c.next_attempt_at == bindparam("was", type_=UTCDateTime()),
    )
    .values(next_attempt_at=bindparam("due", type_=UTCDateTime()))
)
