"""Orders with an ordering key: one of them runs, the others wait in the order of their places."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import update

from kernel.db.tables.gates import GATES, KEYS
from kernel.db.tables.orders import ORDERS
from kernel.errors import IdempotencyKeyReused
from kernel.formats.order_request import order_request
from kernel.handlers import Handlers, Run
from kernel.orders.cancel import cancel
from kernel.orders.decide import Exit, Why
from kernel.orders.gates.keys import COUNTED, position_of, take_places
from kernel.orders.gates.shown import gate_shown, gates_shown
from kernel.orders.pages import LaneFilter, list_orders
from kernel.orders.submit import submit
from kernel.orders.transitions import RunEnd
from kernel.runs.claim import Batch
from kernel.runs.execute import execute
from kernel.runs.leases import leave
from kernel.runtime.kernel import Kernel
from kernel.testing import drain, order
from kernel.worker.maintenance.gates.windows import ReleaseKeys
from kernel.worker.maintenance.job import Swept
from kernel.worker.maintenance.prune import prune
from tests.support.factories import ANYBODY, rows
from tests.support.factories import order as stored

handlers = Handlers()


class Work(BaseModel):
    """Arguments that are not looked at."""

    which: str = ""


@handlers.register("work", Work)
def work(run: Run, args: Work) -> dict[str, Any]:
    return {}


@handlers.register("other", Work)
def other(run: Run, args: Work) -> dict[str, Any]:
    return {}


@pytest.fixture
def kernel(make_kernel: Callable[..., Kernel], database_url: str) -> Kernel:
    return make_kernel(database_url, handlers)


def keyed(kernel: Kernel, key: str = "acme", tag: str = "work", **members: Any) -> str:
    return order(kernel, tag, ordering_key=key, **members)


def states(kernel: Kernel, *order_ids: str) -> list[str]:
    return [stored(kernel, one).state for one in order_ids]


def sequences(kernel: Kernel, key: str = "acme") -> list[int]:
    """What callbacks of a key's orders have said, in the order in which they were sent."""
    said = [one.json()["data"] for one in kernel.transport.sent]  # type: ignore[attr-defined]
    return [data["sequence"] for data in said if data.get("ordering_key") == key]


def cancelled(kernel: Kernel, order_id: str) -> tuple[str, ...]:
    """Cancel an order; return whose turn it is then."""
    ends: list[RunEnd] = []
    assert cancel(kernel, 1, order_id, ends=ends) == "cancelled"
    return ends[0].woken


def holders(kernel: Kernel) -> list[tuple[str, str | None, int]]:
    return sorted((one.ordering_key, one.holder, one.tail) for one in rows(kernel, KEYS))


def released(kernel: Kernel) -> list[str]:
    swept = Swept()
    ReleaseKeys().run(kernel, swept)
    return swept.rescued


def test_orders_of_a_key_run_one_at_a_time_in_the_order_of_acceptance(kernel: Kernel) -> None:
    first, second, third = keyed(kernel), keyed(kernel, tag="other"), keyed(kernel)
    stranger = keyed(kernel, "globex")
    assert states(kernel, first, second, third) == ["pending", "waiting", "waiting"]
    assert states(kernel, stranger) == ["pending"]
    assert execute(kernel, second) is None
    end = execute(kernel, first)
    assert end is not None
    assert end.woken == (second,)
    assert states(kernel, first, second, third) == ["success", "pending", "waiting"]
    assert holders(kernel) == [("acme", second, 3), ("globex", stranger, 1)]
    drain(kernel)
    assert states(kernel, second, third, stranger) == ["success"] * 3
    assert holders(kernel) == [("acme", None, 3), ("globex", None, 1)]
    assert sequences(kernel) == [1, 2, 3]
    assert states(kernel, keyed(kernel)) == ["pending"]


def test_cancelled_orders_let_the_next_one_go(kernel: Kernel) -> None:
    first, second, third, fourth = (keyed(kernel) for _ in range(4))
    assert cancelled(kernel, second) == ()
    assert states(kernel, first, third) == ["pending", "waiting"]
    assert cancelled(kernel, first) == (third,)
    assert cancelled(kernel, third) == (fourth,)
    assert cancelled(kernel, fourth) == ()
    assert holders(kernel) == [("acme", None, 4)]
    assert {one.waiting_for for one in rows(kernel, GATES)} == {None}


def test_positions_are_told_while_orders_wait(kernel: Kernel) -> None:
    first, second, third, fourth = (keyed(kernel) for _ in range(4))
    with kernel.read_session() as session:
        found = [position_of(session, one) for one in (first, second, third, fourth)]
    assert found == [None, 1, 2, 3]
    cancelled(kernel, second)
    drain_one(kernel, first)
    with kernel.read_session() as session:
        one = gate_shown(session, stored(kernel, fourth))
        assert (one["ordering_key"], one["sequence"], one["position"]) == ("acme", 4, 1)
        listed = list_orders(session, 1, LaneFilter())
        shown = gates_shown(session, listed)
    assert [shown[one]["sequence"] for one in (first, second, third, fourth)] == [1, 2, 3, 4]
    assert COUNTED >= 1000


