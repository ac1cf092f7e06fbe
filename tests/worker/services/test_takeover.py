"""What becomes of all that a dead process had claimed. On SQLite and on MariaDB."""

from collections.abc import Callable

import pytest

from kernel.db.tables.orders import ORDERS
from kernel.db.tables.service import Worker
from kernel.delivery.claim import claim_due, due_lanes
from kernel.handlers import Handlers, Run
from kernel.insight.workers import Heartbeat
from kernel.orders.transitions import RunEnd
from kernel.runs.execute import execute
from kernel.runtime.kernel import Kernel
from kernel.worker.pool.vitals import Life, Vitals
from kernel.worker.services.takeover import Takeover
from tests.support.factories import delivery, make_delivery, make_order, order, rows
from tests.support.handlers.misbehaving import Named

DEAD, OTHER = "d" * 24, "e" * 24


class Scene:
    """A worker one of whose processes is gone, and another that looks for that."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.vitals = Vitals()
        self.ends: list[RunEnd] = []
        self.woken: list[None] = []
        for runner in (DEAD, OTHER):
            seat = self.vitals.reserve()
            assert seat is not None
            self.vitals.occupy(seat, Life(1, 1), runner)
        self.vitals.clear(self.vitals.occupied()[0])
        self.takeover = Takeover(
            kernel, self.vitals, self.ends.append, lambda: self.woken.append(None), seconds=60
        )

    @property
    def left(self) -> list[str]:
        """The processes that are not handed back."""
        return [place.runner for place in self.vitals.occupied()]


@pytest.fixture
def scene(kernel: Kernel) -> Scene:
    """On an empty database."""
    return Scene(kernel)


def running(kernel: Kernel, runner: str | None, **values: object) -> str:
    """Make a running order whose lease holds."""
    return make_order(kernel, state="running", runner=runner, **values)


def test_orders_of_a_dead_process_are_due_again_and_no_others(scene: Scene) -> None:
    kernel = scene.kernel
    mine = [running(kernel, DEAD, connection_id=10**9), running(kernel, DEAD, crashes=1)]
    others = [running(kernel, OTHER), running(kernel, None), make_order(kernel, runner=DEAD)]
    scene.takeover.run()
    assert [(end.order_id, end.again_in) for end in scene.ends] == [(mine[0], 0.0), (mine[1], 2.0)]
    found = [order(kernel, one) for one in mine]
    assert [(one.state, one.crashes, one.runner) for one in found] == [
        ("pending", 1, None),
        ("pending", 2, None),
    ]
    assert [order(kernel, one).state for one in others] == ["running", "running", "pending"]
    assert (scene.left, len(scene.woken)) == ([OTHER], 1)
    assert execute(kernel, mine[0]) is not None


def test_order_ends_when_it_has_crashed_too_often(scene: Scene) -> None:
    order_id = running(scene.kernel, DEAD, crashes=4)
    scene.takeover.run()
    assert order(scene.kernel, order_id).error_code == "worker_lost"
    assert scene.ends[0].outcome is not None


def test_callbacks_of_a_dead_process_are_due_again_and_no_others(scene: Scene) -> None:
    kernel = scene.kernel
    until = kernel.clock.now() + kernel.lease / 2
    claimed = {"next_attempt_at": until, "is_retry": True, "attempt": 1, "tries": 1}
    tokens = (DEAD, f"{DEAD}-0a0b0c0d", OTHER, None)
    made = [make_delivery(kernel, claim_token=token, **claimed) for token in tokens]
    scene.takeover.run()
    found = [delivery(kernel, one) for one in made]
    assert [one.claim_token for one in found] == [None, None, OTHER, None]
    assert [one.next_attempt_at < until for one in found] == [True, True, False, False]
    assert [one.attempt for one in found] == [1, 1, 1, 1]
    claimed_now = claim_due(kernel, dict.fromkeys(due_lanes(kernel), 9)).deliveries
    assert {one.id for one in claimed_now} == set(made[:2])


def test_token_of_a_claim_begins_with_the_process_that_sends(kernel: Kernel) -> None:
    make_delivery(kernel)
    (due,) = claim_due(kernel, dict.fromkeys(due_lanes(kernel), 1)).deliveries
    assert due.token.startswith(kernel.runner)
    assert len(due.token) <= 36
    assert delivery(kernel, due.id).claim_token == due.token


def test_row_of_a_dead_process_goes(scene: Scene) -> None:
    now = scene.kernel.clock.now()
    with scene.kernel.write_session() as session:
        for runner in (DEAD, OTHER):
            Heartbeat("worker", now, runner).note(session, now, [], [])
    scene.takeover.run()
    assert [one.id for one in rows(scene.kernel, Worker.__table__)] == [OTHER]


def test_nothing_is_asked_when_every_process_lives(kernel: Kernel) -> None:
    scene = Scene(kernel)
    scene.vitals.free(scene.vitals.cleared()[0])
    kernel.close()
    scene.takeover.run()
    assert (scene.left, scene.ends, scene.woken) == ([OTHER], [], [])


def test_second_process_finds_nothing_when_the_first_has_handed_back(scene: Scene) -> None:
    kernel, second = scene.kernel, Scene(scene.kernel)
    order_id = running(kernel, DEAD)
    scene.takeover.run()
    second.takeover.run()
    assert (order(kernel, order_id).crashes, second.ends, second.left) == (1, [], [OTHER])


def test_place_is_kept_until_the_database_is_back(
    make_kernel: Callable[..., Kernel], main_rows_url: str
) -> None:
    kernel = make_kernel(main_rows_url)
    scene, order_id = Scene(kernel), running(kernel, DEAD)
    with kernel.engine.connect() as connection:
        connection.execute(ORDERS.select().where(ORDERS.c.id == order_id).with_for_update())
        scene.takeover.run()  # its row is locked: set aside
        assert (scene.left, scene.ends) == ([DEAD, OTHER], [])
        connection.rollback()
    scene.takeover = Takeover(kernel, scene.vitals, scene.ends.append, lambda: None, seconds=60)
    scene.takeover.run()
    assert (scene.left, scene.ends[0].order_id) == ([OTHER], order_id)


def test_connection_of_a_dead_process_is_killed_before_its_order_is_handed_back(
    make_kernel: Callable[..., Kernel], main_rows_url: str
) -> None:
    """The process may have died in its last statements, which lock the order's row."""
    kernel = make_kernel(main_rows_url)
    scene = Scene(kernel)
    with kernel.engine.connect() as dead:
        number = kernel.dialect.connection_number(dead)
        order_id = running(kernel, DEAD, connection_id=number)
        dead.execute(ORDERS.update().where(ORDERS.c.id == order_id).values(message="dying"))
        scene.takeover.run()
        assert [end.order_id for end in scene.ends] == [order_id]
        dead.invalidate()
    assert order(kernel, order_id).message is None


def test_claim_says_which_process_runs_an_order(
    make_kernel: Callable[..., Kernel], sqlite_url: str
) -> None:
    handlers, seen = Handlers(), list[str | None]()

    @handlers.register("look", Named)
    def look(run: Run, args: Named) -> dict[str, object]:
        seen.append(order(kernel, run.order_id).runner)
        return {}

    kernel = make_kernel(sqlite_url, handlers)
    execute(kernel, make_order(kernel, select_tag="look", args="{}"))
    assert seen == [kernel.runner]
