"""Keep what pauses hold in step with them: end those whose time is over, hold, and let go."""

from kernel.delivery.pauses import hold_paused, release_unpaused
from kernel.orders.due import HINTS
from kernel.pauses.changes import end_pauses
from kernel.pauses.orders import HELD_BY_SWEEP, hold_orders, release_orders
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.job import Swept


def keep_pauses(kernel: Kernel, _swept: Swept) -> None:
    """End the pauses whose time is over; the next two jobs let go what they held."""
    end_pauses(kernel)


def hold_due_orders(kernel: Kernel, swept: Swept) -> None:
    """Have due orders of paused tags and callers wait; have those go on that no pause holds.

    The first ones are hinted: while orders are due, each process that is free takes the next.
    """
    swept.rescued += hold_orders(kernel, HELD_BY_SWEEP).woken
    swept.rescued += release_orders(kernel, HELD_BY_SWEEP)[:HINTS]


def hold_deliveries(kernel: Kernel, _swept: Swept) -> None:
    """Mark pending callbacks that a pause holds as held; make the others due again."""
    hold_paused(kernel)
    release_unpaused(kernel)
