"""A worker process while many orders wait: in which order it runs them. Real rows, counted."""

import os
from collections.abc import Callable

import pytest
from sqlalchemy import insert

from kernel.callers import keys
from kernel.callers.callback_rules import CallerRules
from kernel.db.ids import new_id
from kernel.db.tables.callers import Caller
from kernel.db.tables.orders import ORDERS
from kernel.handlers import Handlers, Run
from kernel.runs import claim
from kernel.runtime.hints import MORE
from kernel.runtime.kernel import Kernel
from kernel.worker.pool.vitals import Vitals
from kernel.worker.process import TURNS, WorkerProcess
from kernel.worker.row_queue import TOGETHER
from tests.support.factories import make_order
from tests.support.handlers.misbehaving import Named
from tests.support.hints import FakeHints

MANY = 10_000
# How many of them run before another caller's order is accepted.
BEFORE = 5
WRITE = {"select_tag": "write", "args": "{}"}


class Desk:
    """A process, and what its handler has run, in this order."""

    def __init__(self, make_kernel: Callable[..., Kernel], url: str) -> None:
        registry, self.ran = Handlers(), list[str]()
        # Called with the number of the order, when it runs.
        self.meanwhile: Callable[[int], object] = lambda _: None
        registry.register("write", Named)(self._write)
        self.kernel, self.queue = make_kernel(url, registry), FakeHints()
        self.process = WorkerProcess(self.kernel, self.queue, Vitals(), os.getpid())
        with self.kernel.write_session() as session:
            session.add(Caller(id=2, name="second", created_at=self.kernel.clock.now()))

    def _write(self, run: Run, args: Named) -> dict[str, object]:
        self.ran.append(run.order_id)
        self.meanwhile(len(self.ran))
        return {}

    def flood(self, count: int) -> list[str]:
        """Insert orders of the first caller, which became due one after the other."""
        begin = self.kernel.clock.now()
        row = {**WRITE, "caller_id": 1, "callback_url": "", "fingerprint": "0" * 64}
        row |= {"created_at": begin, "run_after": begin}
        ids = [new_id(begin) for _ in range(count)]
        with self.kernel.write() as connection:
            connection.execute(insert(ORDERS), [row | {"id": one} for one in ids])
        return ids


@pytest.fixture
def desk(make_kernel: Callable[..., Kernel], sqlite_url: str) -> Desk:
    return Desk(make_kernel, sqlite_url)


@pytest.mark.parametrize("slow", [True, False])
def test_single_order_waits_for_one_order_or_one_turn_when_another_caller_has_many(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, slow: bool
) -> None:
    now, single = [0.0], list[str]()

    def meanwhile(number: int) -> None:
        now[0] += 60.0 if slow else 0.0
        if number == BEFORE:
            single.append(make_order(desk.kernel, caller_id=2, **WRITE))

    desk.meanwhile = meanwhile
    monkeypatch.setattr(claim, "monotonic", lambda: now[0])
    desk.flood(MANY)
    desk.kernel.clock.shift(1)
    desk.process.execute([MORE])
    # It is the next one when each takes its time; else the next after those taken together.
    assert desk.ran.index(single[0]) == (BEFORE if slow else TOGETHER)
    assert len(desk.ran) == (TURNS if slow else TURNS * TOGETHER)
    assert MORE in desk.queue.hinted, "the rest is not forgotten"


def test_orders_of_a_message_wait_with_the_others_while_orders_wait(desk: Desk) -> None:
    old = desk.flood(3)
    new = make_order(desk.kernel, run_after=desk.kernel.clock.now(), **WRITE)
    desk.process.dispatcher.rows.want()
    desk.process.execute([new])
    assert desk.ran[-1] == new
    assert set(desk.ran) == {*old, new}
    assert not desk.process.dispatcher.rows.wanted


def test_order_without_a_hint_is_found_by_its_age_when_many_are_due(desk: Desk) -> None:
    lost = desk.flood(1)[0]
    desk.kernel.clock.shift(2)
    hinted = desk.flood(50)
    desk.process.dispatcher.queue_watch.run()
    desk.process.execute(hinted[-1:])
    assert desk.ran[0] == lost
    assert len(desk.ran) == 51


def test_nothing_is_taken_from_the_rows_when_the_queue_is_short(desk: Desk) -> None:
    hinted, _ = desk.flood(2)
    desk.process.execute([hinted])
    assert desk.ran == [hinted]


def test_nothing_is_taken_any_more_when_the_worker_is_to_end(desk: Desk) -> None:
    desk.flood(3)
    desk.meanwhile = lambda _: desk.process.vitals.stopping()
    desk.process.execute([MORE])
    assert len(desk.ran) == 3, "those that were taken together"
    desk.flood(3)
    desk.process.execute([MORE])
    assert len(desk.ran) == 3


def test_next_order_of_a_caller_with_a_share_runs_when_one_has_ended(desk: Desk) -> None:
    with desk.kernel.write_session() as session:
        keys.change(session, "anonymous", CallerRules(max_running=1))
    first, second = desk.flood(2)
    desk.process.execute([first])
    assert desk.ran == [first, second]
