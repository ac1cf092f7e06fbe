"""The members that are an order's own, for handlers whose models take or drop what they lack."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel, Field

from kernel import Handlers, Run
from kernel.db.tables.orders import ORDERS
from kernel.formats.order_request import OrderRequest, order_request
from kernel.runtime.kernel import Kernel
from tests.support.batches import ids, sent
from tests.support.clients import Client, client
from tests.support.factories import rows

handlers = Handlers()


class Drops(BaseModel, extra="ignore"):
    """Knows one name, and drops what has another."""

    name: str = "a"


class Keeps(BaseModel, extra="allow"):
    """Keeps every member."""


class Named(BaseModel, extra="ignore"):
    """Has arguments that are called as an order's own members."""

    first: str = Field("", alias="not_before")
    idempotency_key: str = ""


@handlers.register("drops", Drops)
def drops(run: Run, args: Drops) -> dict[str, Any]:
    """Do nothing."""
    return {}


@handlers.register("keeps", Keeps)
def keeps(run: Run, args: Keeps) -> dict[str, Any]:
    """Do nothing."""
    return {}


@handlers.register("named", Named)
def named(run: Run, args: Named) -> dict[str, Any]:
    """Do nothing."""
    return {}


OWN = {
    "reference": "INC1",
    "ordering_key": "srv-12",
    "priority": "high",
    "not_before": "2030-01-01T00:00:00Z",
    "not_after": "2031-01-01T00:00:00Z",
}


def asked(tag: str, **members: Any) -> OrderRequest:
    return order_request(
        {"select_tag": tag, "callback_url": None} | members, dict(handlers.items())
    )


def test_own_members_are_the_orders_when_the_model_ignores_what_it_does_not_know() -> None:
    found = asked("drops", name="b", more=1, **OWN)
    assert found.args == '{"name":"b","more":1}'
    assert (found.reference, found.ordering_key, found.priority.name) == ("INC1", "srv-12", "HIGH")
    assert found.not_before is not None
    assert found.not_after is not None
    assert (found.not_before.year, found.not_after.year) == (2030, 2031)


def test_own_members_are_arguments_when_the_model_keeps_any_or_names_them() -> None:
    kept = asked("keeps", **OWN)
    assert all(f'"{name}"' in kept.args for name in OWN)
    assert (kept.ordering_key, kept.not_before, kept.not_after) == (None, None, None)
    found = asked("named", **OWN | {"not_before": "first"})
    assert (found.args, found.not_before) == ('{"not_before":"first"}', None)
    assert found.ordering_key == "srv-12"


@pytest.fixture
def zammad(kernel: Kernel) -> Client:
    return client(kernel)


@pytest.fixture
def kernel(make_kernel: Callable[..., Kernel], sqlite_url: str) -> Kernel:
    return make_kernel(sqlite_url, handlers)


@pytest.mark.parametrize(("tag", "count"), [("drops", 1), ("keeps", 1), ("named", 2)])
def test_order_of_a_batch_is_known_by_its_key_unless_a_field_has_that_name(
    kernel: Kernel, zammad: Client, tag: str, count: int
) -> None:
    one = {"select_tag": tag, "callback_url": None, "idempotency_key": "k"}
    first, again = sent(zammad, [one]), sent(zammad, [one])
    assert len({*ids(first), *ids(again)}) == len(rows(kernel, ORDERS)) == count
    stored = [row.idempotency_key for row in rows(kernel, ORDERS)]
    assert stored == (["k"] if count == 1 else [None, None])
