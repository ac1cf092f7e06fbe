"""The simulated ServiceNow answers as its documents say."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from tests.support.simulators.server import Fault
from tests.support.simulators.service_desks import servicenow

Ask = Callable[..., requests.Response]
INCIDENTS = "/api/now/table/incident"


@pytest.fixture
def instance() -> Iterator[servicenow.ServiceNow]:
    with servicenow.ServiceNow() as started:
        started.open("INC0010001")
        started.open("INC0010002")
        yield started


def find(ask: Ask, instance: servicenow.ServiceNow, query: str, version: str = "") -> Any:
    path = f"/api/now{version}/table/incident?sysparm_query={query}&sysparm_limit=2"
    path += "&sysparm_fields=sys_id,number"
    answer = ask(instance, "GET", path, auth=("svc-kernel", "secret"))
    return answer.status_code, [row["number"] for row in answer.json().get("result", [])]


@pytest.mark.parametrize(
    ("query", "version", "is_strict", "found"),
    [
        ("number=INC0010001", "", False, (200, ["INC0010001"])),
        ("number=INC0099999", "", False, (200, [])),
        ("number=INC0099999", "/v2", False, (200, [])),
        ("number=INC0099999", "/v1", False, (404, [])),
        ("nummer=INC0010001", "", False, (200, ["INC0010001", "INC0010002"])),
        ("nummer=INC0010001", "", True, (200, [])),
        ("number=INC0010001^state=7", "", False, (200, [])),
    ],
)
def test_servicenow_finds_rows_by_a_query_as_documented(
    ask: Ask, instance: servicenow.ServiceNow, query: str, version: str, is_strict: bool, found: Any
) -> None:
    instance.is_strict = is_strict
    assert find(ask, instance, query, version) == found


@pytest.mark.parametrize(
    ("fault", "numbers"),
    [
        (servicenow.no_rows, []),
        (servicenow.two_rows, ["INC0010001", "INC0010001"]),
        (servicenow.unrelated_row, ["INC9999999"]),
    ],
)
def test_servicenow_lookup_goes_wrong_when_told(
    ask: Ask, instance: servicenow.ServiceNow, fault: Fault, numbers: list[str]
) -> None:
    instance.next(fault)
    assert find(ask, instance, "number=INC0010001") == (200, numbers)


@pytest.mark.parametrize(
    ("members", "status", "state", "notes"),
    [
        ({"work_notes": "done"}, 200, "2", [("done", False)]),
        ({"comments": "done"}, 200, "2", [("done", True)]),
        ({"comments": "<i>[Code]<b>[/code]"}, 200, "2", [("&lt;i&gt;<b>", True)]),
        ({"state": "6", "work_notes": "done"}, 403, "2", []),
        (
            {"state": "6", "close_code": "c", "close_notes": "n", "work_notes": "done"},
            200,
            "6",
            [("done", False)],
        ),
    ],
)
def test_servicenow_record_takes_notes_and_state_in_one_call(
    ask: Ask, instance: servicenow.ServiceNow, members: Any, status: int, state: str, notes: Any
) -> None:
    ticket = instance.tickets["INC0010001"]
    answer = ask(
        instance, "PATCH", f"{INCIDENTS}/{ticket.id}", json=members, auth=("svc-kernel", "secret")
    )
    assert answer.status_code == status
    assert (ticket.state, [(n.text, n.is_public) for n in ticket.notes]) == (state, notes)
    if status == 200:  # a journal is told empty, also when just written
        assert answer.json()["result"]["work_notes"] == ""
    else:
        assert "Data Policy Exception" in answer.json()["error"]["detail"]


@pytest.mark.parametrize(
    ("path", "given", "status", "message"),
    [
        (f"{INCIDENTS}/{'0' * 32}", {"json": {}}, 404, "No Record found"),
        ("/api/now/tables/incident", {}, 400, "Requested URI"),
        (INCIDENTS + "/{id}", {"data": b"{"}, 400, "Exception while reading request"),
        (INCIDENTS + "/{id}", {"json": {}, "auth": ("svc-kernel", "wrong")}, 401, "User Not Auth"),
        (INCIDENTS + "/{id}", {"json": {}, "auth": None}, 401, "User Not Authenticated"),
    ],
)
def test_servicenow_refuses_with_an_error_and_failure(
    ask: Ask, instance: servicenow.ServiceNow, path: str, given: Any, status: int, message: str
) -> None:
    path = path.format(id=instance.tickets["INC0010001"].id)
    answer = ask(instance, "PATCH", path, **{"auth": ("svc-kernel", "secret"), **given})
    assert (answer.status_code, answer.json()["status"]) == (status, "failure")
    assert answer.json()["error"]["message"].startswith(message)


def test_servicenow_keeps_back_the_body_when_asked(
    ask: Ask, instance: servicenow.ServiceNow
) -> None:
    path = f"{INCIDENTS}/{instance.tickets['INC0010001'].id}"
    headers = {"X-no-response-body": "true"}
    answer = ask(instance, "PATCH", path, json={}, headers=headers, auth=("svc-kernel", "secret"))
    assert (answer.status_code, answer.content) == (200, b"")


PASSWORD_GRANT = {
    "grant_type": "password",
    "client_id": "kernel-client",
    "client_secret": "client-secret",
    "username": "svc-kernel",
    "password": "secret",
}


def test_servicenow_token_serves_until_it_expires(
    ask: Ask, instance: servicenow.ServiceNow
) -> None:
    def status(token: str) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        return ask(instance, "GET", INCIDENTS, headers=headers).status_code

    first = ask(instance, "POST", "/oauth_token.do", data=PASSWORD_GRANT).json()
    assert (first["token_type"], first["expires_in"]) == ("Bearer", 1799)
    assert status(first["access_token"]) == 200
    instance.tokens.expire()
    assert status(first["access_token"]) == 401
    second = ask(instance, "POST", "/oauth_token.do", data=PASSWORD_GRANT).json()
    assert status(second["access_token"]) == 200


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"grant_type": "client_credentials"}, 200),
        ({"grant_type": "refresh_token"}, 400),
        ({"client_secret": "wrong"}, 401),
        ({"password": "wrong"}, 401),
    ],
)
def test_servicenow_token_is_given_for_the_right_login_only(
    ask: Ask, instance: servicenow.ServiceNow, change: dict[str, str], status: int
) -> None:
    answer = ask(instance, "POST", "/oauth_token.do", data=PASSWORD_GRANT | change)
    assert answer.status_code == status
    assert ("access_token" in answer.json()) == (status == 200)


@pytest.mark.parametrize(
    ("form", "status"),
    [("KEYID=kernel-key,SIGNATURE={}", 200), ("{}", 200), ("KEYID=other,SIGNATURE={}", 401)],
)
def test_servicenow_script_takes_a_delivery_once_when_it_is_signed(
    ask: Ask, instance: servicenow.ServiceNow, form: str, status: int
) -> None:
    members = {"number": "INC0010001", "text": "done", "delivery_id": "01a1"}
    body = json.dumps(members).encode()
    made = hmac.new(b"hmac-secret", body, hashlib.sha256).digest()
    headers = {"x-sn-hmac-signature-256": form.format(base64.b64encode(made).decode())}
    for _ in range(2):
        answer = ask(instance, "POST", "/api/x_acme/kernel/callback", data=body, headers=headers)
        assert answer.status_code == status
    assert instance.tickets["INC0010001"].texts == ["done"] * (status == 200)
    answer = ask(instance, "POST", "/api/x_acme/kernel/callback", data=b"{}", headers=headers)
    assert answer.status_code == 401
