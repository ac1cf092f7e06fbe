"""A tag's concurrency: never more of its orders at once, by the rows, whoever claims and dies."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import func, select, update
from sqlalchemy.exc import DBAPIError

from kernel.db.states import OrderState
from kernel.db.tables.gates import GATES
from kernel.db.tables.limits import LINES, SLOTS
from kernel.db.tables.orders import ORDERS
from kernel.errors import Retry
from kernel.formats.envelope import rfc3339
from kernel.handlers import Handlers, Run
from kernel.orders.cancel import cancel
from kernel.orders.decide import Exit, Why
from kernel.orders.gates.limits.known import Place
from kernel.orders.gates.limits.lining_up import forget_idle, settle
from kernel.orders.transitions import leave_running
from kernel.runs import claim
from kernel.runs.claim import Batch
from kernel.runs.execute import execute, execute_each
from kernel.runs.leases import leave, retry_handbacks
from kernel.runtime.kernel import Kernel
from kernel.testing import drain, order
from kernel.worker.maintenance.gates.limits import SettleLimits
from kernel.worker.maintenance.gates.windows import expire_orders
from kernel.worker.maintenance.job import Swept
from kernel.worker.maintenance.rescue import rescue_orders, take_over
from kernel.worker.maintenance.set_aside import SetAside
from tests.support.factories import order as stored
from tests.support.factories import rows

handlers = Handlers()
THREADS = 4


class Work(BaseModel):
    """For whom, and how often to ask for another run."""

    customer: str | None = None
    retries: int = 0


@handlers.register("two", Work, concurrency=2)
def two(run: Run, args: Work) -> dict[str, Any]:
    """Tell how many orders of this tag run, as the rows say."""
    count = select(func.count()).select_from(ORDERS)
    running = count.where(ORDERS.c.state == OrderState.RUNNING, ORDERS.c.select_tag == "two")
    found = run.session.scalar(running)
    if run.number <= args.retries:
        raise Retry(after=0)
    return {"running": found}


def nothing(run: Run, args: Work) -> dict[str, Any]:
    return {}


handlers.register("one", Work, concurrency=1)(nothing)
handlers.register("each", Work, concurrency=1, per="customer")(nothing)
handlers.register("free", Work)(nothing)


@pytest.fixture
def kernel(make_kernel: Callable[..., Kernel], database_url: str) -> Kernel:
    return make_kernel(database_url, handlers)


def begin(kernel: Kernel, order_id: str) -> bool:
    """Claim an order as a process does that dies before its handler ends."""
    with kernel.run_connection() as connection:
        begun = Batch(kernel, connection, [order_id]).claim() is not None
        connection.invalidate()
    return begun


def end_unseen(kernel: Kernel, order_id: str) -> None:
    """End an order as an older release does, which knows no slots."""
    with kernel.write_session() as session:
        ended = update(ORDERS).where(ORDERS.c.id == order_id)
        session.execute(ended.values(state="success", finished_at=kernel.clock.sql()))


def states(kernel: Kernel, ids: list[str]) -> list[str]:
    return [stored(kernel, one).state for one in ids]


def held(kernel: Kernel) -> list[str]:
    return sorted(slot.order_id for slot in rows(kernel, SLOTS) if slot.run)


def test_orders_that_find_no_slot_wait_in_order_of_acceptance(kernel: Kernel) -> None:
    ids = [order(kernel, "two") for _ in range(5)]
    # The order of hints is not that of acceptance.
    for order_id in reversed(ids):
        begin(kernel, order_id)
    assert states(kernel, ids) == ["waiting", "waiting", "waiting", "running", "running"]
    assert [one.waiting_for for one in rows(kernel, GATES)] == ["limit:two"] * 3
    assert leave(kernel, ids[4], 1, Exit(Why.RETRY, after=60.0)).woken == (ids[0],)
    # The slot is kept for the one that was woken: no other takes it.
    assert states(kernel, ids) == ["pending", "waiting", "waiting", "running", "pending"]
    late = order(kernel, "two")
    assert not begin(kernel, late)
    assert begin(kernel, ids[0])
    assert held(kernel) == sorted([ids[0], ids[3]])
    assert stored(kernel, ids[0]).run == 1


def test_all_orders_end_and_no_more_than_two_run_at_once(kernel: Kernel) -> None:
    ids = [order(kernel, "two", retries=number % 2) for number in range(16)]
    left, lock = list(ids), threading.Lock()

    def work(number: int) -> None:
        while True:
            with lock:
                if not left:
                    return
                mine = [left.pop(0) for _ in range(min(len(left), 1 + number % 3))]
            with suppress(DBAPIError):  # what is refused is left to the sweep
                for end in execute_each(kernel, mine):
                    if end.outcome is None:
                        with lock:
                            left.append(end.order_id)

    # A file has one writer at a time.
    threads = THREADS if kernel.dialect.is_remote else 1
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads)))
    # What a sweep does, for orders whose threads have gone home.
    list(retry_handbacks(kernel))
    SettleLimits().run(kernel, Swept())
    drain(kernel)
    assert states(kernel, ids) == ["success"] * len(ids)
    found = [stored(kernel, one).result for one in ids]
    assert {"1", "2"} >= {result[result.index(":") + 1 : -1].strip() for result in found if result}
    assert held(kernel) == []
    assert [line.is_wanted for line in rows(kernel, LINES)] == [False]


def test_slot_of_a_worker_that_died_is_free_with_its_rescue(kernel: Kernel) -> None:
    first, second = order(kernel, "one"), order(kernel, "one")
    assert begin(kernel, first)
    assert not begin(kernel, second)
    kernel.clock.shift(kernel.settings.lease_seconds + 1)
    swept = Swept()
    rescue_orders(kernel, swept)
    assert sorted(swept.rescued) == [first, second]
    assert begin(kernel, second)
    assert not begin(kernel, first)
    assert states(kernel, [first, second]) == ["waiting", "running"]


def test_slot_of_a_process_that_is_gone_is_free_with_its_takeover(kernel: Kernel) -> None:
    first, second = order(kernel, "one"), order(kernel, "one")
    assert begin(kernel, first)
    assert not begin(kernel, second)
    ends: list[Any] = []
    assert take_over(kernel, kernel.runner, SetAside("order not taken over"), ends)
    assert [end.woken for end in ends] == [(second,)]
    drain(kernel)
    assert states(kernel, [first, second]) == ["success", "success"]


def test_rescue_that_finds_a_living_owner_frees_nothing(kernel: Kernel) -> None:
    first, second = order(kernel, "one"), order(kernel, "one")
    assert begin(kernel, first)
    assert not begin(kernel, second)
    with kernel.write_session() as session:
        none = ORDERS.c.run == 99
        assert leave_running(kernel, session, (first, 1), Exit(Why.DIED), only=none) is None
    assert held(kernel) == [first]


def test_slot_that_an_older_release_left_held_is_found_free(kernel: Kernel) -> None:
    first, second = order(kernel, "one"), order(kernel, "one")
    assert begin(kernel, first)
    end_unseen(kernel, first)
    assert execute(kernel, second) is not None
    assert held(kernel) == []


def test_waiting_order_goes_on_when_a_slot_is_free_unseen(kernel: Kernel) -> None:
    first, second = order(kernel, "one"), order(kernel, "one")
    assert begin(kernel, first)
    assert not begin(kernel, second)
    end_unseen(kernel, first)
    swept = Swept()
    SettleLimits().run(kernel, swept)
    assert swept.rescued == [second]
    assert begin(kernel, second)


def test_cancelled_and_expired_orders_leave_the_line(kernel: Kernel) -> None:
    ids = [order(kernel, "one") for _ in range(3)]
    assert begin(kernel, ids[0])
    for one_more in ids[1:]:
        assert not begin(kernel, one_more)
    assert cancel(kernel, 1, ids[1]) is OrderState.CANCELLED
    end = leave(kernel, ids[0], 1, Exit(Why.STOPPING))
    assert end.woken == (ids[2],)
    # Cancelled in the moment between: the slot that was kept for it is free at once.
    assert cancel(kernel, 1, ids[2]) is OrderState.CANCELLED
    assert held(kernel) == []
    assert begin(kernel, ids[0])


def test_waiting_order_expires_at_the_end_of_its_window(kernel: Kernel) -> None:
    until = rfc3339(kernel.clock.now() + timedelta(seconds=60))
    first, second = order(kernel, "one"), order(kernel, "one", not_after=until)
    assert begin(kernel, first)
    assert not begin(kernel, second)
    kernel.clock.shift(61)
    swept = Swept()
    expire_orders(kernel, swept)
    assert swept.failed[second].error_code == "expired"
    assert leave(kernel, first, 1, Exit(Why.STOPPING)).woken == ()


def test_slot_that_is_kept_for_an_order_that_nobody_claims_is_given_to_another(
    kernel: Kernel,
) -> None:
    ids = [order(kernel, "one") for _ in range(3)]
    assert begin(kernel, ids[0])
    for one_more in ids[1:]:
        begin(kernel, one_more)
    assert leave(kernel, ids[0], 1, Exit(Why.RETRY, after=3600.0)).woken == (ids[1],)
    assert settle(kernel, Place("one", "")) == []
    kernel.clock.shift(31)
    assert [end.order_id for end in settle(kernel, Place("one", ""))] == [ids[2]]
    assert not begin(kernel, ids[1])
    assert begin(kernel, ids[2])


def test_limit_holds_for_each_value_by_itself(kernel: Kernel) -> None:
    ids = [order(kernel, "each", customer=name) for name in ("a", "a", "b", "ü" * 100, "")]
    ids += [order(kernel, "each"), order(kernel, "each", customer=None)]
    begun = [begin(kernel, one) for one in ids]
    assert begun == [True, False, True, True, True, False, False]
    values = {line.value for line in rows(kernel, LINES)}
    assert values >= {"a", "b", ""}
    (hashed,) = values - {"a", "b", ""}
    assert hashed.startswith("ü" * 40 + "~")
    assert len(hashed) == 64
    assert leave(kernel, ids[0], 1, Exit(Why.STOPPING)).woken == (ids[1],)


def test_order_that_is_cancelled_before_it_is_taken_leaves_no_slot_behind(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim, "BATCH_SECONDS", 3600.0)
    first, second = order(kernel, "one"), order(kernel, "one")
    with kernel.run_connection() as connection:
        batch = Batch(kernel, connection, [first, second])
        assert batch.claim() is not None
        assert leave(kernel, first, 1, Exit(Why.RETRY, after=60.0)).woken == ()
        # The batch has seen it pending.
        cancel(kernel, 1, second)
        assert batch.claim() is None
    assert held(kernel) == []


def test_orders_of_one_message_hand_their_slot_on(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim, "BATCH_SECONDS", 3600.0)
    ids = [order(kernel, tag) for tag in ("one", "one", "free", "one", "each", "two", "two")]
    assert [end.order_id for end in execute_each(kernel, ids)] == ids
    assert states(kernel, ids) == ["success"] * len(ids)
    assert held(kernel) == []


def test_order_without_a_limit_has_no_row_of_one(kernel: Kernel) -> None:
    order(kernel, "free")
    drain(kernel)
    assert rows(kernel, LINES) == rows(kernel, SLOTS) == rows(kernel, GATES) == []


def test_idle_places_of_values_are_deleted(kernel: Kernel) -> None:
    order(kernel, "each", customer="a")
    order(kernel, "one")
    drain(kernel)
    assert forget_idle(kernel, None, 10) is None
    assert {line.value for line in rows(kernel, LINES)} == {"a", ""}
    kernel.clock.shift(86_401)
    held_one = order(kernel, "each", customer="b")
    begin(kernel, held_one)
    forget_idle(kernel, None, 10)
    assert {line.value for line in rows(kernel, LINES)} == {"b", ""}
    assert {slot.value for slot in rows(kernel, SLOTS)} == {"b", ""}
    order(kernel, "each", customer="a")
    assert drain(kernel)
