"""Orders by their reference: stored in one commit, found by an index, deleted with the order."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from kernel.callers.identity import Identity
from kernel.config.logging import bound
from kernel.db.tables.callers import Caller
from kernel.db.tables.orders import REFERENCES
from kernel.errors import Unauthenticated
from kernel.filters.orders import OrderFilter
from kernel.handlers import Handlers, Run
from kernel.insight.search.orders import find
from kernel.orders.pages import LaneFilter, list_orders, orders_by_id, with_prefix
from kernel.orders.submit import submit
from kernel.runtime.kernel import Kernel
from kernel.testing import drain, order
from kernel.worker.maintenance.prune import prune
from tests.support.factories import ANYBODY, make_order, request, rows


def named(kernel: Kernel, reference: str | None, who: Identity = ANYBODY) -> str:
    """Submit an order with a reference; return its id."""
    return submit(kernel, who, replace(request(), reference=reference)).order_id


def second(kernel: Kernel) -> Identity:
    """Another caller."""
    with kernel.write_session() as session:
        session.add(Caller(id=2, name="second", created_at=kernel.clock.now()))
    return Identity(2, "second")


def listed(kernel: Kernel, caller_id: int | None, **wanted: Any) -> Sequence[str]:
    with kernel.read_session() as session:
        return [one.id for one in list_orders(session, caller_id, LaneFilter(**wanted))]


def test_orders_are_listed_by_their_reference_newest_first(kernel: Kernel) -> None:
    first, other, last = (named(kernel, one) for one in ("INC1", "INC2", "INC1"))
    theirs = named(kernel, "INC1", second(kernel))
    named(kernel, None)
    assert listed(kernel, 1, reference="INC1") == [last, first]
    assert listed(kernel, None, reference="INC1") == [theirs, last, first]
    assert listed(kernel, None, reference="INC1", limit=1, before=theirs) == [last]
    assert listed(kernel, 1, reference="INC2", state="pending") == [other]
    assert listed(kernel, 1, reference="INC2", state="failed") == []
    assert listed(kernel, 1, reference="inc1") == listed(kernel, 1, reference="INC") == []


def test_references_are_found_by_how_they_begin(kernel: Kernel) -> None:
    ids = {
        one: named(kernel, one)
        for one in ("INC10", "INC1", "inc1", "工单1", "INC%", "IN\U0010fffd")
    }
    with kernel.read_session() as session:
        assert with_prefix(session, "INC1", 9) == [ids["INC1"], ids["INC10"]]
        assert with_prefix(session, "工", 9) == [ids["工单1"]]
        assert with_prefix(session, "INC%", 9) == [ids["INC%"]]
        assert len(with_prefix(session, "IN", 9)) == 4
        assert [one.reference for one in orders_by_id(session, [ids["inc1"]])] == ["inc1"]


def test_search_of_people_knows_references(kernel: Kernel) -> None:
    order_id, other = named(kernel, "INC0012345"), named(kernel, "INC0012346")

    def found(text: str) -> list[str]:
        with kernel.read() as connection:
            return [one.id for one in find(connection, OrderFilter(text=text)).orders]

    assert found("INC0012345") == [order_id]
    assert found("INC00123") == [other, order_id]
    assert found("over the river") == [other, order_id]


def test_order_without_a_reference_has_no_row_of_its_own(kernel: Kernel) -> None:
    named(kernel, None)
    assert rows(kernel, REFERENCES) == []


def test_nothing_is_stored_when_the_key_no_longer_holds(kernel: Kernel) -> None:
    with pytest.raises(Unauthenticated):
        named(kernel, "INC1", Identity(1, "anonymous", key_id=99))
    assert rows(kernel, REFERENCES) == []


def test_repeat_answers_with_the_first_reference(kernel: Kernel) -> None:
    first, other = (replace(request(), reference=one) for one in ("INC1", "INC2"))
    order_id = submit(kernel, ANYBODY, first, "key").order_id
    again = submit(kernel, ANYBODY, other, "key")
    assert (again.order_id, again.replayed, again.reference) == (order_id, True, "INC1")
    assert [row.reference for row in rows(kernel, REFERENCES)] == ["INC1"]


def test_reference_ends_with_its_order_when_pruned(kernel: Kernel) -> None:
    ago = kernel.clock.now() - timedelta(days=40)
    for reference in ("old", "older"):
        make_order(kernel, state="success", finished_at=ago, reference=reference)
    kept = named(kernel, "new")
    assert prune(kernel).orders == 2
    assert [row.order_id for row in rows(kernel, REFERENCES)] == [kept]


class Ticket(BaseModel):
    """Arguments with a ticket's number."""

    ticket: str = ""


def test_reference_is_seen_by_handler_callback_and_log(
    make_kernel: Callable[..., Kernel], database_url: str
) -> None:
    handlers, seen = Handlers(), []

    @handlers.register("close", Ticket, reference="ticket")
    def close(run: Run, args: Ticket) -> dict[str, Any]:
        seen.append((run.reference, args.ticket, bound().get("reference")))
        return {}

    kernel = make_kernel(database_url, handlers)
    order(kernel, "close", ticket="INC1")
    order(kernel, "close", reference="INC2")
    order(kernel, "close")
    drain(kernel)
    assert seen == [("INC1", "INC1", "INC1"), ("INC2", "", "INC2"), (None, "", None)]
    told = [one.json()["data"] for one in kernel.transport.sent]  # by several senders
    assert sorted(one.get("reference", "none") for one in told) == ["INC1", "INC2", "none"]
