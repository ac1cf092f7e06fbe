"""The simulated GLPI answers as its documents and source say, by both of its APIs."""

from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.support.simulators.open_trackers import glpi
from tests.support.simulators.tickets import Note

Ask = Callable[..., requests.Response]
GRANT = {
    "grant_type": "password",
    "client_id": "kernel-client",
    "client_secret": "client-secret",
    "username": "svc-kernel",
    "password": "secret",
}
TICKET = "/api.php/Assistance/Ticket/12"


def glpi_login(ask: Ask, to: glpi.GLPI) -> dict[str, str]:
    answer = ask(to, "POST", "/api.php/token", data={**GRANT, "scope": "api"}).json()
    assert answer["expires_in"] == 3600
    return {"Authorization": f"Bearer {answer['access_token']}"}


def test_glpi_token_needs_a_scope_when_asked_for(ask: Ask) -> None:
    with glpi.GLPI() as installation:
        assert ask(installation, "POST", "/api.php/token", data=GRANT).status_code == 400
        client = GRANT | {"grant_type": "client_credentials", "scope": "api"}
        assert ask(installation, "POST", "/api.php/token", data=client).status_code == 400


def test_glpi_solution_is_taken_once_and_refused_with_500_afterwards(ask: Ask) -> None:
    with glpi.GLPI() as installation:
        ticket = installation.open("12")
        login = glpi_login(ask, installation)
        members = {"content": "a &lt; b"}
        path = f"{TICKET}/Timeline/Solution"
        first, second = (
            ask(installation, "POST", path, json=members, headers=login) for _ in range(2)
        )
        assert (first.status_code, second.status_code) == (200, 500)
        assert first.headers["Location"].endswith(first.json()["href"])
        assert second.json()["additional_messages"]
        assert (ticket.state, ticket.texts) == (glpi.SOLVED, ["a < b"])


@pytest.mark.parametrize(
    ("path", "members", "status"),
    [
        (f"{TICKET}/Timeline/Followup", {"content": "done", "is_private": True}, 200),
        ("/api.php/v2.2/Assistance/Ticket/12/Timeline/Followup", {"content": "done"}, 200),
        (f"{TICKET}/Timeline/Followup", {}, 400),
        ("/api.php/Assistance/Ticket/13/Timeline/Followup", {"content": "done"}, 404),
    ],
)
def test_glpi_followup_is_public_unless_private_is_said(
    ask: Ask, path: str, members: Any, status: int
) -> None:
    with glpi.GLPI() as installation:
        ticket = installation.open("12")
        login = glpi_login(ask, installation)
        answer = ask(installation, "POST", path, json=members, headers=login)
        assert answer.status_code == status
        public = [note.is_public for note in ticket.notes]
        assert public == ([not members.get("is_private")] if status == 200 else [])
        installation.tokens.expire()
        refused = ask(installation, "POST", path, json=members, headers=login)
        assert (refused.status_code, refused.json()["title"]) == (400, "Invalid OAuth token")
        assert ask(installation, "POST", path, json=members).status_code == 401


def test_glpi_legacy_session_is_opened_used_and_closed(ask: Ask) -> None:
    with glpi.GLPI() as installation:
        ticket = installation.open("12")
        headers = {"App-Token": "app-token", "Authorization": "user_token user-token"}
        told = ask(installation, "GET", "/apirest.php/initSession", headers=headers).json()
        headers = {"App-Token": "app-token", "Session-Token": told["session_token"]}
        entry = {"itemtype": "Ticket", "items_id": 12, "content": "done", "is_private": 1}
        path = "/apirest.php/ITILFollowup"
        added = ask(installation, "POST", path, json={"input": entry}, headers=headers)
        assert (added.status_code, added.json()["message"]) == (201, "")
        path = "/apirest.php/ITILSolution"
        statuses = [
            ask(installation, "POST", path, json={"input": entry}, headers=headers).status_code
            for _ in range(2)
        ]
        assert statuses == [201, 400]  # a second solution is refused
        shown = ask(installation, "GET", "/apirest.php/Ticket/12", headers=headers).json()
        assert (shown["status"], len(ticket.notes)) == (glpi.SOLVED, 2)
        ask(installation, "GET", "/apirest.php/killSession", headers=headers)
        late = ask(installation, "GET", "/apirest.php/Ticket/12", headers=headers)
        assert (late.status_code, late.json()[0]) == (401, "ERROR_SESSION_TOKEN_INVALID")


@pytest.mark.parametrize(
    ("query", "status", "ids"),
    [
        ("", 206, range(51)),
        ("?range=0-9&order=DESC", 206, range(59, 49, -1)),
        ("?range=0-99", 200, range(60)),
        ("?range=50-99&order=ASC", 206, range(50, 60)),
        ("?range=61-99", 400, None),
    ],
)
def test_glpi_legacy_followups_come_by_ranges_and_the_oldest_first(
    ask: Ask, query: str, status: int, ids: range | None
) -> None:
    with glpi.GLPI() as installation:
        older = {"kind": "Followup", "content": "older"}
        installation.open("12").notes += [Note("older", extra=older) for _ in range(60)]
        installation.sessions.add("session")
        headers = {"App-Token": "app-token", "Session-Token": "session"}
        path = f"/apirest.php/Ticket/12/ITILFollowup{query}"
        answer = ask(installation, "GET", path, headers=headers)
        assert answer.status_code == status
        if ids is None:
            assert answer.json()[0] == "ERROR_RANGE_EXCEED_TOTAL"
        else:
            assert [row["id"] for row in answer.json()] == list(ids)


@pytest.mark.parametrize(
    ("method", "path", "status", "told"),
    [
        ("GET", "/Ticket/99", 404, "ERROR_ITEM_NOT_FOUND"),
        ("PUT", "/Ticket/99", 400, "ERROR_GLPI_UPDATE"),
        ("PUT", "/Ticket/12", 200, {"12": True, "message": ""}),
        ("POST", "/ITILFollowup", 400, "ERROR_GLPI_ADD"),
    ],
)
def test_glpi_legacy_errors_are_arrays_with_a_code(
    ask: Ask, method: str, path: str, status: int, told: Any
) -> None:
    with glpi.GLPI() as installation:
        installation.open("12")
        installation.sessions.add("session")
        headers = {"App-Token": "app-token", "Session-Token": "session"}
        members = {"input": {"status": 2}}
        answer = ask(installation, method, f"/apirest.php{path}", json=members, headers=headers)
        assert (answer.status_code, answer.json()[0]) == (status, told)
        wrong = ask(installation, method, f"/apirest.php{path}", json=members)
        assert wrong.json()[0] == "ERROR_WRONG_APP_TOKEN_PARAMETER"
        installation.next(glpi.partly_failed)
        assert ask(installation, method, f"/apirest.php{path}", json=members).status_code == 207
