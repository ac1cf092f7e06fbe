"""Receivers by API, and orders that go to them: a test for each answer."""

import json
from typing import Any

import pytest

from kernel.callers import identity, keys
from kernel.callers.receivers import find, newest_shape
from kernel.runtime.kernel import Kernel
from tests.support.clients import Client, client, codes, is_refusal, serve

URL = "https://desk.example/api"
NEW = {"caller": "desk", "name": "one", "url": URL}


@pytest.fixture
def operator(kernel: Kernel) -> Client:
    """An operator's client; there is a caller `desk`."""
    with kernel.write_session() as session:
        now = kernel.clock.now()
        keys.add(session, "desk", now)
        terms = keys.KeyTerms(frozenset({identity.Scope.OPERATOR}))
        key = keys.add(session, "ops", now, terms=terms).api_key
    assert key is not None
    return Client(serve(kernel), key.get_secret_value())


def added(operator: Client, **members: Any) -> Any:
    answer = operator.post("/v1/receivers", json=NEW | members)
    assert answer.status_code == 201, answer.text
    return answer.json["data"]


def test_receiver_is_shown_without_values_when_it_was_added(
    kernel: Kernel, operator: Client
) -> None:
    secret = {"credentials": {"bearer": "hush", "secrets": {"a": "hush"}}}
    made = added(operator, **secret, terms={"schedule": [5, 60]})
    assert made["credentials"] == {"bearer": True, "secrets": ["a"]}
    shown = operator.get("/v1/receivers/desk/one")
    listed = operator.get("/v1/receivers")
    assert (shown.status_code, shown.json["data"]) == (200, made)
    assert listed.json["data"] == {"receivers": [made]}
    assert "hush" not in shown.text + listed.text
    with kernel.read_session() as session:
        assert "hush" in find(session, "desk", "one").credentials.to_json()


def test_receiver_is_changed_where_members_are_given(operator: Client) -> None:
    added(operator, credentials={"bearer": "hush"}, terms={"rate": 5})
    change = {"terms": {"rate": None, "timeout": 3}, "outcomes": {"success": {"state": "6"}}}
    answer = operator.open("PATCH", "/v1/receivers/desk/one", json=change)
    assert answer.status_code == 200
    assert answer.json["data"]["terms"] == {"timeout": 3}
    assert answer.json["data"]["credentials"] == {"bearer": True}


def test_receiver_gets_the_shape_of_its_profile(operator: Client) -> None:
    added(
        operator,
        profile="servicenow-table",
        terms={"variables": {"table": "sc_task"}},
        outcomes={"success": {"state": 6, "close_notes": "done"}},
        credentials={"basic": {"user": "svc", "password": "hush"}},
    )
    wrong = {"profile": "servicenow-tabel"}
    answer = operator.open("PATCH", "/v1/receivers/desk/one", json=wrong)
    assert codes(answer) == [("", "invalid_receiver")]
    assert "servicenow-table" in answer.text
    both = {"profile": "zammad", "shape": {}}
    answer = operator.open("PATCH", "/v1/receivers/desk/one", json=both)
    assert codes(answer) == [("", "invalid_receiver")]


NO_TEXTS = (7, 1.5, True, None, ["a"], {"a": "b"})


@pytest.mark.parametrize("value", NO_TEXTS, ids=repr)
def test_variable_of_a_profile_is_a_text_and_null_none_at_all(operator: Client, value: Any) -> None:
    variables = {"owner": value, "repository": "r"}
    asked: dict[str, Any] = {"profile": "gitea-note", "terms": {"variables": variables}}
    answer = operator.post("/v1/receivers", json=NEW | asked)
    assert codes(answer) == [("", "invalid_receiver")]
    words = "needs --set owner" if value is None else "the variable owner is a text"
    assert words in answer.text


@pytest.mark.parametrize("value", ["6", *NO_TEXTS], ids=repr)
def test_outcome_of_a_profile_is_no_list_and_null_none_at_all(
    kernel: Kernel, operator: Client, value: Any
) -> None:
    outcomes = {"success": {"close_code": value, "close_notes": "done"}, "failed": None}
    asked = {"profile": "servicenow-table", "outcomes": outcomes}
    asked |= {"terms": {"variables": {"table": "incident"}}}
    asked |= {"credentials": {"basic": {"user": "svc", "password": "hush"}}}
    answer = operator.post("/v1/receivers", json=NEW | asked)
    if isinstance(value, list | dict):
        assert codes(answer) == [("", "invalid_receiver")]
        return
    assert answer.status_code == 201, answer.text
    with kernel.read_session() as session:
        version = newest_shape(session, find(session, "desk", "one"))
    assert version is not None
    assert version.shape is not None
    given = json.loads(version.shape)["outcomes"]
    as_text = value if isinstance(value, str) else json.dumps(value)
    closed = {} if value is None else {"close_code": as_text}
    assert given == {"success": {"close_notes": "done"} | closed}


