"""`kernel receivers` as an operator uses it."""

import json
from pathlib import Path
from typing import Any

import pytest

from kernel.callers.receivers import find, newest_shape
from kernel.db.tables.callers import Caller
from tests.support.people.terminal import Terminal

URL = "https://desk.example/api"


@pytest.fixture
def desk(terminal: Terminal) -> Terminal:
    """The command line, with one caller beside anonymous."""
    terminal.run("callers", "add", "desk")
    return terminal


def test_secrets_are_asked_for_in_order_and_never_shown(desk: Terminal) -> None:
    options = ("--basic", "svc", "--header", "X-Key", "--sn-hmac", "--secret", "token")
    done = desk.run("receivers", "add", "one", "--url", URL, *options, stdin="s-1\ns-2\ns-3\ns-4\n")
    found = desk.json("receivers", "show", "one")
    shown = desk.run("receivers", "show", "one").output + desk.run("receivers", "list").output
    with desk.kernel.read_session() as session:
        stored = json.loads(find(session, "desk", "one").credentials.to_json())
    assert found["credentials"] == {
        **{"basic": True, "sn_hmac": True},
        **{"headers": ["X-Key"], "secrets": ["token"]},
    }
    assert stored == {
        "basic": {"user": "svc", "password": "s-1"},
        **{"headers": {"X-Key": "s-2"}, "sn_hmac": "s-3", "secrets": {"token": "s-4"}},
    }
    assert "s-1" not in done.output + shown + json.dumps(found)


def test_terms_are_given_and_shown_in_words(desk: Terminal) -> None:
    options = ("--schedule", "5s, 1m,5m", "--give-up", "2d", "--timeout", "20s", "--rate", "30")
    desk.run("receivers", "add", "one", "--url", URL, *options, "--set", "table=incident")
    (found,) = desk.json("receivers", "list")
    assert found["terms"] == {
        **{"schedule": [5, 60, 300], "give_up": 172800, "timeout": 20, "rate": 30},
        "variables": {"table": "incident"},
    }
    assert "5s, 1m, 5m" in desk.run("receivers", "show", "one").stdout


def test_login_takes_the_place_of_another_when_it_is_set(desk: Terminal) -> None:
    desk.run("receivers", "add", "one", "--url", URL, "--bearer", stdin="t\n")
    oauth = ("--oauth", "https://token.example/t", "--client-id", "c", "--password-grant", "svc")
    desk.run("receivers", "set", "one", *oauth, stdin="s-1\ns-2\n")
    assert desk.json("receivers", "show", "one")["credentials"] == {"oauth2": True}
    desk.run("receivers", "set", "one", "--header", "Authorization", stdin="Basic a2V5Olg=\n")
    assert desk.json("receivers", "show", "one")["credentials"] == {"headers": ["Authorization"]}


@pytest.mark.parametrize("name", ["x-api-key", "X-API-Key", "X-Api-Key"])
def test_header_is_replaced_and_removed_by_its_name_in_any_case(desk: Terminal, name: str) -> None:
    desk.run("receivers", "add", "one", "--url", URL, "--header", "X-Api-Key", stdin="old\n")
    desk.run("receivers", "set", "one", "--header", name, stdin="new\n")
    with desk.kernel.read_session() as session:
        headers = find(session, "desk", "one").credentials.headers
    assert {one: value.get_secret_value() for one, value in headers.items()} == {name: "new"}
    desk.run("receivers", "set", "one", "--no-header", name.swapcase())
    assert desk.json("receivers", "show", "one")["credentials"] == {}
    both = ("--header", name, "--header", name.swapcase())
    done = desk.run("receivers", "set", "one", *both, stdin="a\nb\n", exit_code=2)
    assert "the header x-api-key is given twice" in done.stderr


def test_shape_is_taken_from_a_file_and_outcomes_are_added(desk: Terminal, tmp_path: Path) -> None:
    (tmp_path / "shape.json").write_text('{"method": "PUT"}')
    desk.run("receivers", "add", "one", "--url", URL, "--shape", str(tmp_path / "shape.json"))
    desk.run("receivers", "set", "one", "--outcome", "success.state=6")
    (tmp_path / "shape.json").write_text('{"methods": "PUT"}')
    wrong = ("receivers", "set", "one", "--shape", str(tmp_path / "shape.json"))
    assert "methods" in desk.run(*wrong, exit_code=2).stderr


WRONG = {
    ("--schedule", "5 weeks"): "no duration",
    ("--schedule", "1h", "--give-up", "5m"): "outlasts",
    ("--set", "a"): "NAME=VALUE",
    ("--outcome", "a=b"): "STATE.KEY=VALUE",
    ("--oauth", "https://token.example/t"): "needs --client-id",
    ("--client-cert", __file__): "--client-key",
    ("--shape", __file__): "is no JSON",
}


