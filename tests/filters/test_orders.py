"""The filter of orders on rows of each database: alone, together, counted, and by its index."""

from collections.abc import Mapping
from datetime import timedelta
from itertools import combinations
from typing import Any

import pytest
from sqlalchemy import insert, select

from kernel.callers import identity, keys
from kernel.db.ids import new_id
from kernel.db.statements.keyset import Budget, Windows, take
from kernel.db.states import DeliveryState, OrderState
from kernel.db.tables.deliveries import DELIVERIES
from kernel.db.tables.gates import GATES
from kernel.db.tables.operating.runs import RUNS
from kernel.db.tables.orders import ORDERS, REFERENCES
from kernel.db.tables.receivers import RECEIVERS
from kernel.filters.callbacks import CallbackFilter, plan_callbacks
from kernel.filters.counts import count_callbacks, count_orders
from kernel.filters.orders import OrderFilter
from kernel.filters.plans import SETTLED, plan_orders, settle
from kernel.runtime.kernel import Kernel
from tests.support.factories import make_delivery, make_order

ALL = Budget(first=3, largest=8, seconds=1000.0)
HOUR = timedelta(hours=1)


def caller(kernel: Kernel, name: str) -> int:
    with kernel.write_session() as session:
        keys.add(session, name, kernel.clock.now())
        return identity.find(session, name).id


def walked(kernel: Kernel, wanted: OrderFilter, up: bool = False) -> list[str]:
    """Return the ids that the plan of a settled filter finds, in its order."""
    with kernel.read() as connection:
        walk, rest = plan_orders(settle(connection, wanted), up)
        found = take(Windows(connection, walk, None, ALL), (ORDERS.c.id,), rest, 100)
    return [row.id for row in found.rows]


def fitting(kernel: Kernel, wanted: OrderFilter) -> list[str]:
    """Return the ids that the conditions alone find, the newest first."""
    query = select(ORDERS.c.id).where(*wanted.conditions()).order_by(ORDERS.c.id.desc())
    with kernel.read() as connection:
        return list(connection.scalars(query))


def gate(kernel: Kernel, order_id: str, caller_id: int, **values: Any) -> None:
    with kernel.write() as connection:
        row = {"order_id": order_id, "caller_id": caller_id, **values}
        connection.execute(insert(GATES).values(row))


@pytest.fixture
def one(kernel: Kernel) -> tuple[str, Mapping[str, Any]]:
    """One order of many marks among others; return its id, and its marks as filters."""
    jira, now, parent = caller(kernel, "jira"), kernel.clock.now(), make_order(kernel)
    for age in (5, 4, 2, 1):
        make_order(kernel, id=new_id(now - age * HOUR), reference="CHG1", caller_id=1)
    row = {"select_tag": "import", "caller_id": jira, "reference": "INC1", "state": "failed"}
    more = {"error_code": "timed_out", "finished_at": now - HOUR, "args": '{"a":"Brücke"}'}
    then, url = now - 3 * HOUR, "https://receiver.net:8443/a/b?c"
    order_id = make_order(kernel, id=new_id(then), callback_url=url, **row, **more)
    gate(kernel, order_id, jira, ordering_key="srv-12", parent_id=parent)
    make_delivery(kernel, order_id, state="dead", caller_id=jira, died_of="deadline")
    with kernel.write() as connection:
        known = {"name": "tickets", "url": "https://receiver.net:8443/a", "created_at": now}
        known |= {"caller_id": jira, "origin": "https://receiver.net:8443"}
        connection.execute(insert(RECEIVERS).values(known))
        ran = {"order_id": order_id, "how": "bug", "ended_at": now, "is_counted": True}
        for run in (1, 2):
            connection.execute(insert(RUNS).values(**ran, run=run, fingerprint="0123456789abcdef"))
    marks = {
        "state": OrderState.FAILED,
        "select_tag": "import",
        "caller_id": jira,
        "callback": DeliveryState.DEAD,
        "host": "receiver.net:8443",
        "receiver": "tickets",
        "error": "timed_out",
        "fingerprint": "0123456789abcdef",
        "reference": "INC1",
        "reference_prefix": "IN",
        "ordering_key": "srv-12",
        "batch": parent,
        "text": "brücke",
        "since": then,
        "until": then + HOUR / 2,
        "ended_since": now - HOUR,
        "ended_until": now,
        "ids": (order_id, "x"),
        "tags": frozenset({"import", "other"}),
    }
    return order_id, marks


def test_order_is_found_by_each_mark_and_by_any_two(
    kernel: Kernel, one: tuple[str, Mapping[str, Any]]
) -> None:
    order_id, marks = one
    alone = {name: walked(kernel, OrderFilter(**{name: marks[name]})) for name in marks}
    wide = {"since", "until"}
    assert {name for name, found in alone.items() if found != [order_id]} == wide
    for pair in combinations(marks, 2):
        wanted = OrderFilter(**{name: marks[name] for name in pair})
        assert walked(kernel, wanted) == fitting(kernel, wanted) == [order_id], pair
        assert walked(kernel, wanted, up=True) == [order_id], pair


