"""Which tags workers know; orders of tags that no worker knows fail."""

from collections.abc import Iterable
from datetime import timedelta

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from kernel.db.clock import DatabaseTime
from kernel.db.statements.skip_scan import skip_scan
from kernel.db.states import OrderState
from kernel.db.tables.orders import ORDERS, SNAPSHOT, OrderSnapshot
from kernel.db.tables.service import SelectTag
from kernel.db.transactions import rowcount
from kernel.orders.ends.outbox import ending
from kernel.orders.gates.children import with_parent
from kernel.orders.transitions import end_order
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.job import Swept
from kernel.worker.maintenance.set_aside import SetAside
from kernel.worker.maintenance.turn import unbroken_for

UNKNOWN_AFTER = timedelta(hours=1)
# How many orders of unknown tags one sweep ends.
FAILURES = 100


def note_tags(kernel: Kernel) -> None:
    """Note that a worker knows the tags of this process, which must be one that runs handlers.

    One read; it writes those that were noted more than ten minutes ago.
    """
    now, fresh = kernel.clock.sql(), kernel.clock.sql(-UNKNOWN_AFTER / 6)
    with kernel.read_session() as session:
        seen = set(session.scalars(select(SelectTag.tag).where(SelectTag.seen_at >= fresh)))
    for tag in kernel.handlers:
        if tag in seen:
            continue
        try:
            with kernel.write_session() as session:
                statement = update(SelectTag).where(SelectTag.tag == tag).values(seen_at=now)
                if rowcount(session.execute(statement)) == 0:
                    session.execute(insert(SelectTag).values(tag=tag, seen_at=now))
        except IntegrityError:  # another process has noted the tag first
            continue


def fail_unknown(kernel: Kernel, swept: Swept, aside: SetAside | None = None) -> None:
    """Fail orders whose tag no worker has known for an hour of sweeps: a rollout may take it.

    Sweeps without a gap: when all workers were down, some of them start before the others.
    An order whose row cannot be written is set ``aside``, and the others are ended.
    """
    aside = SetAside("order not failed") if aside is None else aside
    limit = kernel.clock.sql(-UNKNOWN_AFTER)
    with kernel.read_session() as session:
        if unbroken_for(kernel, session.connection()) < UNKNOWN_AFTER:
            return
        unknown = _unknown_tags(session, kernel.handlers, limit)
        rows = (
            session.execute(
                select(*SNAPSHOT)
                .where(
                    ORDERS.c.state == OrderState.PENDING,
                    ORDERS.c.select_tag.in_(unknown),
                    ORDERS.c.created_at < limit,
                    ORDERS.c.run_after < limit,
                )
                .limit(FAILURES + len(aside))
            ).all()
            if unknown
            else []
        )

    def fail(held: OrderSnapshot) -> None:
        outcome = ending(kernel, "unknown_select_tag")
        with kernel.write_session() as session:
            end = end_order(kernel, session, held, outcome)
        if end is not None:
            swept.add(with_parent(kernel, end))

    aside.do_each([OrderSnapshot(*row) for row in rows], fail, key=lambda held: held.id)


def _unknown_tags(session: Session, known: Iterable[str], since: DatabaseTime) -> list[str]:
    """Return the tags of pending orders that no worker has known ``since`` that time.

    The statement jumps through the index from tag to tag, however many orders are pending.
    """
    scan = skip_scan((ORDERS.c.state, ORDERS.c.select_tag))
    pending = session.execute(scan.where(ORDERS.c.state == OrderState.PENDING))
    waiting = [row.select_tag for row in pending]
    seen = session.scalars(select(SelectTag.tag).where(SelectTag.seen_at >= since))
    return sorted(set(waiting) - set(known) - set(seen))
