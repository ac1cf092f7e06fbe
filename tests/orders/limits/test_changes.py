"""Limits that people set: they hold at once for what begins, and leave an act behind."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import update

from kernel.callers.audit import search
from kernel.callers.audit.search import ActFilter
from kernel.db.tables.limits import LINES, SLOTS
from kernel.errors import NotFound, RequestRefused
from kernel.handlers import Handlers, Run
from kernel.handlers.limits import Limit, Rate
from kernel.insight.limits import Standing, standings
from kernel.orders.decide import Exit, Why
from kernel.orders.gates.limits import known, line
from kernel.orders.gates.limits.changes import Change, clear_limit, set_limit
from kernel.runs.claim import Batch
from kernel.runs.execute import execute, execute_each
from kernel.runs.leases import leave
from kernel.runtime.kernel import Kernel
from kernel.testing import drain, order
from kernel.worker.maintenance.gates import limits as maintenance
from kernel.worker.maintenance.gates.limits import SettleLimits
from kernel.worker.maintenance.job import Swept
from tests.support.factories import order as stored
from tests.support.factories import rows


class Work(BaseModel):
    """For whom."""

    customer: str = ""


def work(run: Run, args: Work) -> dict[str, Any]:
    """Do nothing."""
    return {}


@pytest.fixture
def kernel(
    make_kernel: Callable[..., Kernel], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> Kernel:
    monkeypatch.setattr(known, "KNOWN_SECONDS", 0.0)
    handlers = Handlers()
    handlers.register("two", Work, concurrency=2)(work)
    handlers.register("free", Work, per="customer")(work)
    return make_kernel(database_url, handlers)


def begin(kernel: Kernel, order_id: str) -> bool:
    with kernel.run_connection() as connection:
        return Batch(kernel, connection, [order_id]).claim() is not None


def held(kernel: Kernel) -> int:
    return sum(slot.run > 0 for slot in rows(kernel, SLOTS))


def settled(kernel: Kernel) -> list[str]:
    swept = Swept()
    SettleLimits().run(kernel, swept)
    return swept.rescued


def test_lower_number_holds_as_soon_as_fewer_run(kernel: Kernel) -> None:
    ids = [order(kernel, "two") for _ in range(4)]
    assert [begin(kernel, one) for one in ids] == [True, True, False, False]
    set_limit(kernel, "two", Change(concurrency=1))
    assert leave(kernel, ids[0], 1, Exit(Why.RETRY, after=60.0)).woken == ()
    assert settled(kernel) == []
    assert held(kernel) == 1
    assert leave(kernel, ids[1], 1, Exit(Why.RETRY, after=60.0)).woken == (ids[2],)
    assert held(kernel) == 1
    assert len(rows(kernel, SLOTS)) == 1


def test_higher_number_lets_more_go_on(kernel: Kernel) -> None:
    ids = [order(kernel, "two") for _ in range(5)]
    assert [begin(kernel, one) for one in ids] == [True, True, False, False, False]
    set_limit(kernel, "two", Change(concurrency=4))
    assert settled(kernel) == ids[2:4]
    assert begin(kernel, ids[2])
    assert begin(kernel, ids[3])
    assert held(kernel) == 4
    clear_limit(kernel, "two")
    assert settled(kernel) == []
    for one in ids[:3]:
        assert leave(kernel, one, 1, Exit(Why.RETRY, after=60.0)).woken in ((), (ids[4],))
    assert held(kernel) == 2
    assert len(rows(kernel, SLOTS)) == 2


def test_tag_gets_a_limit_and_loses_it_again(kernel: Kernel) -> None:
    set_limit(kernel, "free", Change(concurrency=1))
    ids = [order(kernel, "free", customer=one) for one in "aba"]
    assert [begin(kernel, one) for one in ids] == [True, True, False]
    assert standings(kernel) == [
        Standing("free", Limit(1, None, "customer"), Limit(None, None, "customer"), *_rest(kernel)),
        Standing("two", Limit(2), Limit(2), None),
    ]
    set_limit(kernel, "free", Change(concurrency=0))
    assert settled(kernel) == [ids[2]]
    drain(kernel)
    assert stored(kernel, ids[2]).state == "success"
    # The slots of what ran before are not given back by name, and found free.
    for one in ids[:2]:
        leave(kernel, one, 1, Exit(Why.RETRY, after=60.0))
    settled(kernel)
    assert rows(kernel, SLOTS) == []
    assert {line.is_wanted for line in rows(kernel, LINES)} == {False}


def test_orders_that_began_while_there_was_no_limit_count_when_it_is_back(kernel: Kernel) -> None:
    ids = [order(kernel, "two") for _ in range(5)]
    assert [begin(kernel, one) for one in ids[:2]] == [True, True]
    set_limit(kernel, "two", Change(concurrency=0))
    assert [begin(kernel, one) for one in ids[2:4]] == [True, True]
    clear_limit(kernel, "two")
    assert not begin(kernel, ids[4])
    again = Exit(Why.RETRY, after=60.0)
    woken = [leave(kernel, one, 1, again).woken for one in ids[:4]]
    assert woken == [(), (), (ids[4],), ()]
    assert len(rows(kernel, SLOTS)) == 2


def test_all_that_wait_go_on_with_a_sweep_when_there_is_no_limit_any_more(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (line, maintenance):
        monkeypatch.setattr(module, "TOGETHER", 3)
    ids = [order(kernel, "two") for _ in range(9)]
    assert [begin(kernel, one) for one in ids] == [True, True, *[False] * 7]
    set_limit(kernel, "two", Change(concurrency=0))
    assert settled(kernel) == ids[2:]


def test_slot_of_a_run_is_free_at_its_end_when_it_was_counted_anew(kernel: Kernel) -> None:
    numbers: list[int] = []

    def meanwhile(run: Run, args: Work) -> dict[str, Any]:
        """Its slot is taken away, and it gets another one."""
        if not numbers:
            set_limit(kernel, "slow", Change(concurrency=0))
            clear_limit(kernel, "slow")
            assert not begin(kernel, ids[1])
            (slot,) = rows(kernel, SLOTS)
            numbers.append(slot.number)
            with kernel.write() as connection:
                connection.execute(update(SLOTS).values(number=slot.number + 1))
        return {}

    kernel.handlers.register("slow", Work, concurrency=1)(meanwhile)
    ids = [order(kernel, "slow") for _ in range(2)]
    assert [end.order_id for end in execute_each(kernel, ids[:1])] == ids
    assert numbers == [0]


def test_orders_that_run_already_count_when_their_tag_gets_its_first_limit(kernel: Kernel) -> None:
    ids = [order(kernel, "free", customer=one) for one in "aaab"]
    assert [begin(kernel, one) for one in ids[:2]] == [True, True]
    set_limit(kernel, "free", Change(concurrency=1))
    # Two of this customer run, so that no other one may begin, and one of another customer.
    assert [begin(kernel, one) for one in ids[2:]] == [False, True]
    assert held(kernel) == 3
    assert leave(kernel, ids[0], 1, Exit(Why.RETRY, after=60.0)).woken == ()
    assert stored(kernel, ids[2]).state == "waiting"
    assert leave(kernel, ids[1], 1, Exit(Why.RETRY, after=60.0)).woken == (ids[2],)
    # One slot for each value, as the limit says.
    assert len(rows(kernel, SLOTS)) == held(kernel) == 2


def test_end_of_a_run_older_than_its_limit_lets_the_next_go_on(kernel: Kernel) -> None:
    """Its process learns of the limit while the handler works."""
    behind: list[str] = []

    def meanwhile(run: Run, args: Work) -> dict[str, Any]:
        if not behind:
            set_limit(kernel, "slow", Change(concurrency=1))
            behind.append(order(kernel, "slow"))
            assert not begin(kernel, behind[0])
        return {}

    kernel.handlers.register("slow", Work)(meanwhile)
    first = order(kernel, "slow")
    assert [end.order_id for end in execute_each(kernel, [first])] == [first, behind[0]]
    assert stored(kernel, behind[0]).state == "pending"
    assert execute(kernel, behind[0])
    assert held(kernel) == 0


def test_sweep_counts_what_began_while_a_worker_did_not_know_of_the_limit(kernel: Kernel) -> None:
    ids = [order(kernel, "two") for _ in range(4)]
    set_limit(kernel, "two", Change(concurrency=0))
    assert begin(kernel, ids[0])
    set_limit(kernel, "two", Change(concurrency=2))
    assert begin(kernel, ids[1])
    with kernel.write_session() as session:
        session.execute(update(SLOTS).where(SLOTS.c.order_id == ids[0]).values(run=0))
        session.execute(update(LINES).values(is_wanted=True))
    assert settled(kernel) == []
    assert [begin(kernel, one) for one in ids[2:]] == [False, False]


def _rest(kernel: Kernel) -> tuple[Any, int, int]:
    (found,) = (one for one in standings(kernel) if one.tag == "free")
    assert found.set_at is not None
    return found.set_at, 2, 1


def test_rate_is_set_beside_the_number(kernel: Kernel) -> None:
    set_limit(kernel, "two", Change(concurrency=3))
    set_limit(kernel, "two", Change(rate="60/m"))
    assert known.limits(kernel).of("two") == Limit(3, Rate.parse("60/m"))
    set_limit(kernel, "two", Change(rate=""))
    assert known.limits(kernel).of("two") == Limit(3)


def test_change_leaves_an_act_behind(kernel: Kernel) -> None:
    set_limit(kernel, "two", Change(concurrency=3))
    set_limit(kernel, "two", Change(concurrency=4))
    clear_limit(kernel, "two")
    with kernel.read_session() as session:
        acts = search.find(session.connection(), ActFilter())
    assert [(act["verb"], act["target"]) for act in acts] == [
        ("limits.clear", "limit two"),
        ("limits.set", "limit two"),
        ("limits.set", "limit two"),
    ]


def test_what_no_limit_can_be_is_refused(kernel: Kernel) -> None:
    for wrong in (Change(), Change(concurrency=1001), Change(concurrency=-1), Change(rate="30")):
        with pytest.raises(RequestRefused):
            set_limit(kernel, "two", wrong)
    with pytest.raises(NotFound):
        set_limit(kernel, "unheard_of", Change(concurrency=1))
    with pytest.raises(NotFound):
        clear_limit(kernel, "two")
