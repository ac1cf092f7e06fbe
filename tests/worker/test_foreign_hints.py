"""Hints of orders that this database does not have: counted and told, now and then."""

import os

import pytest

from kernel.db.ids import new_id
from kernel.runtime.kernel import Kernel
from kernel.runtime.metrics import FOREIGN_HINTS
from kernel.worker.foreign_hints import LOOK_SECONDS, ForeignHints
from kernel.worker.pool.vitals import Vitals
from kernel.worker.process import WorkerProcess
from tests.support.factories import make_order
from tests.support.hints import FakeHints

pytestmark = pytest.mark.rows


def counted(kernel: Kernel) -> float:
    return kernel.metrics.snapshot().get((FOREIGN_HINTS.name, ()), [0.0])[0]


def test_foreign_hints_are_counted_when_orders_have_no_rows(
    kernel: Kernel, caplog: pytest.LogCaptureFixture
) -> None:
    strangers = [new_id(kernel.clock.now()) for _ in range(3)]
    ForeignHints(kernel).look([make_order(kernel, state="success"), *strangers])
    assert counted(kernel) == 3
    assert "3 of 4 hints in the queue orders." in caplog.text


def test_nothing_is_said_when_the_orders_are_ours(
    kernel: Kernel, caplog: pytest.LogCaptureFixture
) -> None:
    foreign = ForeignHints(kernel)
    foreign.look([make_order(kernel, state="success")])
    foreign.look([])
    assert (counted(kernel), caplog.text) == (0, "")


def test_rows_are_looked_for_once_in_a_while_when_many_hints_come(kernel: Kernel) -> None:
    now = 0.0
    foreign = ForeignHints(kernel, lambda: now)
    foreign.look(["a"])
    now += LOOK_SECONDS - 0.1
    foreign.look(["b"])
    assert counted(kernel) == 1
    now += 0.1
    foreign.look(["c"])
    assert counted(kernel) == 2


def test_message_of_a_stranger_is_noticed_when_a_worker_gets_it(kernel: Kernel) -> None:
    WorkerProcess(kernel, FakeHints(), Vitals(), os.getpid()).execute(["stranger"])
    assert counted(kernel) == 1
