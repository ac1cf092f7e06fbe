"""Submits the orders of schedules that are due."""

from typing import Any

from kernel.runtime.kernel import Kernel
from kernel.schedules.firing import due_schedules, fire
from kernel.worker.maintenance.job import Swept
from kernel.worker.maintenance.set_aside import SetAside

# How many schedules one sweep fires; those due for longest first, and the next sweep the others.
SCHEDULES = 100


def fire_schedules(kernel: Kernel, swept: Swept, aside: SetAside | None = None) -> None:
    """Fire schedules that are due. One that cannot be fired is set ``aside``, and stays due."""
    aside = not_fired() if aside is None else aside

    def once(row: Any) -> None:
        if (order_id := fire(kernel, row)) is not None:
            swept.due.append(order_id)

    aside.do_each(
        due_schedules(kernel, SCHEDULES + len(aside)), once, key=lambda row: str(row.name)
    )


def not_fired() -> SetAside:
    """Return what remembers the schedules that could not be fired, by name."""
    return SetAside("schedule not fired", what_id="schedule")
