"""What a text names is found among the orders that a filter is of: others' names change nothing."""

from typing import Any

import pytest
from sqlalchemy import insert

from kernel.callers import identity, keys
from kernel.db.tables.gates import GATES
from kernel.filters.orders import OrderFilter
from kernel.filters.plans import named
from kernel.insight.search.orders import find
from kernel.runtime.kernel import Kernel
from tests.support.factories import make_order

# By what an order is called: how another caller, or another tag, has the same name.
NAMES: dict[str, dict[str, Any]] = {
    "reference": {"reference": "INC0012"},
    "beginning": {"reference": "INC0012345"},
    "idempotency key": {"idempotency_key": "INC0012"},
    "ordering key": {},
}
WORD = '{"projname":"see INC0012"}'


def caller(kernel: Kernel, name: str) -> int:
    with kernel.write_session() as session:
        keys.add(session, name, kernel.clock.now())
        return identity.find(session, name).id


def called(kernel: Kernel, what: str, **values: Any) -> str:
    """Make an order that is called INC0012 in this way."""
    order_id = make_order(kernel, **NAMES[what], **values)
    if what == "ordering key":
        row = {"order_id": order_id, "caller_id": values.get("caller_id", 1)}
        with kernel.write() as connection:
            connection.execute(insert(GATES).values(row | {"ordering_key": "INC0012"}))
    return order_id


def found(kernel: Kernel, **wanted: Any) -> list[str]:
    with kernel.read_session() as session:
        return [one.id for one in find(session, OrderFilter(text="INC0012", **wanted)).orders]


@pytest.mark.parametrize("what", NAMES)
def test_text_is_no_name_of_another_callers_order(kernel: Kernel, what: str) -> None:
    ours, others = caller(kernel, "jira"), caller(kernel, "zammad")
    speaks = make_order(kernel, caller_id=ours, args=WORD)
    assert found(kernel, caller_id=ours) == [speaks]
    theirs = called(kernel, what, caller_id=others)
    assert found(kernel, caller_id=ours) == [speaks]
    assert found(kernel, caller_id=others) == found(kernel) == [theirs]
    own = called(kernel, what, caller_id=ours)
    assert found(kernel, caller_id=ours) == [own]


@pytest.mark.parametrize("what", NAMES)
@pytest.mark.parametrize("is_of_a_caller", [True, False])
def test_text_is_no_name_of_an_order_of_another_tag(
    kernel: Kernel, what: str, is_of_a_caller: bool
) -> None:
    of: dict[str, Any] = {"caller_id": 1} if is_of_a_caller else {}
    mine, speaks = frozenset({"create_project"}), make_order(kernel, args=WORD)
    called(kernel, what, select_tag="payroll")
    assert found(kernel, tags=mine, **of) == [speaks]
    with kernel.write_session() as session:
        keys.add(session, "jira", kernel.clock.now())
        other = identity.find(session, "jira").id
    own = called(kernel, "reference", caller_id=1 if is_of_a_caller else other)
    assert found(kernel, tags=mine, **of) == [own]


def test_text_means_the_same_later_when_it_was_found_out_once(kernel: Kernel) -> None:
    speaks = make_order(kernel, args=WORD)
    with kernel.read_session() as session:
        once = named(session, OrderFilter(text="INC0012"))
        called(kernel, "reference")
        assert named(session, once) == once == OrderFilter.of(once.kept())
        assert [one.id for one in find(session, once).orders] == [speaks]
