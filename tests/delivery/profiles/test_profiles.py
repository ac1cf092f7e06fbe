"""Profiles: what people are told of them, and which shapes are made by them."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from kernel.delivery.profiles import made_shape, names, profile
from kernel.formats.shapes.render import facts, question, render
from kernel.formats.shapes.shape import STATES, parse_shape
from kernel.formats.shapes.template import TemplateFailed
from tests.delivery.profiles.cases import (
    DELIVERY,
    ENDING,
    FOUND,
    NUMBERED,
    SECRETS,
    VARIABLES,
    outcome,
    sent,
    shape_of,
)

KINDS = {"basic", "bearer", "header", "oauth2", "none"}


@pytest.mark.parametrize("name", names())
def test_profile_says_what_a_newcomer_needs(name: str) -> None:
    known = profile(name)
    assert known.name == name
    assert all((known.title, known.help, known.credentials))
    assert set(known.credentials) <= KINDS
    assert known.example_url.startswith("https://")
    assert not re.search(r"[{<]", known.example_url)
    assert {one.kind for one in known.outcomes.values()} <= {"text", "number", "flag"}
    assert all(one.help for one in (*known.variables.values(), *known.outcomes.values()))


@pytest.mark.parametrize("name", names())
def test_shape_uses_all_that_its_profile_offers_and_nothing_else(name: str) -> None:
    known, text = profile(name), str(made_shape(name, VARIABLES.get(name, {})))
    for family, offered in (
        ("receiver", known.variables),
        ("outcome", known.outcomes),
        ("secret", known.secrets),
    ):
        assert set(re.findall(rf"\b{family}\.(\w+)", text)) == set(offered), family


@pytest.mark.parametrize("name", names())
def test_every_outcome_key_can_be_set_for_every_state(name: str) -> None:
    example = {"text": "x", "number": "3", "flag": "true"}
    keys = {key: example[one.kind] for key, one in profile(name).outcomes.items()}
    outcomes = {f"{state}.{key}": value for state in STATES for key, value in keys.items()}
    shape = parse_shape(made_shape(name, VARIABLES.get(name, {}), outcomes))
    assert {state: set(entry) for state, entry in shape.outcomes.items()} == (
        {state: set(keys) for state in STATES} if keys else {}
    )


def test_variables_of_the_receiver_come_before_those_of_the_shape() -> None:
    shape = parse_shape(made_shape("servicenow-table", {"table": "sc_task"}))
    assert shape.lookup is not None
    for given, table in (({}, "sc_task"), ({"table": "change_request"}, "change_request")):
        known = facts(outcome("success"), DELIVERY, given)
        assert f"/table/{table}?" in question(shape.lookup, known).url
        assert f"/table/{table}/" in str(render(shape, known, {}, FOUND).url)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("itop2",), "did you mean 'itop'?"),
        (("zzz",), "there is cloudevents-binary, "),
        (("gitlab-note",), "needs --set project=VALUE: the project's number"),
        (("gitlab-note", {"project": "group/name"}), "its slash would be written %2F"),
        (("itop", {"clas": "Incident"}), "has no variable 'clas'; did you mean 'class'?"),
        (("slack", {"channel": "x"}), "has no variable 'channel'"),
        (("itop", {}, {"success.stimlus": "x"}), "did you mean 'stimulus'?"),
        (("itop", {}, {"sucess.stimulus": "x"}), "did you mean 'success'?"),
        (("slack", {}, {"success.state": "x"}), "the profile slack does nothing with 'state'"),
        (("redmine", {}, {"success.status_id": "Closed"}), "It is a whole number."),
        (("itop", {}, {"success.public": "1"}), "It is true or false."),
        (("itop", {}, {"success.solution": "{{ secret.x }}"}), "an outcome names no secret"),
        (("itop", {}, {"success.solution": "{{ message"}), "write {{ path }}"),
    ],
)
def test_mistake_is_told_in_words(arguments: Any, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        made_shape(*arguments)


def test_strings_stay_strings_where_the_system_wants_them() -> None:
    made = made_shape("servicenow-table", {}, {"success.state": "6", "failed.public": "true"})
    assert made["outcomes"] == {"success": {"state": "6"}, "failed": {"public": True}}
    assert made_shape("redmine", {}, {"failed.status_id": "3"})["outcomes"] == {
        "failed": {"status_id": 3}
    }


@pytest.mark.parametrize("name", sorted(set(names()) - {"slack", "teams", "cloudevents-binary"}))
def test_order_without_a_reference_goes_nowhere(name: str) -> None:
    shape = shape_of(name)
    if name == "cloudevents-structured":
        assert b'"subject"' not in sent(shape, name, outcome("success", reference=None)).body
        return
    known = facts(outcome("success", reference=None), DELIVERY, {})
    ask: Callable[[], object] = partial(render, shape, known, SECRETS)
    if shape.lookup is not None:
        ask = partial(question, shape.lookup, known)
    with pytest.raises(TemplateFailed, match="needs reference, and the order has none"):
        ask()


@pytest.mark.parametrize("reference", ["12-web-shop", "2026-11-28 nightly", "INC12", "12#1"])
@pytest.mark.parametrize("name", sorted(NUMBERED))
def test_order_whose_reference_is_no_number_goes_nowhere(name: str, reference: str) -> None:
    """Rails takes the digits that a text begins with for the number."""
    with pytest.raises(TemplateFailed, match="reference has to be a number"):
        sent(shape_of(name), name, outcome("success", reference=reference))


def test_profiles_that_ask_for_a_number_are_those_of_the_table() -> None:
    assert {name for name in names() if shape_of(name).digits} == NUMBERED


INTERNAL = {
    "servicenow-table": b"work_notes",
    "jira-cloud-comment": b'"internal":true',
    "jira-cloud-transition": b'"internal":true',
    "jira-dc-comment": b'"internal":true',
    "jira-dc-transition": b'"internal":true',
    "jsm-comment": b'"public":false',
    "zammad": b'"internal":true',
    "itop": b"private_log",
    "glpi-followup": b'"is_private":true',
    "glpi-solution": b'"is_private":true',
    "znuny": b'"IsVisibleForCustomer":0',
    "redmine": b'"private_notes":true',
    "freshservice-note": b'"private":true',
    "zendesk": b'"public":false',
    "gitlab-note": b'"internal":true',
}


@pytest.mark.parametrize("name", INTERNAL)
@pytest.mark.parametrize("state", STATES)
def test_note_is_internal_unless_the_operator_says_public(name: str, state: str) -> None:
    assert INTERNAL[name] in sent(shape_of(name), name, outcome(state)).body
    open_ = shape_of(name, {"public": "true"})
    assert (INTERNAL[name] in sent(open_, name, outcome(state)).body) == (state != "success")


def test_profiles_with_a_public_key_are_those_of_the_table() -> None:
    assert {name for name in names() if "public" in profile(name).outcomes} == set(INTERNAL)


@pytest.mark.parametrize("name", ENDING)
def test_state_without_outcomes_gets_the_note_alone(name: str) -> None:
    for state in ("warning", "failed", "cancelled"):
        ending, plain = shape_of(name, ENDING[name]), shape_of(name)
        assert sent(ending, name, outcome(state)) == sent(plain, name, outcome(state))
