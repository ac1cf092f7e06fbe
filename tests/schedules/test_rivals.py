"""Two who change a schedule in the same moment: its times are those of the definition it has."""

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Any

import pytest

from kernel.callers.audit.acts import By
from kernel.runtime.kernel import Kernel
from kernel.schedules import changes
from kernel.schedules.definition import Definition
from tests.support.recurring import add, row


@dataclass(frozen=True)
class Slow(By):
    """One whose change is written for a while before its COMMIT."""

    is_written: Event = field(default_factory=Event)

    def record(self, asking: Any, verb: str, target: str, **facts: Any) -> None:
        """Let the other begin."""
        super().record(asking, verb, target, **facts)
        self.is_written.set()
        Event().wait(1)


def resumed(kernel: Kernel) -> None:
    changes.resume(kernel, "nightly")


def moved(kernel: Kernel) -> None:
    changes.change(kernel, "nightly", {"zone": "Asia/Tokyo"})


@pytest.mark.parametrize(
    ("other", "is_paused"), [(resumed, True), (moved, False)], ids=["resumed", "moved"]
)
def test_next_time_is_that_of_the_definition_when_two_change_it_at_once(
    kernel: Kernel, other: Callable[[Kernel], None], is_paused: bool
) -> None:
    add(kernel)
    if is_paused:
        changes.pause(kernel, "nightly")
    by, change = Slow(), {"cron": "30 4 * * *"}
    first = Thread(target=changes.change, args=(kernel, "nightly", change, by))
    first.start()
    assert by.is_written.wait(10)
    other(kernel)
    first.join(10)
    found = row(kernel)
    assert found.cron == "30 4 * * *"
    assert found.next_at == Definition.of(found).recurrence.next(kernel.clock.now())
