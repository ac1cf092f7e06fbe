"""What becomes of an ordering key's orders: retries, windows, cancels, bad keys. On a file."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from kernel.db.tables.gates import GATES, KEYS
from kernel.delivery.redeliver import list_deliveries, redeliver
from kernel.errors import InvalidOrder, Reject, Retry
from kernel.formats.envelope import rfc3339
from kernel.formats.order_request import order_request
from kernel.handlers import Handlers, Run, Wait
from kernel.orders.decide import Exit, Why
from kernel.orders.due import due_orders
from kernel.orders.gates.events import Told, tell
from kernel.orders.gates.keys import take_places
from kernel.orders.gates.windows import close_window
from kernel.orders.secrets.erase import Whose, erase
from kernel.runs.claim import Batch
from kernel.runs.execute import execute
from kernel.runs.leases import leave
from kernel.runtime.kernel import Kernel
from kernel.testing import drain, order
from tests.support.factories import make_order, rows
from tests.support.factories import order as stored

handlers = Handlers()


class Work(BaseModel):
    """What the handler is to do."""

    does: str = "work"


class OwnKey(BaseModel):
    """A handler's own argument of this name."""

    ordering_key: int


@handlers.register("work", Work)
def work(run: Run, args: Work) -> dict[str, Any] | Wait:
    if args.does == "reject":
        raise Reject("no", "not this one")
    if args.does == "retry" and run.number == 1:
        raise Retry(after=60)
    if args.does == "wait" and run.number == 1:
        return Wait("approved")
    return {}


@handlers.register("other", Work)
def other(run: Run, args: Work) -> dict[str, Any]:
    return {}


@handlers.register("own", OwnKey)
def own(run: Run, args: OwnKey) -> dict[str, Any]:
    return {}


@pytest.fixture
def kernel(make_kernel: Callable[..., Kernel], sqlite_url: str) -> Kernel:
    return make_kernel(sqlite_url, handlers)


def keyed(kernel: Kernel, key: str = "acme", tag: str = "work", **members: Any) -> str:
    return order(kernel, tag, ordering_key=key, **members)


def states(kernel: Kernel, *order_ids: str) -> list[str]:
    return [stored(kernel, one).state for one in order_ids]


def sequences(kernel: Kernel, key: str = "acme") -> list[int]:
    """What callbacks of a key's orders have said, in the order in which they were sent."""
    said = [one.json()["data"] for one in kernel.transport.sent]  # type: ignore[attr-defined]
    return [data["sequence"] for data in said if data.get("ordering_key") == key]


def at(kernel: Kernel, seconds: float) -> str:
    said = rfc3339(kernel.clock.now() + timedelta(seconds=seconds))
    assert said is not None
    return said


def test_each_caller_has_keys_of_its_own(kernel: Kernel) -> None:
    first = keyed(kernel)
    with kernel.write() as connection:
        (place,) = take_places(kernel, connection, 2, [("theirs", "acme")])
        connection.rollback()
    assert (place.place, place.has_turn) == (1, True)
    assert states(kernel, first) == ["pending"]


def test_retry_keeps_its_place(kernel: Kernel) -> None:
    first, second = keyed(kernel, does="retry"), keyed(kernel)
    end = execute(kernel, first)
    assert end is not None
    assert (end.again_in, end.woken) == (60, ())
    assert states(kernel, first, second) == ["pending", "waiting"]
    drain(kernel)
    assert states(kernel, second) == ["waiting"]
    kernel.clock.shift(60)
    drain(kernel)
    assert sequences(kernel) == [1, 2]


def test_order_that_waits_for_something_else_keeps_its_place(kernel: Kernel) -> None:
    first, second = keyed(kernel, does="wait"), keyed(kernel)
    drain(kernel)
    assert states(kernel, first, second) == ["waiting", "waiting"]
    assert tell(kernel, first, Told("approved")).woken == (first,)
    drain(kernel)
    assert states(kernel, first, second) == ["success", "success"]
    assert sequences(kernel) == [1, 2]