@pytest.mark.parametrize("written", [b"0\x82\x03\xf7", "-----BEGIN".encode("utf-16")])
@pytest.mark.parametrize("options", [("--ca",), ("--client-cert", "--client-key")])
def test_file_that_is_no_pem_is_refused_as_such(
    desk: Terminal, tmp_path: Path, options: tuple[str, ...], written: bytes
) -> None:
    (tmp_path / "a.cer").write_bytes(written)
    files = [part for option in options for part in (option, str(tmp_path / "a.cer"))]
    done = desk.run("receivers", "add", "one", "--url", URL, *files, exit_code=2)
    assert "holds no certificate in PEM form" in done.stderr


def test_shape_is_read_from_a_file_that_begins_with_a_mark(desk: Terminal, tmp_path: Path) -> None:
    (tmp_path / "shape.json").write_text('{"method": "PUT"}', "utf-8-sig")
    desk.run("receivers", "add", "one", "--url", URL, "--shape", str(tmp_path / "shape.json"))


@pytest.mark.parametrize(("options", "why"), WRONG.items(), ids=WRONG.values())
def test_option_is_refused_in_words_when_it_is_wrong(
    desk: Terminal, options: tuple[str, ...], why: str
) -> None:
    done = desk.run("receivers", "add", "one", "--url", URL, *options, exit_code=2)
    assert why in done.stderr
    assert desk.json("receivers", "list") == []


def test_caller_has_to_be_said_when_there_are_several(desk: Terminal) -> None:
    desk.run("callers", "add", "other")
    assert "--caller" in desk.run("receivers", "add", "one", "--url", URL, exit_code=2).stderr
    for caller in ("desk", "other"):
        desk.run("receivers", "add", "one", "--caller", caller, "--url", URL)
    assert "desk, other" in desk.run("receivers", "show", "one", exit_code=2).stderr
    desk.run("receivers", "remove", "one", "--caller", "other")
    assert desk.json("receivers", "show", "one")["caller"] == "desk"
    assert "no receiver named two" in desk.run("receivers", "show", "two", exit_code=1).stderr


def test_caller_is_marked_for_ever_once_it_had_a_receiver(desk: Terminal) -> None:
    desk.run("receivers", "add", "one", "--url", URL)
    desk.run("receivers", "remove", "one")
    with desk.kernel.read_session() as session:
        marked = {one.name: one.has_receivers for one in session.query(Caller)}
    assert marked == {"anonymous": False, "desk": True}
    assert desk.json("receivers", "adopt", "desk") == {"confirmed": [], "left": [], "released": 0}


# ---- Profiles ---------------------------------------------------------------------------------


def test_profile_makes_the_shape_with_its_variables_and_outcomes(desk: Terminal) -> None:
    options = ("--profile", "servicenow-table", "--set", "table=sc_task", "--basic", "svc")
    outcomes = ("--outcome", "success.state=6", "--outcome", "failed.public=true")
    desk.run("receivers", "add", "one", "--url", URL, *options, *outcomes, stdin="s\n")
    with desk.kernel.read_session() as session:
        version = newest_shape(session, find(session, "desk", "one"))
    assert version is not None
    shape = json.loads(version.shape or "")
    assert shape["variables"] == {"table": "sc_task"}
    assert shape["outcomes"] == {"success": {"state": "6"}, "failed": {"public": True}}


HOOKS = "https://hooks.example/services"


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        ("https://hooks.example/T1/B1/hush", f"the secret url is not below {HOOKS}"),
        ("https://hooks.example/servicesT1/B1/hush", f"the secret url is not below {HOOKS}"),
        ("https://hooks.example.net/services/hush", f"the secret url is not below {HOOKS}"),
        ("http://hooks.example/services/hush", f"the secret url is not below {HOOKS}"),
        ("https://hooks.example/services//hush", "the path has an empty segment"),
        ("https://hooks.example/services/hu sh", "the secret url cannot be sent to"),
        ("hush", "the secret url cannot be sent to"),
    ],
)
def test_secret_url_is_refused_when_nothing_would_be_sent_there(
    desk: Terminal, secret: str, why: str
) -> None:
    asked = ("one", "--url", HOOKS, "--profile", "slack", "--secret", "url")
    done = desk.run("receivers", "add", *asked, stdin=f"{secret}\n", exit_code=2)
    assert why in done.stderr
    assert "hush" not in done.stderr
    desk.run("receivers", "add", *asked, stdin=f"{HOOKS}/T1/B1/hush\n")
    again = ("receivers", "set", "one", "--secret", "url")
    assert why in desk.run(*again, stdin=f"{secret}\n", exit_code=2).stderr


ELSEWHERE = "https://other.example/{{ reference }}"
LOOKUP = {"url": ELSEWHERE, "match": "number", "equals": "{{ reference }}", "value": "id"}


