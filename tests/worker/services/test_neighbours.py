"""What becomes of all that a process of this machine had claimed when its whole worker is gone."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from kernel.db.tables.service import Worker
from kernel.insight.workers import Heartbeat
from kernel.insight.workers.heartbeat import host_name
from kernel.orders.transitions import RunEnd
from kernel.runtime.kernel import Kernel
from kernel.worker.pool.subreaper import look_at
from kernel.worker.pool.vitals import Life
from kernel.worker.pool.whereabouts import Whereabouts, this_machine
from kernel.worker.services.takeover import Neighbours
from tests.support.factories import delivery, make_delivery, make_order, order, rows

DEAD = "d" * 24
# No process has it: ids of processes end before.
NOBODY = Life(2**30, 1)


class Scene:
    """A process that looks for neighbours that are gone."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.ends: list[RunEnd] = []
        self.woken: list[None] = []
        self.neighbours = Neighbours(
            kernel, self.ends.append, lambda: self.woken.append(None), seconds=1
        )

    def add(self, runner: str, *lives: Life, machine: str | None = None) -> str:
        """Write the row of a process; return the id of an order that it runs."""
        here = Whereabouts(machine or this_machine() or "", lives).written() if lives else None
        now = self.kernel.clock.now()
        with self.kernel.write_session() as session:
            Heartbeat("worker", now, runner, "prefork", here).note(session, now, [], [])
        return make_order(self.kernel, state="running", runner=runner)

    def left(self) -> list[str]:
        """The ids of the processes that have a row."""
        return sorted(row.id for row in rows(self.kernel, Worker.__table__))


@pytest.fixture
def scene(kernel: Kernel) -> Scene:
    """On an empty database."""
    return Scene(kernel)


def own_life() -> Life:
    """That of this process."""
    found = look_at(os.getpid())
    assert found is not None
    return found.life


@contextmanager
def process() -> Iterator[Life]:
    """Yield the life of a process that is over at the end."""
    sleep = subprocess.Popen(["sleep", "600"])
    found = look_at(sleep.pid)
    assert found is not None
    try:
        yield found.life
    finally:
        sleep.kill()
        sleep.wait()


def test_orders_and_callbacks_of_a_worker_that_is_gone_are_due_again(scene: Scene) -> None:
    kernel = scene.kernel
    with process() as pool_process, process() as main:
        order_id = scene.add(DEAD, pool_process, main)
        callback = make_delivery(
            kernel,
            claim_token=f"{DEAD}-0a0b0c0d",
            next_attempt_at=kernel.clock.now() + kernel.lease / 2,
            is_retry=True,
            attempt=1,
            tries=1,
        )
        scene.neighbours.run()
        assert (order(kernel, order_id).state, scene.ends) == ("running", [])
    scene.neighbours.run()
    found = order(kernel, order_id)
    assert (found.state, found.crashes, found.runner) == ("pending", 1, None)
    assert delivery(kernel, callback).claim_token is None
    assert [end.order_id for end in scene.ends] == [order_id]
    assert (scene.left(), len(scene.woken)) == ([], 1)
    scene.neighbours.run()
    assert len(scene.woken) == 1


def test_main_process_that_lives_clears_up_itself(scene: Scene) -> None:
    order_id = scene.add(DEAD, NOBODY, own_life())
    scene.neighbours.run()
    assert order(scene.kernel, order_id).state == "running"


@pytest.mark.parametrize("elsewhere", ["another/1/0", "-"])
def test_processes_of_other_machines_are_left_to_their_leases(scene: Scene, elsewhere: str) -> None:
    there = scene.add("a" * 24, NOBODY, machine=elsewhere)
    untold = scene.add("b" * 24)
    scene.neighbours.run()
    found = [order(scene.kernel, one).state for one in (there, untold)]
    assert (found, len(scene.left())) == (["running", "running"], 2)


def test_host_of_another_name_is_another_machine(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copies of a virtual machine that was asleep have the same boot."""
    monkeypatch.setattr("platform.node", lambda: "copy")
    assert host_name() == "copy"
    order_id = scene.add(DEAD, NOBODY)
    monkeypatch.undo()
    scene.neighbours.run()
    assert order(scene.kernel, order_id).state == "running"


def test_rows_are_read_once_per_sweep(scene: Scene) -> None:
    scene.neighbours.run()
    scene.add(DEAD, NOBODY)
    scene.kernel.close()  # a statement would connect again, and find it
    scene.neighbours.run()
    assert (scene.left(), scene.ends) == ([DEAD], [])
    assert scene.neighbours.due_at > 0


def test_two_that_see_the_same_process_gone_hand_back_once(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    second = Scene(scene.kernel)
    with process() as life:
        order_id = scene.add(DEAD, life)
        scene.neighbours.run()
        second.neighbours.run()
    scene.neighbours.run()
    second.neighbours.run()
    assert (order(scene.kernel, order_id).crashes, second.ends) == (1, [])
    assert [len(one.woken) for one in (scene, second)] == [1, 1]
    assert caplog.text.count(f"handed back: {DEAD}") == 1


def test_row_stays_until_all_is_handed_back(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """So a process that looks later knows of it, too."""
    order_id = scene.add(DEAD, NOBODY)

    def fails(*_: object, **__: object) -> None:
        raise ValueError("of this row")

    with monkeypatch.context() as patch:
        patch.setattr("kernel.worker.maintenance.rescue.leave_running", fails)
        scene.neighbours.run()
    assert (scene.left(), order(scene.kernel, order_id).state) == ([DEAD], "running")
    later = Scene(scene.kernel)
    later.neighbours.run()
    assert (later.left(), order(scene.kernel, order_id).state) == ([], "pending")


def test_several_are_taken_over_one_in_a_round(scene: Scene) -> None:
    ids = [scene.add(runner * 24, NOBODY) for runner in "ab"]
    scene.neighbours.run()
    assert [order(scene.kernel, one).state for one in ids] == ["pending", "running"]
    assert (scene.neighbours.due_at, scene.woken) == (0, [])
    scene.neighbours.run()
    assert order(scene.kernel, ids[1]).state == "pending"
    assert scene.neighbours.due_at > 0
    assert len(scene.woken) == 1


def test_one_whose_child_cannot_be_killed_is_tried_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    order_id = scene.add(DEAD, NOBODY)
    with monkeypatch.context() as patch:
        patch.setattr("kernel.worker.services.takeover.kill_left_by", lambda *_: False)
        scene.neighbours.run()
        scene.neighbours.run()
    assert order(scene.kernel, order_id).state == "running"
    assert caplog.text.count("lives on") == 1
    scene.neighbours.run()
    assert order(scene.kernel, order_id).state == "pending"
