"""The checks of parents, children and batches see what is wrong."""

import random
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from tests.chaos.batches import batch_body, misses, told_ids
from tests.chaos.checks import families
from tests.chaos.ledger import TWICE, WORK_LOST, WRONG, Row
from tests.chaos.orders import Order, batch, create, order, parent
from tests.chaos.test_harness import ledger

# Three children, the first of which is committed by itself; the last one fails.
PARENT = parent("o1", 3, rolls_back=True)
BATCH = batch("o1", random.Random(1))


def rows_of(one: Order, by: tuple[int, ...]) -> list[Row]:
    """Return the rows of an order and of what it consists of, each as it must have ended."""
    first = replace(ledger().rows[0], result=one.result() or {})
    made = zip(one.family, (*by, *[None] * len(one.family)), strict=False)
    parts = [
        Row(f"id-{each.key}", each.key, each.state, 101.0, 108.0, each.error or None, {},
            held=False, run=1, parent="id1", by=run)
        for each, run in made
    ]  # fmt: skip
    return [first, *parts]


def found(one: Order, rows: list[Row], **more: Any) -> list[tuple[str, str]]:
    orders = {each.key: each for each in (one, *one.family)}
    record = ledger(orders=orders, rows=rows, **more)
    return [(finding.kind, finding.what) for finding in families.check(record)]


def counted(**states: int) -> dict[str, Any]:
    return {"projname": "o1#0", "children": states}


def test_parent_is_fine_when_each_child_is_there_once() -> None:
    assert found(PARENT, rows_of(PARENT, (1, 2, 2))) == []
    assert found(BATCH, rows_of(BATCH, ())) == []


def test_child_is_found_that_is_lost() -> None:
    rows = rows_of(PARENT, (1, 2, 2))
    rows[0].result = counted(success=1, failed=1)
    lost = (WORK_LOST, "a child is not there, and its parent has ended")
    assert found(PARENT, [*rows[:2], rows[3]]) == [lost]


def test_child_is_found_that_is_there_twice() -> None:
    rows = rows_of(PARENT, (1, 2, 2))
    rows[0].result = counted(success=3, failed=1)
    again = replace(rows[1], id="id9")
    assert found(PARENT, [*rows, again]) == [(TWICE, "a child is there 2 times")]


@pytest.mark.parametrize(
    ("by", "what"),
    [
        ((1, 1, 1), ["a child of a run that was rolled back"]),
        ((1, 2, 3), ["children of one commit were made by runs [2, 3]"]),
        ((2, 3, 3), []),
    ],
)
def test_children_are_found_of_a_run_that_was_rolled_back(
    by: tuple[int, ...], what: list[str]
) -> None:
    assert found(PARENT, rows_of(PARENT, by)) == [(WRONG, one) for one in what]


def test_outcome_is_found_that_does_not_count_its_children_as_their_rows_are() -> None:
    for one, by in ((PARENT, (1, 2, 2)), (BATCH, ())):
        rows = rows_of(one, by)
        rows[1].state = "cancelled"
        [(kind, what)] = found(one, rows)
        assert kind == WRONG
        assert what.startswith("counts {")


def test_parent_is_found_that_ended_before_its_child() -> None:
    rows = rows_of(PARENT, (1, 2, 2))
    rows[2].finished = 110.0
    early = [(WRONG, "its parent ended before it")]
    assert found(PARENT, rows) == early
    assert found(PARENT, rows, clock_was_set=True) == []


def test_child_is_found_whose_parent_is_not_there_or_another() -> None:
    alone = replace(ledger().rows[0], parent="id9")
    what = "a child of an order that is not there"
    assert found(create("o1"), [alone]) == [(WRONG, what)]
    rows = [*rows_of(PARENT, (1, 2, 2)), replace(alone, id="id5", key="o5+0", parent="id1")]
    rows[0].result = counted(success=3, failed=1)
    record = ledger(
        orders={each.key: each for each in (PARENT, *PARENT.family, create("o5+0"))}, rows=rows
    )
    assert [one.what for one in families.check(record)] == ["a child of o5, and its parent is o1"]


def test_order_without_callback_is_found_when_it_has_one() -> None:
    silent = replace(create("o1"), callback=False)
    rows = ledger().check()
    assert rows == []
    kinds = [(one.kind, one.what) for one in ledger(orders={"o1": silent}).check()]
    assert kinds == [(WRONG, "a callback, and none was ordered")]
    assert ledger(orders={"o1": silent}, calls={}, deliveries={}, attempts={}).check() == []


def test_second_row_of_a_key_is_found_when_it_left_no_project() -> None:
    row = ledger().rows[0]
    record = ledger(rows=[row, replace(row, id="id2")], calls={"id1": [], "id2": []})
    assert (TWICE, "2 rows for one idempotency key") in {
        (one.kind, one.what) for one in record.check()
    }


def test_batches_and_parents_are_in_the_stream() -> None:
    rand = random.Random(3)
    made = [order(f"o{n:05d}", rand) for n in range(60)]
    tags = Counter(one.tag for one in made if one.family)
    assert tags == {"parent_project": 2, "kernel.batch": 2}
    assert sum(one.is_loose for one in made) == sum(one.rolls_back for one in made) == 1


def test_answer_to_a_batch_is_read_by_the_keys_of_its_orders() -> None:
    sent = batch_body(BATCH, ["http://a", "http://b"], 4)
    assert [one["idempotency_key"] for one in sent["orders"][:-1]] == [
        one.key for one in BATCH.family
    ]
    assert sent["orders"][0]["callback_url"] is None
    good = [{"order_id": f"id{n}", "replayed": False} for n in range(len(BATCH.family))]
    bad = {"errors": [{"pointer": f"/orders/{len(good)}/projname"}]}
    data = {"batch": {"order_id": "b"}, "accepted": len(good), "replayed": 0, "refused": 1}
    data |= {"orders": [*good, bad]}
    assert misses(BATCH, data) == []
    assert told_ids(BATCH, data)["o1+1"] == "id1"
    assert told_ids(BATCH, data)["o1"] == "b"
    lost, taken = [*good[:-1], bad, bad], [*good, good[0]]
    for wrong, said in (
        ({"refused": 0}, "told were"),
        ({"orders": lost}, "orders are good"),
        ({"orders": taken}, "the last order is to be refused"),
    ):
        [what] = misses(BATCH, data | wrong)
        assert said in what
