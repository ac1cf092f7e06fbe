"""What a housekeeping job is, and what it says for hints and the result mirror."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Select, exists, select

from kernel.db.errors import DATABASE_ERRORS
from kernel.db.statements.prepared import Prepared
from kernel.db.states import Outcome
from kernel.orders.transitions import RunEnd
from kernel.runtime.kernel import Kernel


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
    who uses no limits does not pay for a look at them. Without any, each sweep gives one.
    """

    name: str
    run: Callable[[Kernel, Swept], None]
    needs: tuple[Select[Any], ...] = ()


def idle_jobs(kernel: Kernel, jobs: Sequence[Job]) -> set[str]:
    """Return the names of the jobs that have nothing to do, by one statement for all of them.

    Where the database does not answer there are no such jobs: each finds out by itself.
    """
    asked = tuple(dict.fromkeys(need for job in jobs for need in job.needs))
    if not asked:
        return set()
    try:
        with kernel.read() as connection:
            (row,) = _asking(asked).rows(connection, {})
    except DATABASE_ERRORS:
        return set()
    there = {one for one, found in zip(asked, row, strict=True) if found}
    return {job.name for job in jobs if job.needs and there.isdisjoint(job.needs)}


@cache
def _asking(asked: tuple[Select[Any], ...]) -> Prepared:
    found: list[Any] = [exists(one).label(f"found_{n}") for n, one in enumerate(asked)]
    return Prepared(select(*found))
