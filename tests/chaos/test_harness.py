"""The harness of `./run chaos`: its ledger sees what is wrong, its table of faults is whole."""

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.breaks import BREAKS
from tests.chaos.faults import FAULTS, NAMES, deck
from tests.chaos.ledger import CALLBACK_LOST, KINDS, LEFT, TWICE, WORK_LOST, WRONG, Ledger, Row
from tests.chaos.load import create, order
from tests.chaos.run import together

DOCS = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
ORDER = create("o1")
CALL = {"webhook_id": "d1", "state": "success", "status": 0, "answered": True, "signed": True}


def ledger(**changed: Any) -> Ledger:
    """A run with one order in which everything is well, with parts of it changed."""
    row = Row("id1", "o1", "success", 1.0, 2.0, None, {}, held=False, run=1)
    parts: dict[str, Any] = {
        "orders": {"o1": ORDER},
        "accepted": {"o1": {"id1"}},
        "rows": [row],
        "projects": Counter(ORDER.rows),
        "calls": {"id1": [CALL]},
        "deliveries": {"id1": [("d1", "delivered")]},
        "touched": 0,
    }
    return Ledger(**{**parts, **changed})


def state(name: str, **more: Any) -> list[Row]:
    return [Row("id1", "o1", name, 1.0, None, None, {}, **{"held": False, "run": 1, **more})]


def test_ledger_finds_nothing_when_all_is_well() -> None:
    assert ledger().check() == []


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        (WORK_LOST, {"rows": []}),
        (WORK_LOST, {"rows": state("pending")}),
        (WORK_LOST, {"rows": state("running")}),
        (WORK_LOST, {"projects": Counter()}),
        (TWICE, {"accepted": {"o1": {"id1", "id2"}}}),
        (TWICE, {"projects": Counter({ORDER.rows[0]: 2})}),
        (TWICE, {"touched": 1}),
        (TWICE, {"deliveries": {"id1": [("d1", "delivered"), ("d2", "delivered")]}}),
        (CALLBACK_LOST, {"deliveries": {}}),
        (CALLBACK_LOST, {"calls": {}}),
        (CALLBACK_LOST, {"calls": {"id1": [{**CALL, "answered": False}]}}),
        (WRONG, {"rows": state("failed")}),
        (WRONG, {"projects": Counter([*ORDER.rows, "nobody's"])}),
        (WRONG, {"calls": {"id1": [CALL, {**CALL, "webhook_id": "d2"}]}}),
        (WRONG, {"calls": {"id1": [{**CALL, "status": -1}]}}),
        (WRONG, {"calls": {"id1": [{**CALL, "signed": False}]}}),
        (LEFT, {"rows": state("success", held=True)}),
        (LEFT, {"deliveries": {"id1": [("d1", "pending")]}}),
    ],
)
def test_ledger_finds_it_when_something_is_wrong(kind: str, changed: dict[str, Any]) -> None:
    assert kind in {finding.kind for finding in ledger(**changed).check()}


def test_orders_are_the_same_when_the_seed_is() -> None:
    first, second = random.Random(7), random.Random(7)
    assert [order(f"o{n}", first) for n in range(50)] == [order(f"o{n}", second) for n in range(50)]


@pytest.mark.parametrize("variant", ["mariadb", "sqlite", "rabbitmq"])
def test_deck_holds_every_kind_when_it_is_large_enough(variant: str) -> None:
    drawn = Counter(fault.name for fault in deck(variant, 64, random.Random(1)))
    assert drawn.total() == 64
    assert set(drawn) == {fault.name for fault in FAULTS if variant in fault.variants.split()}
    assert len(drawn) >= 15


def test_faults_are_not_combined_when_they_break_the_same_server() -> None:
    assert together(NAMES["redis-kill"], NAMES["mariadb-kill"])
    assert not together(NAMES["redis-kill"], NAMES["redis-flap"])
    assert not together(NAMES["mariadb-stop"], NAMES["frozen-lock"])


def test_every_fault_is_caught_by_a_break_that_names_it() -> None:
    named = {name for one in BREAKS.values() for name in one.faults}
    assert named <= set(NAMES)
    # What these do is done, harder, by the faults after them.
    covered = {"worker-term": "worker-kill", "dispatcher-kill": "sender-kill"}
    covered |= {"rabbitmq-kill": "redis-kill", "rabbitmq-close": "redis-client-kill"}
    assert set(NAMES) - named == set(covered)
    assert set(covered.values()) <= named
    assert {one.found for one in BREAKS.values()} <= set(KINDS)


def test_every_fault_and_break_is_documented_in_the_page_of_results() -> None:
    page = DOCS.read_text()
    assert [name for name in [*NAMES, *BREAKS] if f"`{name}`" not in page] == []
