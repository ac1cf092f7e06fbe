"""Filters of lists, each with each: a page has the orders that fit all of them, and no others."""

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import pytest
from sqlalchemy import insert

from kernel.db.states import OrderState
from kernel.db.tables.gates import GATES
from kernel.db.tables.orders import REFERENCES
from kernel.filters.orders import ANYTHING
from kernel.orders.pages import LaneFilter, list_orders
from kernel.runtime.kernel import Kernel
from tests.support.factories import make_order

PARENT = "01980000-0000-7000-8000-000000000001"
# What an order is or is not.
TRAITS = ("waits", "keyed", "child", "named")


@pytest.fixture
def kernel(make_kernel: Callable[..., Kernel], sqlite_url: str) -> Kernel:
    return make_kernel(sqlite_url)


def make_one(kernel: Kernel, traits: frozenset[str]) -> str:
    """Store an order of these traits alone."""
    state = OrderState.WAITING if "waits" in traits else OrderState.PENDING
    named = "INC1" if "named" in traits else None
    order_id = make_order(kernel, state=state, reference=named)
    gate = {
        "waiting_for": "event:a" if "waits" in traits else None,
        "ordering_key": "srv-1" if "keyed" in traits else None,
        "place": 1 if "keyed" in traits else None,
        "parent_id": PARENT if "child" in traits else None,
    }
    of_order = {"order_id": order_id, "caller_id": 1}
    with kernel.write() as connection:
        connection.execute(insert(GATES).values(of_order | gate))
        if (
            named is not None
            and not connection.execute(
                REFERENCES.select().where(REFERENCES.c.order_id == order_id)
            ).all()
        ):
            connection.execute(insert(REFERENCES).values(of_order | {"reference": named}))
    return order_id


def every_filter(ids: tuple[str, ...]) -> Iterator[tuple[LaneFilter, frozenset[str]]]:
    """Each choice of filters, and the traits that an order must have to fit."""
    choices: list[list[tuple[dict[str, Any], set[str]]]] = [
        [({}, set()), ({"waiting": "event:a"}, {"waits"}), ({"waiting": ANYTHING}, {"waits"})],
        [({}, set()), ({"ordering_key": "srv-1"}, {"keyed"})],
        [({}, set()), ({"batch": PARENT}, {"child"})],
        [({}, set()), ({"reference": "INC1"}, {"named"})],
        [({}, set()), ({"ids": ids}, set())],
        [({}, set()), ({"select_tag": "create_project"}, set())],
        [({}, set()), ({"before": "ffffffff-ffff-7fff-8fff-ffffffffffff"}, set())],
        [({}, set()), ({"tags": frozenset({"create_project", "other"})}, set())],
        [({}, set()), ({"state": OrderState.PENDING, "as_callers_see": True}, set())],
    ]
    for chosen in product(*choices):
        given: dict[str, Any] = {}
        needed: set[str] = set()
        for more, traits in chosen:
            given |= more
            needed |= traits
        yield LaneFilter(**given), frozenset(needed)


@pytest.mark.parametrize("caller_id", [1, None])
def test_page_has_what_fits_every_filter(kernel: Kernel, caller_id: int | None) -> None:
    each = [
        frozenset(t for t, on in zip(TRAITS, bits, strict=True) if on)
        for bits in product((0, 1), repeat=4)
    ]
    made = {make_one(kernel, traits): traits for traits in each}
    wrong = []
    with kernel.read_session() as session:
        for wanted, needed in every_filter(tuple(made)):
            found = {row.id for row in list_orders(session, caller_id, wanted)}
            if found != {one for one, traits in made.items() if needed <= traits}:
                wrong.append((wanted, found))
    assert wrong == []