def drain_one(kernel: Kernel, order_id: str) -> None:
    end = execute(kernel, order_id)
    assert end is not None
    assert end.outcome is not None


def test_orders_are_listed_by_their_key(kernel: Kernel) -> None:
    first, second = keyed(kernel), keyed(kernel)
    keyed(kernel, "acme2")
    order(kernel, "work")

    def listed(caller_id: int | None, **wanted: Any) -> list[str]:
        with kernel.read_session() as session:
            return [one.id for one in list_orders(session, caller_id, LaneFilter(**wanted))]

    for caller_id in (1, None):
        assert listed(caller_id, ordering_key="acme") == [second, first]
        assert listed(caller_id, ordering_key="acme", limit=1, before=second) == [first]
        assert listed(caller_id, ordering_key="acme", state="waiting") == [second]
        assert listed(caller_id, ordering_key="acme", reference="INC1") == []
        assert listed(caller_id, ordering_key="Acme") == []
    assert listed(2, ordering_key="acme") == []
    both = (first, second)
    assert listed(1, ordering_key="acme", ids=both) == [second, first]
    assert listed(1, ordering_key="globex", ids=both) == []


def test_keys_are_forgotten_with_their_last_orders(kernel: Kernel) -> None:
    first = keyed(kernel)
    drain(kernel)
    kernel.clock.shift(20 * 86400)
    second = keyed(kernel)
    drain(kernel)
    kernel.clock.shift(20 * 86400)
    prune(kernel)
    assert [one.order_id for one in rows(kernel, GATES)] == [second]
    assert first != second
    assert holders(kernel) == [("acme", None, 2)]
    kernel.clock.shift(20 * 86400)
    prune(kernel)
    assert holders(kernel) == []
    assert states(kernel, keyed(kernel)) == ["pending"]


def test_sweep_releases_a_key_whose_holder_an_older_release_has_ended(kernel: Kernel) -> None:
    first, second, third = (keyed(kernel) for _ in range(3))
    running, waiting = keyed(kernel, "globex"), keyed(kernel, "globex")
    assert released(kernel) == []
    end_as_before(kernel, first)
    end_as_before(kernel, second)  # one that waits, cancelled there
    assert released(kernel) == [third]
    assert states(kernel, running, waiting, third) == ["pending", "waiting", "pending"]
    end_as_before(kernel, third)
    assert released(kernel) == []
    assert holders(kernel) == [("acme", None, 3), ("globex", running, 2)]


def end_as_before(kernel: Kernel, order_id: str) -> None:
    """End an order as a release does that knows no keys."""
    with kernel.write() as connection:
        ended = update(ORDERS).where(ORDERS.c.id == order_id)
        connection.execute(ended.values(state="success", finished_at=kernel.clock.now()))


def test_places_of_several_orders_are_taken_in_their_order(kernel: Kernel) -> None:
    waiting = keyed(kernel, "b")
    wanted = [("1", "b"), ("2", "a"), ("3", "b"), ("4", "a"), ("5", "工单")]
    with kernel.write() as connection:
        places = take_places(kernel, connection, 1, wanted)
        connection.rollback()
    assert [(one.order_id, one.ordering_key, one.place, one.has_turn) for one in places] == [
        ("1", "b", 2, False),
        ("2", "a", 1, True),
        ("3", "b", 3, False),
        ("4", "a", 2, False),
        ("5", "工单", 1, True),
    ]
    assert holders(kernel) == [("b", waiting, 1)]


def test_repeat_takes_no_place(kernel: Kernel) -> None:
    members = {"select_tag": "work", "callback_url": None, "ordering_key": "acme"}
    asked = order_request(members, handlers)
    first = submit(kernel, ANYBODY, asked, "one")
    again = submit(kernel, ANYBODY, asked, "one")
    assert (again.order_id, again.replayed) == (first.order_id, True)
    with pytest.raises(IdempotencyKeyReused):
        submit(kernel, ANYBODY, order_request(members | {"ordering_key": "b"}, handlers), "one")
    assert holders(kernel) == [("acme", first.order_id, 1)]


def test_order_that_ends_as_it_is_handed_back_lets_the_next_one_go(kernel: Kernel) -> None:
    first, second = keyed(kernel), keyed(kernel)
    gates = claim(kernel, first)
    end = leave(kernel, first, 1, Exit(Why.BUG), gates)
    assert end.outcome is not None
    assert end.woken == (second,)
    assert states(kernel, first, second) == ["failed", "pending"]


def claim(kernel: Kernel, order_id: str) -> int | None:
    """Claim an order, as a worker does that runs it; return what it knows of its gates."""
    with kernel.run_connection() as connection:
        claimed = Batch(kernel, connection, [order_id]).claim()
    assert claimed is not None
    return claimed.order.gates
