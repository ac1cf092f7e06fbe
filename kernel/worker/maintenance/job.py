"""What a housekeeping job is, and what it says for hints and the result mirror."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, exists, func, literal_column, select

from kernel.db.clock import DatabaseTime, database_time
from kernel.db.errors import DATABASE_ERRORS
from kernel.db.statements.prepared import Prepared
from kernel.db.states import Outcome
from kernel.orders.transitions import RunEnd
from kernel.runtime.kernel import Kernel

# What ended before is not kept any more. For what jobs need, as `ago`.
KEPT_SINCE = database_time("kept_since")
_AGO = "ago_"


def ago(age: timedelta) -> DatabaseTime:
    """Return the time that lies ``age`` before the question what jobs need."""
    return database_time(f"{_AGO}{round(age.total_seconds())}")


def one_of(found: Select[Any]) -> Select[Any]:
    """Return what a job needs if there has to be a row of ``found``, which an index has in order.

    PostgreSQL plans an EXISTS as if its first look would find a row, and reads the whole table when
    there is none. In its order the first row is at one place of the index alone.
    """
    return if_so(found.limit(1).scalar_subquery().is_not(None))


def before(column: ColumnElement[Any], limit: DatabaseTime) -> Select[Any]:
    """Return what a job needs if there has to be a time before ``limit``; for one with an index."""
    return if_so(select(func.min(column)).scalar_subquery() < limit)


def if_so(condition: ColumnElement[bool]) -> Select[Any]:
    """Return what a job needs if a condition has to hold that reads a table by itself."""
    return select(literal_column("1")).where(condition)


@dataclass(slots=True)
class Swept:
    """What jobs found and did: each adds to it what it has committed."""

    # Orders that are due and may have lost their hints.
    due: list[str] = field(default_factory=list)
    # Orders that are due before the next sweep, and in how many seconds.
    soon: dict[str, float] = field(default_factory=dict)
    # Orders that are pending again: taken over from a worker that is gone, or woken.
    rescued: list[str] = field(default_factory=list)
    # Orders that ended outside a run; their callbacks are due.
    failed: dict[str, Outcome] = field(default_factory=dict)
    # False: this process cannot do all of it now, and another one may.
    is_whole: bool = True

    def add(self, end: RunEnd) -> None:
        """Add what became of an order, and of its parent with it."""
        if end.outcome is not None:
            self.failed[end.order_id] = end.outcome
        elif end.again_in is not None:
            self.rescued.append(end.order_id)
        self.rescued.extend(end.woken)
        if end.parent is not None:
            self.add(end.parent)


class Job(NamedTuple):
    """A housekeeping job. ``run`` may raise; what it has added to `Swept` before that holds.

    ``needs``: while none of these selects finds a row there is nothing to do, and no turn is given:
    who uses no limits does not pay for a look at them. Without any, each sweep gives one. A select
    with a condition on a table that may be large is made by `one_of`, `before` or `if_so`.

    ``keeps_books``: it touches no order. What such jobs need is asked when their turn comes, by a
    statement of their own: where an operator locks a table of theirs, no order waits for it.
    """

    name: str
    run: Callable[[Kernel, Swept], None]
    needs: tuple[Select[Any], ...] = ()
    keeps_books: bool = False


def idle_jobs(kernel: Kernel, jobs: Sequence[Job]) -> set[str]:
    """Return the names of the jobs that have nothing to do, by one statement for all of them.

    Where the database does not answer there are no such jobs: each finds out by itself.
    """
    asked = tuple(dict.fromkeys(need for job in jobs for need in job.needs))
    if not asked:
        return set()
    try:
        asking, ages = _asking(asked)
        kept = -timedelta(days=kernel.settings.retention_days)
        times = {"kept_since": kernel.clock.offset(kept)}
        times |= {name: kernel.clock.offset(-age) for name, age in ages.items()}
        with kernel.read() as connection:
            (row,) = asking.rows(connection, times)
    except DATABASE_ERRORS:
        return set()
    there = {one for one, found in zip(asked, row, strict=True) if found}
    return {job.name for job in jobs if job.needs and there.isdisjoint(job.needs)}


@cache
def _asking(asked: tuple[Select[Any], ...]) -> tuple[Prepared, dict[str, timedelta]]:
    """Make the statement, and tell of each time that it names by `ago` how long ago it is."""
    found: list[Any] = [exists(one).label(f"found_{n}") for n, one in enumerate(asked)]
    statement = select(*found)
    names = [name for name in statement.compile().params if name.startswith(_AGO)]
    ages = {name: timedelta(seconds=int(name.removeprefix(_AGO))) for name in names}
    return Prepared(statement), ages
