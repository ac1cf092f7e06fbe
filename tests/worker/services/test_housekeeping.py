"""The turn to sweep, jobs that fail alone, and what the broker is told of what they did."""

from collections.abc import Callable
from functools import partial

import pytest
from sqlalchemy import select

from kernel.db.states import OrderState, Outcome
from kernel.db.tables.deliveries import DELIVERIES
from kernel.db.tables.operating.pauses import PAUSES
from kernel.runtime.kernel import Kernel
from kernel.worker.dispatcher import Dispatcher
from kernel.worker.maintenance.job import Job, Swept
from kernel.worker.services.health import Health
from kernel.worker.services.housekeeping import EARLY_SECONDS, IN_A_ROW, Housekeeping
from tests.performance.test_costs import counting
from tests.support.factories import make_delivery
from tests.support.hints import FakeHints
from tests.support.waiting import wait_until

LOST = Outcome(OrderState.FAILED, "lost", error_code="worker_lost")


def find(_: Kernel, swept: Swept) -> None:
    swept.due.append("due")


def take_over(_: Kernel, swept: Swept) -> None:
    """Do half of the work, and fail."""
    swept.rescued.append("rescued")
    raise ZeroDivisionError


def give_up(_: Kernel, swept: Swept) -> None:
    swept.failed["lost"] = LOST


def look_ahead(_: Kernel, swept: Swept) -> None:
    swept.soon["soon"] = 1.5


def test_jobs_have_their_turns_and_are_told_when_one_of_them_fails(kernel: Kernel) -> None:
    hints, wakes, health = FakeHints(), list[None](), Health()
    jobs = [Job("find", find), Job("take over", take_over), Job("give up", give_up)]
    jobs.append(Job("look ahead", look_ahead))
    later: dict[str, float] = {}
    wake = partial(wakes.append, None)
    housekeeping = Housekeeping(kernel, jobs, hints, wake, health, later.__setitem__)
    housekeeping.run()
    assert (hints.hinted, later) == (["due", "rescued"], {"soon": 1.5})
    assert (hints.outcomes, len(wakes)) == ({"lost": LOST}, 1)


def test_sweep_is_done_by_one_process_when_two_ask(kernel: Kernel) -> None:
    hints = FakeHints()
    two = [
        Housekeeping(kernel, [Job("find", find)], hints, lambda: None, Health(), lambda *_: None)
        for _ in range(2)
    ]
    for one in two:
        one.run()
    assert hints.hinted == ["due"]
    kernel.clock.shift(kernel.settings.sweep_seconds + 1)
    wait_until(lambda: two[1].run() or len(hints.hinted) == 2)


def test_who_swept_last_comes_first_when_the_next_sweep_is_due(kernel: Kernel) -> None:
    jobs, hints = [Job("find", find)], FakeHints()
    swept, other, third = (
        Housekeeping(kernel, jobs, hints, lambda: None, Health(), lambda *_: None) for _ in range(3)
    )
    for one in (swept, other, third):
        one.run()
    assert swept.due_at + 0.1 < min(other.due_at, third.due_at)
    kernel.clock.shift(kernel.settings.sweep_seconds + EARLY_SECONDS)
    swept.run()
    with counting(kernel) as counts:
        other.run()
        third.run()
    assert (counts["statements"], counts["commits"]) == (2, 0), "they ask, and claim nothing"


def lack(_: Kernel, swept: Swept) -> None:
    swept.is_whole = False


def test_other_process_comes_first_when_one_has_swept_for_a_while(kernel: Kernel) -> None:
    """It may know tags, or reach what the other does not."""
    hints = FakeHints(), FakeHints()
    two = [
        Housekeeping(kernel, [Job("find", find)], one, lambda: None, Health(), lambda *_: None)
        for one in hints
    ]
    for _ in range(2 * IN_A_ROW):
        for one in sorted(two, key=lambda one: one.due_at):
            one.run()
        kernel.clock.shift(kernel.settings.sweep_seconds + 1)
    assert [len(one.hinted) for one in hints] == [IN_A_ROW, IN_A_ROW]


@pytest.mark.parametrize("job", [take_over, lack])
def test_other_process_comes_first_when_a_job_was_not_done_whole(
    kernel: Kernel, job: Callable[[Kernel, Swept], None]
) -> None:
    swept, other = (
        Housekeeping(kernel, [Job("it", job)], FakeHints(), lambda: None, Health(), lambda *_: None)
        for _ in range(2)
    )
    swept.run()
    other.run()
    assert other.due_at + 0.1 < swept.due_at


def test_job_has_no_turn_while_nothing_that_it_needs_is_there(kernel: Kernel) -> None:
    hints = FakeHints()
    needs = select(PAUSES.c.id), select(DELIVERIES.c.id).where(DELIVERIES.c.state == "held")
    jobs = [Job("find", find, needs)]
    housekeeping = Housekeeping(kernel, jobs, hints, lambda: None, Health(), lambda *_: None)
    make_delivery(kernel)
    housekeeping.sweep()
    assert hints.hinted == []
    make_delivery(kernel, state="held")
    housekeeping.sweep()
    assert hints.hinted == ["due"]


def test_sweep_of_an_idle_installation_asks_few_questions(kernel: Kernel) -> None:
    dispatcher = Dispatcher(kernel, FakeHints())
    (housekeeping,) = (one for one in dispatcher.loop.services if one.name == "sweep")
    assert isinstance(housekeeping, Housekeeping)
    housekeeping.sweep()
    with counting(kernel) as counts:
        housekeeping.sweep()
    assert counts["statements"] <= 11
