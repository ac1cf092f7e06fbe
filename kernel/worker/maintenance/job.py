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
    # Orders taken over from a worker that is gone.
    rescued: list[str] = field(default_factory=list)
    # Orders that ended outside a run; their callbacks are due.
    failed: dict[str, Outcome] = field(default_factory=dict)

    def add(self, end: RunEnd) -> None:
        """Add what became of an order."""
        if end.outcome is not None:
            self.failed[end.order_id] = end.outcome
        elif end.again_in is not None:
            self.rescued.append(end.order_id)


class Job(NamedTuple):
    """A housekeeping job. ``run`` may raise; what it has added to `Swept` before that holds."""

    name: str
    run: Callable[[Kernel, Swept], None]
