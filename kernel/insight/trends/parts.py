"""Tags, callers, receivers and hosts side by side: over a time, and what they have now."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from kernel.db.columns import by_index
from kernel.db.statements.skip_scan import skip_scan
from kernel.db.states import OrderState
from kernel.db.tables.callers import Caller
from kernel.db.tables.orders import ORDERS
from kernel.insight.trends.minutes import MINUTE
from kernel.insight.trends.series import Span, Trends, first_bin
from kernel.insight.trends.tallies import Kind, Part, Tally
from kernel.orders.due import along, lanes
from kernel.runtime.kernel import Kernel

# The most pending orders counted of a tag or a caller, and the most of them that are counted.
COUNTED, SHOWN = 1000, 50
# The most running orders that are looked at.
RUNNING = 1000
# A tag's oldest due order is looked for among its first pending ones, by acceptance, and among
# those of each caller and priority that have been due for longest: the oldest is never missed.
LOOKED_AT = 20
BY_TAG = "ix_kernel_orders_state_select_tag_id"


@dataclass(slots=True)
class Now:
    """What a tag or a caller has at this moment.

    ``pending``: up to `COUNTED`. ``oldest``: since when the first of them has been due; None where
    none is due.
    """

    pending: int = 0
    running: int = 0
    oldest: datetime | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A part over a time of ``minutes``, and now. ``now``: None for what has no orders itself."""

    part: Part
    total: Tally
    now: Now | None
    minutes: float

    @property
    def growth(self) -> float:
        """By how many orders a minute more were accepted than ended: the queue's growth."""
        return (self.total.accepted - self.total.finished) / self.minutes


def rows_of(kernel: Kernel, trends: Trends, span: Span, kind: Kind) -> list[Row]:
    """Return the parts of a kind: those with most pending orders first, then the busiest.

    Raises the database's errors.
    """
    found, now = trends.by_part(span, kind), kernel.clock.now()
    began_at = first_bin(span, now)
    at_once = {} if kind not in _NOW else _at_once(kernel, kind, now)
    for name in at_once:
        found.setdefault(Part(kind, name), Tally(began_at))
    minutes = (now - began_at) / MINUTE
    rows = [
        Row(part, total, at_once.get(part.name, Now()) if kind in _NOW else None, minutes)
        for part, total in found.items()
    ]
    return sorted(rows, key=_rank)


def _rank(row: Row) -> tuple[bool, int, int, str]:
    pending = row.now.pending if row.now is not None else 0
    return (not row.part.name, -pending, -row.total.weight, row.part.name)


def _at_once(kernel: Kernel, kind: Kind, now: datetime) -> dict[str, Now]:
    with kernel.read_session() as session:
        return _NOW[kind](kernel, session, now)


def _tags(kernel: Kernel, session: Session, now: datetime) -> dict[str, Now]:
    """Count what is pending of each tag, and since when; and what runs."""
    columns = (ORDERS.c.state, ORDERS.c.select_tag)
    pending = skip_scan(columns, func.min(ORDERS.c.id)).where(ORDERS.c.state == OrderState.PENDING)
    found: dict[str, Now] = {}
    for row in session.execute(pending).all()[:SHOWN]:
        by_tag = by_index(select(ORDERS.c.run_after), ORDERS, BY_TAG).where(
            ORDERS.c.state == OrderState.PENDING, ORDERS.c.select_tag == row.select_tag
        )
        count = session.scalar(_counted(by_tag.with_only_columns(ORDERS.c.id))) or 0
        first = session.scalars(by_tag.order_by(ORDERS.c.id).limit(LOOKED_AT))
        oldest = min((one for one in first if one <= now), default=None)
        found[row.select_tag] = Now(count, oldest=oldest)
    _note_oldest(kernel, session, found, now)
    _note_running(session, found, "select_tag", None)
    return found


def _note_oldest(kernel: Kernel, session: Session, found: dict[str, Now], now: datetime) -> None:
    """Note the orders that have been due for longest, of any tag."""
    due = [one for one in lanes(kernel, session) if one.first <= now][:SHOWN]
    if not due:
        return
    rows = select(ORDERS.c.select_tag, ORDERS.c.run_after)
    for row in session.execute(along(due, rows, (ORDERS.c.run_after <= now,), LOOKED_AT)):
        one = found.setdefault(row.select_tag, Now())
        one.oldest = min(row.run_after, one.oldest or row.run_after)


def _callers(kernel: Kernel, session: Session, now: datetime) -> dict[str, Now]:
    """Count what is pending of each caller, and since when; and what runs."""
    by_id: dict[int, Now] = {}
    for lane in lanes(kernel, session)[:SHOWN]:
        counted = along([lane], select(ORDERS.c.id), (), COUNTED)
        one = by_id.setdefault(lane.caller_id, Now())
        number = session.scalar(select(func.count()).select_from(counted.subquery())) or 0
        one.pending = min(COUNTED, one.pending + number)
        if lane.first <= now:
            one.oldest = min(lane.first, one.oldest or lane.first)
    known = session.execute(select(Caller.id, Caller.name)).all()
    names = {row.id: row.name for row in known}
    found = {names[one]: at for one, at in by_id.items() if one in names}
    _note_running(session, found, "caller_id", names)
    return found


_NOW = {Kind.TAG: _tags, Kind.CALLER: _callers}


def _counted(rows: Select[Any]) -> Select[Any]:
    return select(func.count()).select_from(rows.limit(COUNTED).subquery())


def _note_running(
    session: Session, found: dict[str, Now], column: str, names: dict[int, str] | None
) -> None:
    """Count the orders that run, which are as many as workers run at most."""
    running = select(ORDERS.c[column]).where(ORDERS.c.state == OrderState.RUNNING)
    for value in session.scalars(running.limit(RUNNING)):
        name = value if names is None else names.get(value)
        if name is not None:
            found.setdefault(name, Now()).running += 1
