"""Which runs are taken to hang, as a table; and what is told of processes."""

from datetime import UTC, datetime, timedelta

import pytest

from kernel.insight.trends.series import Trends
from kernel.insight.workers import Running, processes
from kernel.insight.workers.asking import drain, terminate
from kernel.insight.workers.hanging import Hangs, hangs
from kernel.insight.workers.shown import Doing, read_workers
from kernel.runtime.kernel import Kernel
from tests.support.factories import make_order
from tests.support.working import HOST, at_work, running

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "limit", "usual", "expected"),
    [
        (59, None, 1.0, None),  # short, however long the others took
        (61, None, 1.0, Hangs.LONG),
        (61, None, 30.0, None),
        (91, None, 30.0, Hangs.LONG),
        (3000, None, None, None),  # nothing is known of others
        (481, 600, None, Hangs.LIMIT),
        (479, 600, None, None),
        (481, 600, 1.0, Hangs.LIMIT),
    ],
)
def test_run_hangs_when_it_takes_far_longer_than_others_or_nears_its_limit(
    kernel: Kernel, seconds: float, limit: float | None, usual: float | None, expected: Hangs | None
) -> None:
    at_work(kernel)
    (process,) = processes(kernel)
    one = Running("01", 1, "slow", NOON - timedelta(seconds=seconds), limit)
    known = {} if usual is None else {"slow": usual}
    assert hangs(one, process, known, NOON) is expected


def test_run_of_a_silent_process_hangs(kernel: Kernel) -> None:
    at_work(kernel, running(kernel, "01", 1), ago=timedelta(minutes=5))
    (one,) = read_workers(kernel, Trends(kernel)).processes
    assert (one.doing, one.runs[0].hangs, one.hangs) == (Doing.SILENT, Hangs.SILENT, True)


def test_run_is_held_against_those_of_its_tag_that_have_ended(kernel: Kernel) -> None:
    now = kernel.clock.now()
    for _ in range(5):
        make_order(
            *(kernel,), state="success", started_at=now - timedelta(seconds=2), finished_at=now
        )
    at_work(kernel, running(kernel, "01", 2))
    at_work(kernel, running(kernel, "02", 2, tag="other"))
    first, second = read_workers(kernel, Trends(kernel)).processes
    assert (first.runs[0].hangs, second.runs[0].hangs) == (Hangs.LONG, None)
    usual = first.runs[0].usual
    assert usual is not None
    assert 1 < usual < 4


def test_what_each_process_does_is_a_word(kernel: Kernel) -> None:
    idle, busy, late, ending = (at_work(kernel) for _ in range(4))
    order = running(kernel, "01", 0)
    drain(kernel, HOST)
    at_work(kernel, process=idle)
    at_work(kernel, order, process=busy)
    terminate(kernel, ending.id)
    found = {one.process.id: one.doing for one in read_workers(kernel, Trends(kernel)).processes}
    expected = (Doing.DRAINED, Doing.DRAINING, Doing.DRAINING, Doing.TERMINATING)
    assert tuple(found[one.id] for one in (idle, busy, late, ending)) == expected
