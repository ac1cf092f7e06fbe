"""Which tags workers know; orders of tags that no worker knows fail."""

import math
from collections.abc import Iterable
from time import monotonic

from sqlalchemy import and_, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from kernel.db.clock import DatabaseTime
from kernel.db.statements.skip_scan import skip_scan
from kernel.db.states import OrderState
from kernel.db.tables.gates import GATES
from kernel.db.tables.orders import ORDERS, SNAPSHOT, OrderSnapshot
from kernel.db.tables.service import SelectTag
from kernel.db.transactions import rowcount
from kernel.handlers.registering.refusals import BATCH_TAG
from kernel.orders.ends.outbox import ending
from kernel.orders.ends.unknown_tags import UNKNOWN_AFTER, unbroken_for
from kernel.orders.gates.children import with_parent
from kernel.orders.gates.keys import ORDERING_KEY
from kernel.orders.gates.limits.known import PREFIX
from kernel.orders.transitions import end_order
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.job import Swept
from kernel.worker.maintenance.set_aside import SetAside

# From one look whether the tags of a process are noted to the next; they are for ten minutes.
LOOK_SECONDS = 60.0
# How many orders of unknown tags one sweep ends.
FAILURES = 100
# What is waited for in a line in which a handler's orders stand.
_IN_LINE = or_(
    GATES.c.waiting_for == ORDERING_KEY,
    and_(GATES.c.waiting_for >= PREFIX, GATES.c.waiting_for < f"{PREFIX[:-1]};"),
)


class KnownTags:
    """Notes the tags of this process: once a minute, and soon when its handlers have changed."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._tags: tuple[str, ...] = ()
        self._noted_at = -math.inf

    def note(self) -> None:
        """Note them if it is time to. Raises database errors."""
        tags, now = tuple(self._kernel.handlers), monotonic()
        if tags != self._tags or now - self._noted_at >= LOOK_SECONDS:
            note_tags(self._kernel)
            self._tags, self._noted_at = tags, now


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
    _fail_unknown(kernel, swept, aside, OrderState.PENDING)


def fail_unknown_in_line(kernel: Kernel, swept: Swept, aside: SetAside | None = None) -> None:
    """As `fail_unknown`, for orders that wait at a limit or behind an ordering key.

    The limit is known to the processes that know the tag, so none gives it away any more; and those
    behind a key would fail one after the other, each an hour after the one before. What waits for
    an event or for children goes on when that comes, and fails as a pending order then.
    """
    _fail_unknown(kernel, swept, aside, OrderState.WAITING)


def _fail_unknown(kernel: Kernel, swept: Swept, aside: SetAside | None, state: OrderState) -> None:
    aside = SetAside("order not failed") if aside is None else aside
    limit = kernel.clock.sql(-UNKNOWN_AFTER)
    with kernel.read_session() as session:
        if unbroken_for(kernel, session.connection()) < UNKNOWN_AFTER:
            return
        unknown = _unknown_tags(session, kernel.handlers, state, limit)
        asked = select(*SNAPSHOT).where(
            ORDERS.c.state == state,
            ORDERS.c.select_tag.in_(unknown),
            ORDERS.c.created_at < limit,
        )
        if state == OrderState.PENDING:
            asked = asked.where(ORDERS.c.run_after < limit)
        else:
            gate = GATES.c.order_id == ORDERS.c.id
            asked = asked.join_from(ORDERS, GATES, gate).where(_IN_LINE)
        rows = session.execute(asked.limit(FAILURES + len(aside))).all() if unknown else []

    def fail(held: OrderSnapshot) -> None:
        outcome = ending(kernel, "unknown_select_tag")
        with kernel.write_session() as session:
            end = end_order(kernel, session, held, outcome)
        if end is not None:
            swept.add(with_parent(kernel, end))

    aside.do_each([OrderSnapshot(*row) for row in rows], fail, key=lambda held: held.id)


def _unknown_tags(
    session: Session, known: Iterable[str], state: OrderState, since: DatabaseTime
) -> list[str]:
    """Return the tags of orders in ``state`` that no worker has known ``since`` that time.

    The statement jumps through the index from tag to tag, however many orders there are. A batch is
    an order without a handler.
    """
    scan = skip_scan((ORDERS.c.state, ORDERS.c.select_tag)).where(ORDERS.c.state == state)
    there = {row.select_tag for row in session.execute(scan)}
    seen = session.scalars(select(SelectTag.tag).where(SelectTag.seen_at >= since))
    return sorted(there - set(known) - set(seen) - {BATCH_TAG})
