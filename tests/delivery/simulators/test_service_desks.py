"""The simulated Freshservice and Zendesk answer as their documents say."""

from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.support.simulators.service_desks import freshservice, zendesk

Ask = Callable[..., requests.Response]


@pytest.mark.parametrize(
    ("method", "path", "members", "status"),
    [
        ("POST", "/7/notes", {"body": "<p>done</p>", "private": True}, 201),
        ("POST", "/7/notes", {"private": True}, 400),
        ("POST", "/8/notes", {"body": "done"}, 404),
        ("PUT", "/7", {"status": 4, "resolution_notes": "done"}, 200),
        ("PUT", "/7", {"status": 4}, 400),
    ],
)
def test_freshservice_counts_each_call_and_names_wrong_fields(
    ask: Ask, method: str, path: str, members: Any, status: int
) -> None:
    with freshservice.Freshservice() as account:
        ticket = account.open("7")
        path = f"/api/v2/tickets{path}"
        answer = ask(account, method, path, json=members, auth=("fresh-key", "X"))
        assert answer.status_code == status
        assert answer.headers["X-RateLimit-Remaining"] == "139"
        assert len(ticket.notes) == int(status == 201)
        assert ticket.state == (4 if status == 200 else 2)
        if status == 400:
            assert answer.json()["description"] == "Validation failed"
        assert ask(account, method, path, json=members, auth=("wrong", "X")).status_code == 401


@pytest.mark.parametrize(
    ("number", "members", "status", "notes"),
    [
        ("7", {"comment": {"body": "a <b>c</b>", "public": False}}, 200, [("a c", False)]),
        ("7", {"comment": {"html_body": "<b>c</b>"}}, 200, [("<b>c</b>", True)]),
        ("7", {"comment": {"html_body": "[a](b)"}}, 200, [("[a](b)", True)]),
        ("7", {"comment": {"body": "![a](b)"}}, 200, [('<img alt="a" src="b">', True)]),
        ("7", {"comment": {"body": "[a](b)"}}, 200, [('<a href="b">a</a>', True)]),
        ("8", {}, 404, []),
    ],
)
def test_zendesk_comment_is_public_unless_told_otherwise(
    ask: Ask, number: str, members: Any, status: int, notes: Any
) -> None:
    with zendesk.Zendesk() as account:
        ticket = account.open("7")
        login = ("kernel@example.com/token", "zendesk-token")
        path = f"/api/v2/tickets/{number}"
        answer = ask(account, "PUT", path, json={"ticket": members}, auth=login)
        assert answer.status_code == status
        assert [(n.text, n.is_public) for n in ticket.notes] == notes


def test_zendesk_refuses_every_update_when_the_ticket_is_closed(ask: Ask) -> None:
    with zendesk.Zendesk() as account:
        ticket = account.open("7")
        login = ("kernel@example.com/token", "zendesk-token")
        for state, status in (("solved", 200), ("closed", 200), ("open", 422)):
            members = {"ticket": {"status": state, "comment": {"body": "a"}}}
            answer = ask(account, "PUT", "/api/v2/tickets/7.json", json=members, auth=login)
            assert answer.status_code == status
        assert answer.json()["error"] == "RecordInvalid"
        assert (ticket.state, len(ticket.notes)) == ("closed", 2)
        account.next(zendesk.collision)
        assert ask(account, "PUT", "/api/v2/tickets/7", json={}, auth=login).status_code == 409
