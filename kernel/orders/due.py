"""Orders that are due, as the database's clock says in the statement that asks.

They are found lane by lane. A lane is what is pending of one caller and one priority: an index has
it in the order in which it becomes due. So a look reads a few rows of each lane, however many are
pending, and no caller's long queue hides another's order.
"""

import random
from collections.abc import Iterable, Sequence, Set
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    false,
    func,
    literal_column,
    or_,
    select,
    union_all,
)
from sqlalchemy.orm import Session

from kernel.db.clock import AT_ONCE, database_time
from kernel.db.columns import by_index
from kernel.db.statements.prepared import Prepared
from kernel.db.statements.skip_scan import skip_scan
from kernel.db.states import OrderState
from kernel.db.tables.operating.pauses import NOT_PAUSED
from kernel.db.tables.orders import ORDERS, SNAPSHOT
from kernel.orders.gates.shares import at_work, max_running_of
from kernel.orders.gates.turns import DueOrder, deal, in_turn
from kernel.runtime.kernel import Kernel

# How many due orders a sweep hints at once.
HINTS = 200
# How many lanes one statement reads: SQLite knows no longer union.
LANES = 100
# More processes than this are taken for this many when they share what waits.
RIVALS = 20
# An order that was accepted and never put off is due without a look at the time of that, for the
# clock may have been set back since; its window is one of the caller's clock, and holds.
NEVER_PUT_OFF = ORDERS.c.run_after == ORDERS.c.created_at
_IS_OPEN = or_(ORDERS.c.not_before.is_(None), ORDERS.c.not_before <= database_time("now"))

# An order that has begun may go on whenever it is due; one that has not, no later than this. None
# does while its tag or its caller's orders are paused.
MAY_BEGIN = and_(
    or_(
        ORDERS.c.not_after.is_(None),
        ORDERS.c.not_after > database_time("now"),
        ORDERS.c.started_at.is_not(None),
    ),
    NOT_PAUSED,
)
_COLUMNS = tuple(ORDERS.c[name] for name in DueOrder._fields)
_LANE = (ORDERS.c.state, ORDERS.c.caller_id, ORDERS.c.priority)
_INDEX = "ix_kernel_orders_state_caller_id_priority_run_after"
_LANES = Prepared(
    skip_scan(
        _LANE,
        func.min(ORDERS.c.run_after).label("first"),
        database_time("now").label("now"),
    ).where(ORDERS.c.state == OrderState.PENDING)
)


# What a look at hinted orders reads beside the snapshot of each.
BESIDE = ("args", "secret_args", "request_id", "traceparent")


@cache
def looking(tags: tuple[str, ...], count: int) -> Prepared:
    """Make the statement that finds what is due of ``count`` orders, ``id_0`` and so on.

    Each row has the snapshot, `BESIDE`, how many orders of its caller may run, and the time.
    """
    beside = (ORDERS.c[name] for name in BESIDE)
    most = max_running_of(ORDERS.c.caller_id).label("max_running")
    return Prepared(
        select(*SNAPSHOT, *beside, most, database_time("now")).where(
            ORDERS.c.id.in_([bindparam(f"id_{n}") for n in range(count)]),
            ORDERS.c.state == literal_column(f"'{OrderState.PENDING}'"),
            or_(ORDERS.c.run_after <= database_time("now"), and_(NEVER_PUT_OFF, _IS_OPEN)),
            MAY_BEGIN,
            _of(tags),
        )
    )


def _of(tags: Sequence[str]) -> ColumnElement[bool]:
    """Return the condition that an order is of these tags: of none where a registry is empty."""
    known: ColumnElement[bool] = ORDERS.c.select_tag.in_(
        [literal_column(f"'{tag}'") for tag in tags]
    )
    return known if tags else false()


class Lane(NamedTuple):
    """What is pending of one caller and one priority."""

    caller_id: int
    priority: int
    # When its first order becomes due, and the database's time.
    first: datetime
    now: datetime


def lanes(kernel: Kernel, asked: Session | Connection) -> list[Lane]:
    """Return the lanes in which an order is pending, due or not."""
    connection = asked.connection() if isinstance(asked, Session) else asked
    found = _LANES.rows(connection, {"now": kernel.clock.offset()})
    return [Lane(*row[1:]) for row in found]


def along(
    found: Iterable[Lane], rows: Select[Any], where: Sequence[ColumnElement[bool]], limit: int
) -> CompoundSelect[Any]:
    """Select the first ``limit`` of ``rows`` in each lane; `LANES` of them at the most."""
    return _along([lane[:2] for lane in found], rows, where, limit)


def _along(
    found: Sequence[tuple[Any, Any]],
    rows: Select[Any],
    where: Sequence[ColumnElement[bool]],
    limit: Any,
) -> CompoundSelect[Any]:
    """Do it for callers and priorities, and a limit, that are given or bound.

    By the index of the lanes. Left to choose, MariaDB intersects two others, and reads all orders
    of a caller, in any state, to find ten.
    """
    by_lane = by_index(rows, ORDERS, _INDEX).where(*where).order_by(ORDERS.c.run_after)
    each = [
        by_lane.where(
            *(
                column == value
                for column, value in zip(_LANE, (OrderState.PENDING, *lane), strict=True)
            )
        ).limit(limit)
        for lane in found
    ]
    return union_all(*(select(one.subquery()) for one in each))


