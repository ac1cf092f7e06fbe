"""What a maintenance job tells the dispatcher that ran it, for hints and the result mirror."""

from dataclasses import dataclass, field

from kernel.db.states import Outcome
from kernel.orders.transitions import RunEnd


@dataclass(slots=True)
class Swept:
    """What a sweep did."""

    rescued: list[str] = field(default_factory=list)
    failed: dict[str, Outcome] = field(default_factory=dict)

    def add(self, end: RunEnd) -> None:
        """Add what became of an order."""
        if end.outcome is not None:
            self.failed[end.order_id] = end.outcome
        elif end.again_in is not None:
            self.rescued.append(end.order_id)
