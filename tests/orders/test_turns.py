"""Whose turn it is, and which orders are found for it. The look at the rows on each database."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from kernel.db.states import Priority
from kernel.db.tables.callers import Caller
from kernel.handlers import Handlers
from kernel.orders import due as due_module
from kernel.orders.due import due_orders, due_soon, next_orders, waiting_longest
from kernel.orders.gates.turns import AGEING, DueOrder, deal
from kernel.runs.execute import execute
from kernel.runtime.kernel import Kernel
from tests.support.factories import make_order, order

NOW = datetime(2026, 11, 29, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def due(name: str, caller_id: int = 1, priority: int = 0, after: timedelta = SECOND) -> DueOrder:
    """An order that became due at some time."""
    return DueOrder(name, caller_id, priority, NOW + after)


def names(dealt: list[DueOrder]) -> str:
    return " ".join(one.id for one in dealt)


A = [due(f"a{n}", 1, after=n * SECOND) for n in range(5)]
B = [due(f"b{n}", 2, after=n * SECOND) for n in range(2)]
C = [due("c0", 3)]


@pytest.mark.parametrize(
    ("last", "turns"),
    [
        (0, "a0 b0 c0 a1 b1 a2 a3 a4"),
        (1, "b0 c0 a0 b1 a1 a2 a3 a4"),
        (2, "c0 a0 b0 a1 b1 a2 a3 a4"),
        (3, "a0 b0 c0 a1 b1 a2 a3 a4"),
        (9, "a0 b0 c0 a1 b1 a2 a3 a4"),
    ],
)
def test_callers_have_one_order_each_in_turn_after_the_one_who_had_it_last(
    last: int, turns: str
) -> None:
    assert names(deal([*A, *B, *C], 100, last)) == turns
    assert names(deal([*A, *B, *C], 3, last)) == turns[:8]


def test_priority_and_age_are_one_comparison_among_the_orders_of_a_caller() -> None:
    early, late = AGEING - SECOND, AGEING + SECOND
    orders = [
        due("low", priority=Priority.LOW),
        due("early", after=SECOND + early),
        due("late", after=SECOND + late),
        due("high", priority=Priority.HIGH, after=SECOND + 2 * early),
        due("late_high", priority=Priority.HIGH, after=SECOND + 2 * late),
    ]
    assert names(deal(orders, 10)) == "high early low late late_high"


def test_high_priority_of_one_caller_takes_no_turn_from_another() -> None:
    flood = [due(f"high{n}", 1, Priority.HIGH, n * SECOND) for n in range(3)]
    orders = [*flood, due("low", 2, Priority.LOW)]
    assert names(deal(orders, 2)) == "high0 low"


def test_each_of_several_processes_takes_one_of_as_many_neighbours() -> None:
    assert names(deal([*A, *C], 10, 0, 2, lambda some: some[-1])) == "a1 c0 a3 a4"
    assert names(deal([*A, *C], 10, 0, 2, lambda some: some[0])) == "a0 c0 a2 a4"


@pytest.fixture
def two(make_kernel: Callable[..., Kernel], database_url: str) -> Kernel:
    """A kernel with a second caller."""
    kernel = make_kernel(database_url)
    with kernel.write_session() as session:
        session.add(Caller(id=2, name="second", created_at=kernel.clock.now()))
    return kernel


def test_order_of_a_caller_is_found_at_once_when_another_has_many(two: Kernel) -> None:
    ago = two.clock.now() - 100 * SECOND
    flood = [make_order(two, run_after=ago + n * SECOND) for n in range(30)]
    make_order(two, select_tag="elsewhere", caller_id=2, run_after=ago)
    single = make_order(two, caller_id=2, run_after=ago + 50 * SECOND)
    assert [one.id for one in next_orders(two, 3, last=1)] == [single, *flood[:2]]
    assert due_orders(two, 3) == [flood[0], single, flood[1]]
    make_order(two, caller_id=2, state="running")
    assert single in [one.id for one in next_orders(two, 3, last=0)]


def test_low_ones_end_too_when_newer_ones_come_all_the_time(two: Kernel) -> None:
    low = make_order(two, priority=Priority.LOW)
    for minutes in range(1, 13):
        two.clock.shift(61)
        made = [make_order(two, priority=Priority.NORMAL) for _ in range(2)]
        found = [one.id for one in next_orders(two, 2 * minutes + 1, last=0)]
        assert (found.index(low) < found.index(made[0])) == (minutes >= 10)


def test_order_is_found_however_many_lanes_there_are(
    two: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(due_module, "LANES", 2)
    ago = two.clock.now() - 60 * SECOND
    lanes = {
        (caller, priority): make_order(two, caller_id=caller, priority=priority, run_after=ago)
        for caller in (1, 2)
        for priority in Priority
    }
    later = two.clock.now() + 60 * SECOND
    soon = make_order(two, run_after=later)
    first, second = ({one.caller_id for one in next_orders(two, 9, last)} for last in (0, 1))
    assert (first, second) == ({1}, {2})
    assert len(lanes) == 6
    assert waiting_longest(two) >= 60
    assert list(due_soon(two, 9, 61.0)) == [soon]


def test_no_order_is_found_when_no_handler_is_registered(
    make_kernel: Callable[..., Kernel], database_url: str
) -> None:
    kernel = make_kernel(database_url, Handlers())
    order_id = make_order(kernel)
    assert (due_orders(kernel, 5), next_orders(kernel, 5, 0)) == ([], [])
    assert (execute(kernel, order_id), order(kernel, order_id).state) == (None, "pending")
    assert (due_soon(kernel, 5, 60), waiting_longest(kernel)) == ({}, 0.0)