@pytest.mark.parametrize("profile", ["slack", "teams", "itop", "znuny"])
def test_profile_is_refused_without_its_secrets(operator: Client, profile: str) -> None:
    """Every callback would be dead at once: nothing can be made of it."""
    service = {"webservice": "x"} if profile == "znuny" else {}
    asked: dict[str, Any] = {"profile": profile, "terms": {"variables": service}}
    answer = operator.post("/v1/receivers", json=NEW | asked)
    assert codes(answer) == [("", "invalid_receiver")]
    assert "needs the secret" in answer.text
    added(operator)
    answer = operator.open("PATCH", "/v1/receivers/desk/one", json=asked)
    assert codes(answer) == [("", "invalid_receiver")]
    names = {"url": URL, "user": "u", "password": "p"}
    given = asked | {"credentials": {"secrets": names}}
    assert operator.open("PATCH", "/v1/receivers/desk/one", json=given).status_code == 200
    gone = {"credentials": {"secrets": dict.fromkeys(names)}}
    answer = operator.open("PATCH", "/v1/receivers/desk/one", json=gone)
    assert codes(answer) == [("", "invalid_receiver")]


def test_receiver_is_gone_when_it_was_removed(operator: Client) -> None:
    added(operator)
    done = operator.open("DELETE", "/v1/receivers/desk/one")
    assert (done.status_code, done.json["data"]) == (200, {"released": 0})
    assert is_refusal(operator.get("/v1/receivers/desk/one"), 404, "not_found")
    assert is_refusal(operator.open("DELETE", "/v1/receivers/desk/one"), 404, "not_found")


WRONG: dict[str, dict[str, Any]] = {
    "extra_forbidden": {"secret": "hush"},
    "invalid_receiver": {"url": "http://desk.example", "credentials": {"bearer": "hush"}},
    "string_type": {"ca_pem": 7},
}


@pytest.mark.parametrize(("code", "members"), WRONG.items(), ids=WRONG)
def test_receiver_is_refused_without_its_secrets_when_it_is_wrong(
    operator: Client, code: str, members: dict[str, Any]
) -> None:
    answer = operator.post("/v1/receivers", json=NEW | members)
    assert answer.status_code == 422
    assert [one for _, one in codes(answer)] == [code]
    assert "hush" not in answer.text


def test_receiver_is_refused_when_a_kind_of_its_credentials_is_misspelt(operator: Client) -> None:
    answer = operator.post("/v1/receivers", json=NEW | {"credentials": {"bearer_token": "hush"}})
    assert codes(answer) == [("", "invalid_receiver")]
    assert "bearer_token" in answer.text
    assert "hush" not in answer.text
    added(operator, credentials={"bearer": "hush"})
    answer = operator.open("PATCH", "/v1/receivers/desk/one", json={"credentials": {"berer": None}})
    assert codes(answer) == [("", "invalid_receiver")]


def test_shape_is_refused_at_its_member_when_it_is_wrong(operator: Client) -> None:
    answer = operator.post("/v1/receivers", json=NEW | {"shape": {"methods": "PUT"}})
    assert codes(answer) == [("/shape", "invalid_receiver")]
    assert "methods" in answer.text


def test_receiver_is_refused_when_name_or_caller_do_not_fit(operator: Client) -> None:
    added(operator)
    assert is_refusal(operator.post("/v1/receivers", json=NEW), 409, "conflict")
    other = NEW | {"caller": "nobody"}
    assert is_refusal(operator.post("/v1/receivers", json=other), 404, "not_found")
    moved = {"url": "https://evil.example/api"}
    answer = operator.open("PATCH", "/v1/receivers/desk/one", json=moved)
    assert "remove it and add another" in answer.text


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("GET", "/v1/receivers"), ("POST", "/v1/receivers")),
        *((method, "/v1/receivers/desk/one") for method in ("GET", "PATCH", "DELETE")),
    ],
)
def test_receivers_are_the_operators_alone(kernel: Kernel, method: str, path: str) -> None:
    own = client(kernel)
    assert is_refusal(own.open(method, path, json=NEW), 403, "forbidden")
    assert Client(serve(kernel), "kwo_wrong").open(method, path).status_code == 401


def test_order_is_refused_when_its_receiver_is_unknown_or_another_callers(
    kernel: Kernel, operator: Client
) -> None:
    added(operator)
    zammad = client(kernel)
    answer = zammad.submit(callback_url="receiver:one")
    assert codes(answer) == [("/callback_url", "unknown_receiver")]


def test_order_of_a_listed_caller_goes_to_its_receivers_alone(
    kernel: Kernel, operator: Client
) -> None:
    listed = client(kernel, "listed", listed=True)
    added(operator, caller="listed")
    for url in (f"{URL}/x", "receiver:one"):
        assert listed.submit(callback_url=url).status_code == 202, url
    for url in ("https://other.example/", f"{URL}/..;/x", f"{URL}/%2e%2e/x", f"{URL}s"):
        answer = listed.submit(callback_url=url)
        assert codes(answer) == [("/callback_url", "receiver_required")], url


def test_order_keeps_the_name_of_its_receiver_as_it_came(kernel: Kernel, operator: Client) -> None:
    added(operator, caller="ops")
    order_id = operator.submitted(callback_url="receiver:one")
    shown = operator.get(f"/v1/orders/{order_id}").json["data"]
    assert json.dumps(shown).count("receiver:one") == 1
