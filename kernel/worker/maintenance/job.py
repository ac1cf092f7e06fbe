"""What a housekeeping job is, and what it says for hints and the result mirror."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

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
    """A housekeeping job. ``run`` may raise; what it has added to `Swept` before that holds."""

    name: str
    run: Callable[[Kernel, Swept], None]
