"""A caller's share: how many of its orders run at once. The claim on each database."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet

import pytest
from sqlalchemy import update

from kernel.callers import keys
from kernel.callers.callback_rules import CallerRules
from kernel.db.tables.limits import LINES, SLOTS
from kernel.db.tables.orders import ORDERS, SNAPSHOT, OrderSnapshot
from kernel.orders.due import due_orders
from kernel.orders.gates.shares import has_room
from kernel.runs.execute import execute, execute_each
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.gates.limits import SettleLimits
from kernel.worker.maintenance.job import Swept
from tests.support.factories import make_order, order, rows
from tests.support.paused import end_claimed, handlers, lined_up, of_another, quiet, slot_kept


def limit(kernel: Kernel, most: int) -> None:
    """Say how many orders of ``anonymous`` run at once."""
    with kernel.write_session() as session:
        keys.change(session, "anonymous", CallerRules(max_running=most))


@pytest.fixture
def limited(make_kernel: Callable[..., Kernel], database_url: str) -> Kernel:
    """A kernel whose caller may have one order running."""
    kernel = make_kernel(database_url)
    limit(kernel, 1)
    return kernel


def test_order_stays_pending_when_as_many_of_its_caller_run_as_may(limited: Kernel) -> None:
    running, waiting = make_order(limited, state="running"), make_order(limited)
    assert execute(limited, waiting) is None
    assert due_orders(limited, 10) == [], "nor is it hinted"
    limit(limited, 2)
    assert due_orders(limited, 10) == [waiting]
    end = execute(limited, waiting)
    assert end is not None
    assert end.makes_room
    assert order(limited, running).state == "running", "it is not interrupted"


def test_orders_of_a_message_run_one_after_the_other_when_one_may_run(limited: Kernel) -> None:
    order_ids = [make_order(limited) for _ in range(3)]
    assert [end.order_id for end in execute_each(limited, order_ids)] == order_ids
    limit(limited, 0)
    order_ids = [make_order(limited) for _ in range(2)]
    assert [end.makes_room for end in execute_each(limited, order_ids)] == [False, False]


@pytest.fixture
def shared(make_kernel: Callable[..., Kernel], database_url: str) -> Kernel:
    """A kernel with a tag of which one order runs at once."""
    return make_kernel(database_url, handlers)


def fill(kernel: Kernel) -> str:
    """Have one order of ``anonymous`` run, and no more than that; return it."""
    limit(kernel, 1)
    return make_order(kernel, select_tag="work", state="running")


def test_slot_that_is_kept_for_a_full_caller_goes_to_another_at_once(shared: Kernel) -> None:
    mine, theirs = slot_kept(shared)
    fill(shared)
    assert [end.order_id for end in execute_each(shared, [mine])] == [theirs]
    assert [order(shared, one).state for one in (mine, theirs)] == ["pending", "pending"]
    assert [row.order_id for row in rows(shared, SLOTS)] == [theirs]
    assert execute(shared, theirs) is not None


def test_sweep_gives_a_slot_that_is_kept_for_a_full_caller_to_another(shared: Kernel) -> None:
    mine, theirs = slot_kept(shared)
    running, swept = fill(shared), Swept()
    SettleLimits().run(shared, swept)
    assert swept.rescued == [theirs]
    assert execute(shared, theirs) is not None
    end_claimed(shared, running)
    assert execute(shared, mine) is not None


def test_slot_is_given_to_the_first_whose_caller_has_room(shared: Kernel) -> None:
    holder, mine, behind = of_another(shared), quiet(shared, "one"), of_another(shared, "otrs")
    lined_up(shared, holder, mine, behind)
    running = fill(shared)
    assert end_claimed(shared, holder) == (behind,)
    end_claimed(shared, running)
    assert execute(shared, behind) is not None
    assert order(shared, mine).state == "pending"
    assert execute(shared, mine) is not None


def test_order_of_a_full_caller_gets_the_slot_when_no_other_waits(shared: Kernel) -> None:
    """It is pending with those of its caller then, and has its turn among them."""
    holder, mine = of_another(shared), quiet(shared, "one")
    lined_up(shared, holder, mine)
    running = fill(shared)
    assert end_claimed(shared, holder) == (mine,)
    assert execute(shared, mine) is None
    assert order(shared, mine).state == "pending"
    end_claimed(shared, running)
    assert execute(shared, mine) is not None


def test_new_order_takes_a_free_slot_before_those_of_a_full_caller(shared: Kernel) -> None:
    holder, mine = of_another(shared), quiet(shared, "one")
    lined_up(shared, holder, mine, quiet(shared, "one"))
    fill(shared)
    end_claimed(shared, holder)
    assert execute(shared, mine) is None
    assert execute(shared, of_another(shared, "otrs")) is not None


def test_turn_of_a_rate_stays_until_it_is_due_when_its_caller_is_full(shared: Kernel) -> None:
    first, mine = quiet(shared, "paced"), quiet(shared, "paced")
    assert execute(shared, first) is not None
    put_off = execute(shared, mine)
    assert put_off is not None
    assert put_off.again_in is not None
    fill(shared)
    SettleLimits().run(shared, Swept())
    assert [line.turn for line in rows(shared, LINES)] == [mine]


def test_claim_waits_for_another_one_and_counts_its_order(limited: Kernel) -> None:
    first, second = make_order(limited), make_order(limited)
    with ThreadPoolExecutor(1) as other, limited.write() as connection:
        row = connection.execute(ORDERS.select().with_only_columns(*SNAPSHOT).limit(1)).one()
        assert has_room(connection, OrderSnapshot(*row))
        claiming = other.submit(execute, limited, second)
        with pytest.raises(NotYet):
            claiming.result(0.2)
        claimed = update(ORDERS).where(ORDERS.c.id == first).values(state="running")
        connection.execute(claimed)
        connection.commit()
        assert claiming.result(20) is None
    assert order(limited, second).state == "pending"
