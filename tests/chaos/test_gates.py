"""The checks of ordering keys, windows, events and steps see what is wrong."""

from dataclasses import replace
from typing import Any

import pytest

from tests.chaos.checks import gates
from tests.chaos.ledger import TWICE, WORK_LOST, WRONG, Row
from tests.chaos.orders import approved, keyed, limited, stepped
from tests.chaos.test_harness import ledger

KEYED = {"projname": "o1#0", "turn": 1, "alone": True}
SECONDLY = {"projname": "o2#0", "turn": 2, "alone": True}
RESERVED = {"projname": "o1#0", "reserved": 7}
EFFECT = {"order_id": "id1", "idempotency_key": "id1/reserve", "number": 7}


def of_keys(first: int | None, second: int | None, **result: Any) -> list[str]:
    """Return what is found of two orders of a key that have ended, the first with ``result``."""
    results = {"o1": KEYED | result, "o2": SECONDLY}
    rows = [
        Row(f"id{key[1:]}", key, "success", 100.0, 109.0, None, results[key], held=False, run=1)
        for key in results
    ]
    places = zip(rows, (first, second), strict=True)
    calls = {row.id: [{"data": {"ordering_key": "k0", "sequence": place}}] for row, place in places}
    record = ledger(orders={key: keyed(key) for key in results}, rows=rows, calls=calls)
    return [one.what for one in gates.check(record)]


def test_orders_of_a_key_are_found_when_they_ended_out_of_their_turn() -> None:
    assert of_keys(1, 2) == []
    assert of_keys(3, 1) == ["place 1 of its key ended after 3"]
    assert of_keys(2, 2) == ["two orders of k0a have the same place"]
    assert of_keys(1, 2, alone=False) == ["another order of its key began before its end"]
    assert of_keys(None, 2) == ["a callback does not say its place"]


@pytest.mark.parametrize(
    ("began", "error", "window", "found"),
    [
        (102.0, None, (101.0, 103.0), ""),
        (102.0, None, (None, None), ""),
        (None, "expired", (101.0, 105.0), ""),
        (100.5, None, (101.0, None), "it began 0.500 s before its not_before"),
        (104.0, None, (101.0, 103.5), "it began 0.500 s after its not_after"),
        (None, "expired", (101.0, 110.0), "it expired before its not_after"),
        (102.0, "expired", (101.0, 105.0), "it expired although it had begun"),
    ],
)
def test_orders_are_found_that_did_not_keep_their_windows(
    began: float | None, error: str | None, window: tuple[float | None, float | None], found: str
) -> None:
    row = replace(ledger().rows[0], started=began, error=error)
    what = [one.what for one in gates.check(ledger(rows=[row], windows={"o1": window}))]
    assert what == ([found] if found else [])


@pytest.mark.parametrize(
    ("began", "more", "found"),
    [
        (109.0, {}, ""),
        (108.9, {}, ""),  # its statement waited for the lock
        (108.0, {}, "2 orders of a limit of 1 ran at once"),
        (108.0, {"clock_was_set": True}, ""),
    ],
)
def test_orders_are_found_that_ran_at_once_beyond_a_limit(
    began: float, more: dict[str, Any], found: str
) -> None:
    first = replace(ledger().rows[0], started=101.0)
    second = replace(first, id="id2", key="o2", started=began, finished=112.0)
    orders = {key: limited(key) for key in ("o1", "o2")}
    record = ledger(orders=orders, rows=[first, second], **more)
    assert [one.what for one in gates.check(record)] == ([found] if found else [])


@pytest.mark.parametrize(
    ("told", "wanted", "was_set", "kind"),
    [
        (["o1"], True, False, ""),
        ([], False, False, ""),
        ([], True, False, WORK_LOST),
        ([], True, True, ""),  # the clock was set past the time until which it waited
        (["o1", "o1"], True, True, TWICE),
        (["o1"], False, False, TWICE),
    ],
)
def test_events_are_found_that_were_lost_or_told_twice(
    told: list[str], wanted: bool, was_set: bool, kind: str
) -> None:
    row = replace(ledger().rows[0], result={"projname": "o1#0", "told": told})
    orders = {"o1": approved("o1", told=wanted)}
    record = ledger(orders=orders, rows=[row], clock_was_set=was_set)
    assert [one.kind for one in gates.check(record)] == ([kind] if kind else [])


@pytest.mark.parametrize(
    ("kind", "effects", "attempts"),
    [
        ("", [EFFECT], 1),
        ("", [{**EFFECT, "number": None}, EFFECT, EFFECT], 3),
        (TWICE, [EFFECT, EFFECT], 1),
        (TWICE, [EFFECT, {**EFFECT, "idempotency_key": "another"}], 2),
        (WORK_LOST, [], 1),
        (WRONG, [{**EFFECT, "number": 8}], 1),
    ],
)
def test_effects_of_a_step_are_compared_with_its_record(
    kind: str, effects: list[dict[str, Any]], attempts: int
) -> None:
    row = replace(ledger().rows[0], result=RESERVED)
    done = {"id1": {"write": (1, True), "reserve": (attempts, True)}}
    record = ledger(orders={"o1": stepped("o1")}, rows=[row], effects={"id1": effects}, steps=done)
    assert [one.kind for one in gates.check(record)] == ([kind] if kind else [])
    record.steps = {"id1": {"write": (1, False)}}
    assert WRONG in {one.kind for one in gates.check(record)}