@pytest.mark.parametrize("why", [Why.DIED, Why.BROKEN, Why.STOPPING, Why.NOT_BEGUN])
def test_order_that_is_handed_back_keeps_its_place(kernel: Kernel, why: Why) -> None:
    first, second = keyed(kernel), keyed(kernel)
    gates = claim(kernel, first)
    assert leave(kernel, first, 1, Exit(why), gates).woken == ()
    assert states(kernel, first, second) == ["pending", "waiting"]


def claim(kernel: Kernel, order_id: str) -> int | None:
    """Claim an order, as a worker does that runs it; return what it knows of its gates."""
    with kernel.run_connection() as connection:
        claimed = Batch(kernel, connection, [order_id]).claim()
    assert claimed is not None
    return claimed.order.gates


def test_rejected_order_lets_the_next_one_go(kernel: Kernel) -> None:
    first, second = keyed(kernel, does="reject"), keyed(kernel)
    drain(kernel)
    assert states(kernel, first, second) == ["failed", "success"]
    assert sequences(kernel) == [1, 2]


def test_order_that_begins_later_holds_up_those_behind_it(kernel: Kernel) -> None:
    later = keyed(kernel, not_before=at(kernel, 60))
    behind = keyed(kernel)
    assert drain(kernel) == 0
    assert states(kernel, later, behind) == ["pending", "waiting"]
    kernel.clock.shift(60)
    drain(kernel)
    assert sequences(kernel) == [1, 2]


def test_order_never_begins_before_its_window_when_its_turn_comes(kernel: Kernel) -> None:
    first, later = keyed(kernel), keyed(kernel, not_before=at(kernel, 60))
    drain(kernel)
    assert states(kernel, first, later) == ["success", "pending"]
    assert execute(kernel, later) is None
    kernel.clock.shift(60)
    drain(kernel)
    assert states(kernel, later) == ["success"]


def test_order_that_expires_lets_the_next_one_go(kernel: Kernel) -> None:
    first = keyed(kernel, not_before=at(kernel, 60), not_after=at(kernel, 70))
    second, third = keyed(kernel, not_after=at(kernel, 70)), keyed(kernel)
    kernel.clock.shift(70)
    end = close_window(kernel, second)
    assert end is not None
    assert end.woken == ()
    end = close_window(kernel, first)
    assert end is not None
    assert end.woken == (third,)
    assert states(kernel, first, second, third) == ["failed", "failed", "pending"]


def test_erased_order_keeps_its_place_in_what_is_sent_again(kernel: Kernel) -> None:
    order_id = keyed(kernel)
    drain(kernel)
    assert sum(erase(kernel, Whose(order_id=order_id))) == 1
    redelivered(kernel)
    assert sequences(kernel) == [1, 1]


def redelivered(kernel: Kernel) -> None:
    """Have the only callback sent once more."""
    with kernel.read_session() as session:
        (delivery,) = list_deliveries(session, rows(kernel, GATES)[0].order_id)
    redeliver(kernel, 1, delivery.id)
    drain(kernel)


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ("", "invalid_ordering_key"),
        (" a", "invalid_ordering_key"),
        ("a\nb", "invalid_ordering_key"),
        ("x" * 256, "string_too_long"),
        (1, "string_type"),
    ],
)
def test_order_is_refused_when_its_key_can_be_none(key: object, code: str) -> None:
    members = {"select_tag": "work", "callback_url": None, "ordering_key": key}
    with pytest.raises(InvalidOrder) as refused:
        order_request(members, handlers)
    (wrong,) = refused.value.data["errors"]
    assert (wrong["pointer"], wrong["code"]) == ("/ordering_key", code)


def test_key_is_an_argument_where_the_model_reads_it(kernel: Kernel) -> None:
    members = {"select_tag": "own", "callback_url": None, "ordering_key": 7}
    asked = order_request(members, handlers)
    assert (asked.ordering_key, asked.args) == (None, '{"ordering_key":7}')


def test_order_without_a_key_has_no_row_of_its_own(kernel: Kernel) -> None:
    order(kernel, "work", ordering_key=None)
    make_order(kernel, select_tag="work")
    assert due_orders(kernel, 10) != []
    drain(kernel, raise_bugs=False)
    assert rows(kernel, GATES) == rows(kernel, KEYS) == []
