"""How much of each tag's limit is in use, and how many orders wait for it."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from kernel.db.tables.gates import GATES
from kernel.db.tables.limits import SET_LIMITS, SLOTS
from kernel.handlers.limits import Limit
from kernel.insight.backlog import LIMIT
from kernel.orders.gates.limits.known import BEHIND, NONE, Limits, Place
from kernel.runtime.kernel import Kernel


@dataclass(frozen=True, slots=True)
class Standing:
    """How the limit of a tag stands, all values of its ``per`` together.

    ``limit`` holds now, ``registered`` is the code's; ``set_at``: since when they may differ.
    ``in_use``: slots that running orders hold, or orders about to run; ``waiting`` ends at `LIMIT`.
    """

    tag: str
    limit: Limit
    registered: Limit
    set_at: datetime | None
    in_use: int = 0
    waiting: int = 0


def standings(kernel: Kernel) -> list[Standing]:
    """Return how each limit stands, by tag: those that handlers have, and those that were set.

    Two short questions for all of them, and one for each. Raises the database's errors.
    """
    known = Limits(kernel)
    known.refresh()
    with kernel.read_session() as session:
        set_at = {row.tag: row.set_at for row in session.execute(select(SET_LIMITS))}
        used = _in_use(session)
        return [
            Standing(
                tag,
                known.of(tag) or NONE,
                kernel.handlers[tag].limit if tag in kernel.handlers else NONE,
                set_at.get(tag),
                used.get(tag, 0),
                _waiting(session, tag),
            )
            for tag in sorted({*known.tags, *set_at, *used})
        ]


def _in_use(session: Session) -> dict[str, int]:
    held = select(SLOTS.c.tag, func.count()).where(SLOTS.c.run != 0).group_by(SLOTS.c.tag)
    return {row[0]: row[1] for row in session.execute(held)}


def _waiting(session: Session, tag: str) -> int:
    alone = Place(tag, "").waiting_for
    behind = GATES.c.waiting_for.between(alone + BEHIND, alone + chr(ord(BEHIND) + 1))
    rows = select(GATES.c.order_id).where(or_(GATES.c.waiting_for == alone, behind)).limit(LIMIT)
    return session.scalar(select(func.count()).select_from(rows.subquery())) or 0
