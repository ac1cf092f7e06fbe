"""Fields of a filter are an AND: two of them find what both find alone, of any two values."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from itertools import combinations
from typing import Any

import pytest
from sqlalchemy import insert

from kernel.bulk.kinds import Kind, Plan
from kernel.db.ids import new_id
from kernel.db.statements.keyset import Budget, Windows, take
from kernel.db.states import OrderState
from kernel.db.tables.gates import GATES
from kernel.db.tables.operating.runs import RUNS
from kernel.db.tables.orders import ORDERS
from kernel.errors import InvalidOrder
from kernel.filters.orders import OrderFilter
from kernel.filters.plans import plan_orders, settle
from kernel.runtime.kernel import Kernel
from tests.support.factories import make_delivery, make_order

ALL = Budget(first=4, largest=64, seconds=1000.0)
# What says in which states orders are: a bulk act is for some states alone.
STATES = ("state", "error", "waiting")
ENDED = (OrderState.FAILED, OrderState.CANCELLED, OrderState.SUCCESS)
Field = tuple[str, Any]


def found(kernel: Kernel, wanted: Any) -> frozenset[str]:
    """Return the ids that the plan of a settled filter finds."""
    with kernel.read() as connection:
        walk, rest = plan_orders(settle(connection, wanted))
        page = take(Windows(connection, walk, None, ALL), (ORDERS.c.id,), rest, 100)
    return frozenset(row.id for row in page.rows)


def rows(kernel: Kernel) -> Iterator[tuple[str, str]]:
    """Make orders in which marks of two values meet; yield each one's id and its callback's."""
    now = kernel.clock.now()
    for number in range(12):
        mark = {"reference": f"INC{number % 3}", "idempotency_key": f"key-{number}"}
        state = [*ENDED, OrderState.WAITING][number % 4]
        mark["error_code"] = {"failed": "gone", "cancelled": "cancelled"}.get(state)
        mark["finished_at"] = now if state.is_final else None
        at = now - timedelta(hours=number)
        order_id = make_order(kernel, id=new_id(at), state=state, **mark)
        gate = {"ordering_key": f"INC{number // 3 % 2}", "waiting_for": "event:x"}
        ran = {"run": 1, "how": "bug", "ended_at": now, "is_counted": True}
        with kernel.write() as connection:
            connection.execute(insert(GATES).values(order_id=order_id, caller_id=1, **gate))
            print_of = f"{number // 2 % 2:016}"
            connection.execute(insert(RUNS).values(order_id=order_id, fingerprint=print_of, **ran))
        yield order_id, make_delivery(kernel, order_id)


def fields(made: list[tuple[str, str]]) -> list[Field]:
    """Return the fields whose pairs are asked: each with values of some, and with one of none."""
    names = ["INC0", "INC1", "INC", "key-4", made[0][0], made[4][1], made[3][0], "srv"]
    return [
        *(("text", name) for name in names),
        *(("reference", f"INC{number}") for number in range(4)),
        *(("reference_prefix", name) for name in ("INC", "INC1", "INC11")),
        *(("ordering_key", f"INC{number}") for number in range(3)),
        *(("fingerprint", f"{number:016}") for number in range(3)),
        *(("state", state) for state in OrderState),
        *(("error", code) for code in ("gone", "cancelled", "other")),
        *(("waiting", what) for what in ("any", "event:x", "event:y")),
        ("ids", (made[0][0], made[1][0], made[5][0])),
        ("ids", (made[4][0],)),
        ("caller_id", 1),
    ]


def pairs(kernel: Kernel, *names: str) -> Iterator[tuple[tuple[Field, Field], frozenset[str]]]:
    """Make the rows; yield two fields each, and the ids that both of them find alone.

    ``names``: of these fields; without, of all.
    """
    known = [one for one in fields(list(rows(kernel))) if one[0] in (names or one)]
    alone = {one: found(kernel, OrderFilter(**dict([one]))) for one in known}
    assert len(set(alone.values())) > 4, "the fields do not tell the rows apart"
    for one, two in combinations(known, 2):
        if one[0] != two[0]:
            yield (one, two), alone[one] & alone[two]


def test_two_fields_find_what_both_of_them_find_alone(kernel: Kernel) -> None:
    wrong = [
        both
        for both, expected in pairs(kernel)
        if found(kernel, OrderFilter(**dict(both))) != expected
    ]
    assert wrong == []


@pytest.mark.parametrize("kind", [Kind.CANCEL, Kind.RERUN])
def test_bulk_act_is_for_nothing_that_one_of_two_fields_excludes(
    kernel: Kernel, kind: Kind
) -> None:
    wrong = []
    for both, expected in pairs(kernel, *STATES):
        with suppress(InvalidOrder):  # of no state that it could be for
            for part in Plan(kind, OrderFilter(**dict(both))).parts():
                wrong += [both] * (not found(kernel, part) <= expected)
    assert wrong == []
