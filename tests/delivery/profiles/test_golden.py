"""The exact requests of each profile, one a line of golden.jsonl: note, state and last line."""

import json
from pathlib import Path
from typing import Any

import pytest

from kernel.delivery.profiles import names, profile
from kernel.formats.shapes.render import below, facts, question
from tests.delivery.profiles.cases import DELIVERY, ENDING, MESSAGES, outcome, sent, shape_of

LINES = Path(__file__).with_name("golden.jsonl").read_text("utf-8").rstrip("\n").split("\n")
GOLDEN = [json.loads(line) for line in LINES]
CASES = [(name, state, {}) for name in names() for state in MESSAGES] + [
    (name, "success", ending) for name, ending in ENDING.items()
]


def request(name: str, state: str, ending: dict[str, str]) -> dict[str, Any]:
    """Return what golden.jsonl holds of one request."""
    made = sent(shape_of(name, ending), name, outcome(state))
    return {
        "profile": name,
        "state": state,
        "ending": ending,
        "line": f"{made.method} {below(profile(name).example_url, made.url)}",
        "headers": dict(made.headers),
        "body": made.body.decode(),
    }


@pytest.mark.parametrize("golden", GOLDEN, ids=map(str, range(1, 1 + len(GOLDEN))))
def test_request_is_the_same_to_the_byte(golden: dict[str, Any]) -> None:
    assert request(golden["profile"], golden["state"], golden["ending"]) == golden


def test_every_profile_and_state_is_in_the_table() -> None:
    assert [(one["profile"], one["state"], one["ending"]) for one in GOLDEN] == CASES


@pytest.mark.parametrize(
    ("name", "url"),
    [
        (
            "servicenow-table",
            "/api/now/table/incident?sysparm_query=number=4711"
            "&sysparm_fields=sys_id,number,state&sysparm_limit=2",
        ),
        (
            "zammad",
            "/api/v1/tickets/search?condition%5Bticket.number%5D%5Boperator%5D=is"
            "&condition%5Bticket.number%5D%5Bvalue%5D=4711&expand=true&limit=2",
        ),
    ],
)
def test_lookup_asks_for_the_reference_and_for_two_rows(name: str, url: str) -> None:
    shape = shape_of(name)
    assert shape.lookup is not None
    asked = question(shape.lookup, facts(outcome("success"), DELIVERY, {}))
    assert (asked.url, asked.wanted) == (url, "4711")


def test_lookups_are_all_in_the_table_above() -> None:
    looking = [name for name in names() if shape_of(name).lookup is not None]
    assert looking == ["servicenow-table", "zammad"]