OTHERS: Mapping[str, Any] = {
    "state": OrderState.SUCCESS,
    "select_tag": "impor",
    "caller_id": 1,
    "callback": "none",
    "host": "receiver.ne",
    "receiver": "other",
    "error": "cancelled",
    "fingerprint": "0123456789abcdee",
    "reference": "inc1",
    "reference_prefix": "in",
    "ordering_key": "srv-1",
    "batch": "01946a3f-0000-7000-8000-000000000000",
    "text": "br_cke",
    "ids": ("x",),
    "tags": frozenset({"other"}),
}


def test_order_is_not_found_when_one_mark_is_anothers(
    kernel: Kernel, one: tuple[str, Mapping[str, Any]]
) -> None:
    order_id, marks = one
    for name, value in OTHERS.items():
        for beside in marks:
            wanted = OrderFilter(**{beside: marks[beside], name: value})
            assert order_id not in walked(kernel, wanted), (name, beside)
            assert order_id not in fitting(kernel, wanted), (name, beside)


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("receiver:tickets", True),
        ("https://receiver.net:8443/a", True),
        ("https://receiver.net:8443/a?x", True),
        ("https://receiver.net:8443/ab", False),
        ("https://receiver.net/a/b", False),
        ("receiver:tickets2", False),
    ],
)
def test_receivers_orders_are_those_at_its_url_or_below(
    kernel: Kernel, one: tuple[str, Mapping[str, Any]], url: str, found: bool
) -> None:
    order_id = make_order(kernel, caller_id=one[1]["caller_id"], callback_url=url)
    make_order(kernel, callback_url="https://receiver.net:8443/a")  # another caller's
    ids = walked(kernel, OrderFilter(receiver="tickets"))
    assert ids == [order_id] * found + [one[0]]
    by_name = walked(kernel, OrderFilter(host="receiver.net:8443"))
    assert (order_id in by_name) == ((url != "receiver:tickets2" and ":8443" in url) or found)


def test_name_of_many_orders_is_looked_for_row_by_row(kernel: Kernel) -> None:
    now = kernel.clock.now()
    with kernel.write() as connection:
        many = [
            {"order_id": f"{n:036}", "caller_id": 1, "reference": "INC9"} for n in range(SETTLED)
        ]
        connection.execute(insert(REFERENCES), many)
    made = [make_order(kernel, id=new_id(now), reference="INC9") for _ in range(3)]
    for wanted in ({"reference": "INC9"}, {"reference_prefix": "IN"}, {"text": "INC9"}):
        with kernel.read() as connection:
            assert settle(connection, OrderFilter(**wanted)).ids is None
        assert walked(kernel, OrderFilter(**wanted)) == sorted(made, reverse=True)


def test_orders_are_counted_by_error_tag_caller_and_receiver(
    kernel: Kernel, one: tuple[str, Mapping[str, Any]]
) -> None:
    with kernel.read() as connection:
        found = count_orders(connection, OrderFilter(), ALL)
        few = count_orders(connection, OrderFilter(), Budget(first=2, largest=2, seconds=0))
    jira = one[1]["caller_id"]
    assert (found.total, found.complete) == (6, True)
    assert found.by_error == {None: 5, "timed_out": 1}
    assert found.by_tag == {"create_project": 5, "import": 1}
    assert found.by_caller == {1: 5, jira: 1}
    origins = {"https://receiver.example:443": 5, "https://receiver.net:8443": 1}
    assert found.by_receiver == origins
    assert (few.total, few.complete) == (2, False)


def test_callbacks_are_found_and_counted_by_what_their_orders_are(
    kernel: Kernel, one: tuple[str, Mapping[str, Any]]
) -> None:
    order_id, marks = one
    make_delivery(kernel)
    names = (
        "select_tag",
        "error",
        "reference",
        "reference_prefix",
        "ordering_key",
        "batch",
        "tags",
    )
    by_order = {name: marks[name] for name in names}
    own = {"died_of": "deadline", "order_id": order_id, "state": DeliveryState.DEAD}
    for name, value in (by_order | own).items():
        wanted = CallbackFilter(**{name: value})
        with kernel.read() as connection:
            walk, rest = plan_callbacks(wanted)
            rows = take(
                Windows(connection, walk, None, ALL), (DELIVERIES.c.order_id,), rest, 9
            ).rows
            counts = count_callbacks(connection, wanted, ALL)
        assert [row.order_id for row in rows] == [order_id], name
        assert (counts.by_error, counts.by_tag) == ({"deadline": 1}, {"import": 1}), name