@pytest.mark.parametrize(
    "shape",
    [
        {"url": ELSEWHERE},
        {"url": "https://other.example"},
        {"url": {"if": "error", "then": "/a", "else": ELSEWHERE}},
        {"url": "/a/{{ found }}", "lookup": LOOKUP},
    ],
)
def test_shape_is_refused_that_leads_elsewhere_than_its_receiver(
    desk: Terminal, tmp_path: Path, shape: dict[str, Any]
) -> None:
    file = tmp_path / "shape.json"
    file.write_text(json.dumps(shape))
    add = ("receivers", "add", "one", "--shape", str(file), "--url")
    refused = desk.run(*add, URL, exit_code=2).stderr
    assert "https://other.example in the shape is elsewhere than https://desk.example" in refused
    desk.run(*add, "https://other.example/")


def test_outcome_that_is_set_to_false_is_not_true_in_templates(desk: Terminal) -> None:
    options = ("--profile", "servicenow-table", "--basic", "svc")
    desk.run("receivers", "add", "one", "--url", URL, *options, stdin="s\n")
    desk.run("receivers", "set", "one", "--outcome", "failed.public=false")
    with desk.kernel.read_session() as session:
        version = newest_shape(session, find(session, "desk", "one"))
    assert version is not None
    assert json.loads(version.shape or "")["outcomes"] == {"failed": {"public": False}}


def test_key_of_an_outcome_is_refused_with_which_the_shape_does_nothing(desk: Terminal) -> None:
    options = ("--profile", "servicenow-table", "--basic", "svc")
    desk.run("receivers", "add", "one", "--url", URL, *options, stdin="s\n")
    wrong = ("receivers", "set", "one", "--outcome", "success.closecode=Solved")
    why = "does nothing with success.closecode; did you mean close_code?"
    assert why in desk.run(*wrong, exit_code=2).stderr
    desk.run("receivers", "set", "one", "--outcome", "success.close_code=Solved")


def test_variable_is_refused_which_the_shape_does_not_place(desk: Terminal) -> None:
    options = ("--profile", "servicenow-table", "--basic", "svc")
    desk.run("receivers", "add", "one", "--url", URL, *options, stdin="s\n")
    wrong = ("receivers", "set", "one", "--set", "tabel=sc_task")
    why = "does nothing with the variable tabel; did you mean table?"
    assert why in desk.run(*wrong, exit_code=2).stderr
    desk.run("receivers", "set", "one", "--set", "table=sc_task")
    assert desk.json("receivers", "show", "one")["terms"]["variables"] == {"table": "sc_task"}


@pytest.mark.parametrize(
    "shape",
    [
        {"needs": ["receiver.team"], "body": {"to": "{{ receiver.other }}"}},
        {"digits": ["receiver.team"], "body": {"to": "{{ receiver.other }}"}},
        {"body": {"all": "{{ receiver }}", "to": "{{ receiver.other }}"}},
    ],
)
def test_variable_is_taken_that_the_shape_needs_or_sends_with_all_others(
    desk: Terminal, tmp_path: Path, shape: dict[str, Any]
) -> None:
    file = tmp_path / "shape.json"
    file.write_text(json.dumps(shape))
    desk.run("receivers", "add", "one", "--url", URL, "--shape", str(file), "--set", "team=x")
    assert desk.json("receivers", "show", "one")["terms"]["variables"] == {"team": "x"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--profile", "servicenow"), "there is no profile 'servicenow'"),
        (("--profile", "itop", "--secret", "user"), "needs the secret password"),
        (("--profile", "gitlab-note"), "the profile gitlab-note needs --set project=VALUE"),
        (("--profile", "redmine", "--outcome", "success.status_id=x"), "success.status_id=x"),
        (("--profile", "redmine", "--outcome", "success.state=1"), "does nothing with 'state'"),
        (
            ("--profile", "redmine", "--shape", "pyproject.toml"),
            "--profile or --shape, not both",
        ),
    ],
)
def test_profile_that_cannot_work_is_refused_in_words(
    desk: Terminal, options: tuple[str, ...], words: str
) -> None:
    done = desk.run("receivers", "add", "one", "--url", URL, *options, exit_code=2, stdin="s\n")
    assert words in done.stderr
    assert desk.json("receivers", "list") == []


def test_profile_is_set_for_the_secrets_that_a_receiver_has(desk: Terminal) -> None:
    secrets = ("--secret", "user", "--secret", "password")
    desk.run("receivers", "add", "one", "--url", URL, *secrets, stdin="u\np\n")
    desk.run("receivers", "set", "one", "--profile", "itop")
    done = desk.run("receivers", "set", "one", "--no-secret", "password", exit_code=2)
    assert "needs the secret password" in done.stderr
    assert desk.json("receivers", "show", "one")["credentials"] == {"secrets": ["password", "user"]}