@cache
def _first_due(tags: tuple[str, ...], count: int) -> Prepared:
    """Make the statement for what is due in ``count`` lanes, ``caller_0``, ``priority_0`` and on.

    ``limit``: of each lane; ``due``: until when it was to become due.
    """
    bound: list[tuple[Any, Any]] = [
        (bindparam(f"caller_{n}"), bindparam(f"priority_{n}")) for n in range(count)
    ]
    where = (ORDERS.c.run_after <= database_time("due"), _of(tags), MAY_BEGIN)
    return Prepared(_along(bound, select(*_COLUMNS), where, bindparam("limit")))


def due_orders(kernel: Kernel, limit: int, waiting: float = 0.0) -> list[str]:
    """Return up to ``limit`` orders of known tags, one of each caller in turn.

    They have been due for ``waiting`` seconds: one that became due just now has been hinted. None
    of a caller of whom as many run as may.
    """
    with kernel.read() as connection:
        waited, full = timedelta(seconds=waiting), at_work(connection).full
        return [one.id for one in deal(_due(kernel, connection, limit, full, waited), limit)]


def next_orders(kernel: Kernel, limit: int, last: int) -> list[DueOrder]:
    """Return up to ``limit`` orders that this process should run next, one of each caller in turn.

    ``last``: the caller of the order that it ran last. Every other process that runs an order now
    asks as well, and is to get others: see ``spread`` of `deal`.
    """
    with kernel.read() as connection:
        busy = at_work(connection)
        spread = 1 + min(RIVALS, busy.processes)
        due = _due(kernel, connection, limit * spread, busy.full, last=last)
    return deal(due, limit, last, spread)


def _due(
    kernel: Kernel,
    connection: Connection,
    limit: int,
    full: Set[int],
    waited: timedelta = AT_ONCE,
    last: int | None = None,
) -> list[DueOrder]:
    """Return due orders of known tags, the first of each lane: enough for ``limit`` in turn.

    ``last``: the caller who had a turn before, where not all callers fit; by chance without it.
    """
    found = [
        one
        for one in lanes(kernel, connection)
        if one.first <= one.now - waited and one.caller_id not in full
    ]
    if not found:
        return []
    fitting = _in_turn(found, last)
    share = limit if len(fitting) < 4 else max(10, 2 * limit // len(fitting))
    clock = kernel.clock
    values = {"limit": share, "due": clock.offset(-waited), "now": clock.offset()}
    for n, one in enumerate(fitting):
        values |= {f"caller_{n}": one.caller_id, f"priority_{n}": one.priority}
    rows = _first_due(tuple(kernel.handlers), len(fitting)).rows(connection, values)
    return [DueOrder(*row) for row in rows]


def _in_turn(found: Sequence[Lane], last: int | None) -> list[Lane]:
    """Return as many lanes as one statement reads, those of callers whose turn it is."""
    if len(found) <= LANES:
        return list(found)
    if last is None:
        last = random.sample(found, 1)[0].caller_id
    place = {caller: n for n, caller in enumerate(in_turn({one.caller_id for one in found}, last))}
    return sorted(found, key=lambda one: place[one.caller_id])[:LANES]


def due_soon(kernel: Kernel, limit: int, seconds: float) -> dict[str, float]:
    """Return orders of known tags that are due within ``seconds``, and in how many: the first ones.

    Each is to be hinted then. An order that a handler has put off is among them and gets a second
    hint, which finds nothing to do.
    """
    now, due = kernel.clock.sql(), kernel.clock.sql(timedelta(seconds=seconds))
    known = ORDERS.c.select_tag.in_(list(kernel.handlers))
    where = (ORDERS.c.run_after > now, ORDERS.c.run_after <= due, known)
    rows = _first(kernel, where, limit)
    return {row.id: (row.run_after - row.now).total_seconds() for row in rows[:limit]}


def waiting_longest(kernel: Kernel) -> float:
    """Return for how many seconds the oldest due order of a known tag waits; 0 if none does."""
    known = ORDERS.c.select_tag.in_(list(kernel.handlers))
    for oldest in _first(kernel, (ORDERS.c.run_after <= kernel.clock.sql(), known), 1)[:1]:
        return float((oldest.now - oldest.run_after).total_seconds())
    return 0.0


def oldest_due(kernel: Kernel, asked: Session | Connection) -> Row[Any] | None:
    """Return the order that has been due for longest (id, run_after), of a known tag or not.

    One definition of age for pages, gauges and terminals: an order that asked to wait is none.
    """
    is_due = (ORDERS.c.run_after <= kernel.clock.sql(),)
    return next(iter(_first_of(kernel, asked, is_due, 1)), None)


def _first(kernel: Kernel, where: Sequence[ColumnElement[bool]], limit: int) -> list[Row[Any]]:
    with kernel.read() as connection:
        return _first_of(kernel, connection, where, limit)


def _first_of(
    kernel: Kernel,
    asked: Session | Connection,
    where: Sequence[ColumnElement[bool]],
    limit: int,
) -> list[Row[Any]]:
    """Return the first ``limit`` orders of each lane, with the time, in the order of their due."""
    oldest = sorted(lanes(kernel, asked), key=lambda one: one.first)[:LANES]
    if not oldest:
        return []
    rows = select(ORDERS.c.id, ORDERS.c.run_after, kernel.clock.sql().label("now"))
    return sorted(asked.execute(along(oldest, rows, where, limit)), key=lambda row: row.run_after)
