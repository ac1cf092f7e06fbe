"""The simulated Zammad, iTop, Znuny and Redmine answer as their sources and documents say."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from tests.support.simulators.open_trackers import itop, redmine, zammad, znuny
from tests.support.simulators.server import Fault

Ask = Callable[..., requests.Response]
ZAMMAD = {"Authorization": "Token token=zammad-token", "Accept": "application/json"}


@pytest.fixture
def desk() -> Iterator[zammad.Zammad]:
    with zammad.Zammad() as started:
        started.open("22001")
        started.open("220011")
        yield started


IS = "condition%5Bticket.number%5D%5Boperator%5D=is&condition%5Bticket.number%5D%5Bvalue%5D="


@pytest.mark.parametrize(
    ("query", "has_index", "found"),
    [
        ("query=number:22001", True, ["22001", "220011"]),
        ("query=number:220011", True, ["220011"]),
        ("query=number:9", True, []),
        ("query=number:22001", False, []),
        ("query=2001", False, ["22001", "220011"]),
        (f"{IS}22001", True, ["22001"]),
        (f"{IS}22001", False, ["22001"]),
        (f"{IS}9", False, []),
        ("", False, ["22001", "220011"]),
    ],
)
def test_zammad_search_finds_more_or_less_than_was_asked_for_except_by_a_condition(
    ask: Ask, desk: zammad.Zammad, query: str, has_index: bool, found: list[str]
) -> None:
    desk.has_index = has_index
    path = f"/api/v1/tickets/search?expand=true&limit=2&{query}"
    answer = ask(desk, "GET", path, headers=ZAMMAD)
    assert [row["number"] for row in answer.json()] == found
    bare = ask(desk, "GET", f"/api/v1/tickets/search?{IS}220011", headers=ZAMMAD)
    assert bare.json() == {"tickets": [42], "assets": {}}


def test_zammad_search_misses_a_ticket_when_the_index_lags(ask: Ask, desk: zammad.Zammad) -> None:
    desk.unindexed.add("22001")
    for query, found in (("query=number:22001", "220011"), (f"{IS}22001", "22001")):
        path = f"/api/v1/tickets/search?expand=true&{query}"
        assert [row["number"] for row in ask(desk, "GET", path, headers=ZAMMAD).json()] == [found]


@pytest.mark.parametrize(
    ("members", "status"),
    [
        ({"state": "closed", "article": {"body": "done", "internal": True}}, 200),
        ({"state": "closed", "article": {"subject": "no body"}}, 422),
        ({"state": "shut", "article": {"body": "done"}}, 422),
        ({"state": "pending close", "article": {"body": "done"}}, 422),
    ],
)
def test_zammad_writes_note_and_state_or_neither(
    ask: Ask, desk: zammad.Zammad, members: Any, status: int
) -> None:
    answer = ask(desk, "PUT", "/api/v1/tickets/41", json=members, headers=ZAMMAD)
    assert answer.status_code == status
    ticket = desk.tickets["22001"]
    wanted = ("closed", ["done"]) if status == 200 else ("open", [])
    assert (ticket.state, ticket.texts) == wanted
    articles = ask(desk, "GET", "/api/v1/ticket_articles/by_ticket/41", headers=ZAMMAD).json()
    assert [one["body"] for one in articles] == wanted[1]


@pytest.mark.parametrize("is_agent", [True, False])
def test_zammad_note_is_seen_by_the_customer_when_the_user_is_no_agent(
    ask: Ask, desk: zammad.Zammad, is_agent: bool
) -> None:
    desk.is_agent = is_agent
    members = {"article": {"body": "done", "internal": True}}
    ask(desk, "PUT", "/api/v1/tickets/41", json=members, headers=ZAMMAD)
    assert [note.is_public for note in desk.tickets["22001"].notes] == [not is_agent]


def test_zammad_error_is_a_page_when_json_was_not_asked_for(ask: Ask, desk: zammad.Zammad) -> None:
    for accept, kind in (("*/*", "text/html"), ("application/json", "application/json")):
        answer = ask(desk, "PUT", "/api/v1/tickets/9", headers={**ZAMMAD, "Accept": accept})
        assert answer.status_code == 404
        assert answer.headers["Content-Type"].startswith(kind)
    answer = ask(desk, "PUT", "/api/v1/tickets/41", headers={"Accept": "application/json"})
    assert (answer.status_code, answer.headers["X-Failure"]) == (403, "Authentication required")


ITOP_NOTE = {
    "operation": "core/update",
    "comment": "kernel",
    "class": "UserRequest",
    "key": {"ref": "R-000123"},
    "fields": {"private_log": {"add_item": {"message": "<b>done</b>", "format": "text"}}},
}
RESOLVE = {
    "operation": "core/apply_stimulus",
    "stimulus": "ev_resolve",
    "fields": {**ITOP_NOTE["fields"], "solution": "s"},  # type: ignore[dict-item]
}


def operate(ask: Ask, to: itop.ITop, change: dict[str, Any], **form: str) -> Any:
    form = {"auth_user": "kernel", "auth_pwd": "secret", **form}
    form.setdefault("json_data", json.dumps({**ITOP_NOTE, **change}))
    answer = ask(to, "POST", "/webservices/rest.php?version=1.3", data=form)
    assert answer.status_code == 200  # to everything
    return answer.json()


@pytest.mark.parametrize(
    ("change", "form", "code", "message"),
    [
        ({}, {}, 0, ""),
        ({}, {"auth_pwd": "wrong"}, 1, "Invalid login"),
        ({}, {"json_data": "{"}, 4, "not a valid JSON"),
        ({"operation": "core/nothing"}, {}, 11, "Unknown verb"),
        ({"key": {"ref": "R-9"}}, {}, 100, "No item found"),
        ({"key": {"class": "x"}}, {}, 100, "Several items found (2)"),
        ({**RESOLVE, "fields": ITOP_NOTE["fields"]}, {}, 100, "Missing mandatory"),
        ({**RESOLVE, "stimulus": "ev_close"}, {}, 100, "Invalid stimulus: 'ev_close'"),
    ],
)
def test_itop_answers_200_to_everything_with_a_code(
    ask: Ask, change: Any, form: dict[str, str], code: int, message: str
) -> None:
    with itop.ITop() as installation:
        ticket = installation.open("R-000123")
        installation.open("R-000124")
        answer = operate(ask, installation, change, **form)
        assert answer["code"] == code
        assert message in answer["message"]
        assert bool(answer.get("objects")) == (code == 0)
        assert ticket.texts == (["<b>done</b>"] if code == 0 else [])


def test_itop_refuses_a_stimulus_that_was_applied_and_saves_nothing(ask: Ask) -> None:
    with itop.ITop() as installation:
        ticket = installation.open("R-000123")
        answers = [operate(ask, installation, RESOLVE) for _ in range(2)]
        assert [answer["code"] for answer in answers] == [0, 100]
        assert "in state 'resolved'" in answers[1]["message"]
        assert (ticket.state, len(ticket.notes)) == ("resolved", 1)


@pytest.mark.parametrize(("fault", "code"), [(itop.no_objects, 0), (itop.database_trouble, 100)])
def test_itop_fails_inside_200_when_told(ask: Ask, fault: Fault, code: int) -> None:
    with itop.ITop() as installation:
        ticket = installation.open("R-000123")
        installation.next(fault)
        answer = operate(ask, installation, {})
        assert (answer["code"], answer.get("objects")) == (code, None)
        assert ticket.notes == []


def test_itop_message_is_html_unless_its_format_is_text(ask: Ask) -> None:
    with itop.ITop() as installation:
        ticket = installation.open("R-000123")
        entry = {"message": "<b>a &lt; b</b>"}
        operate(ask, installation, {"fields": {"private_log": {"add_item": entry}}})
        assert ticket.texts == ["a < b"]


ZNUNY = "/znuny/nph-genericinterface.pl/Webservice/kernel/ticket"
ARTICLE = {"Subject": "kernel", "Body": "done", "ContentType": "text/plain; charset=utf8"}
UPDATE = {"UserLogin": "kernel", "Password": "secret", "TicketNumber": "2026", "Article": ARTICLE}


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"Ticket": {"State": "closed successful"}}, None),
        ({"Password": "wrong"}, "TicketUpdate.AuthFail"),
        ({"TicketNumber": "9"}, "TicketUpdate.AccessDenied"),
        ({"Ticket": {"State": "shut"}}, "TicketUpdate.InvalidParameter"),
        ({"Article": {"Subject": "kernel"}}, "TicketUpdate.MissingParameter"),
    ],
)
def test_znuny_error_stands_in_the_body_of_a_200(ask: Ask, change: Any, error: str | None) -> None:
    with znuny.Znuny() as installation:
        ticket = installation.open("2026")
        answer = ask(installation, "POST", ZNUNY, json={**UPDATE, **change})
        assert answer.status_code == 200
        assert answer.json().get("Error", {}).get("ErrorCode") == error
        assert ticket.texts == ([] if error else ["done"])
        assert ticket.state == ("open" if error else "closed successful")
        assert [note.is_public for note in ticket.notes] == [False] * len(ticket.notes)


def test_znuny_answers_500_with_a_fault_when_the_json_is_bad(ask: Ask) -> None:
    with znuny.Znuny() as installation:
        answer = ask(installation, "POST", ZNUNY, data=b"{")
        assert (answer.status_code, answer.json()["faultcode"]) == (500, "Server")


KEY = {"X-Redmine-API-Key": "redmine-key"}


@pytest.mark.parametrize(
    ("members", "state", "notes"),
    [
        ({"notes": "done", "private_notes": True}, redmine.NEW, [("done", False)]),
        ({"notes": "done", "status_id": 3}, redmine.RESOLVED, [("done", True)]),
        ({"notes": "done", "status_id": "3"}, redmine.RESOLVED, [("done", True)]),
        ({"notes": "done", "status_id": 5}, redmine.NEW, [("done", True)]),
    ],
)
def test_redmine_drops_a_forbidden_status_in_silence(
    ask: Ask, members: Any, state: int, notes: Any
) -> None:
    with redmine.Redmine() as installation:
        ticket = installation.open("12")
        answer = ask(installation, "PUT", "/issues/12.json", json={"issue": members}, headers=KEY)
        assert (answer.status_code, answer.content) == (204, b"")
        assert (ticket.state, [(n.text, n.is_public) for n in ticket.notes]) == (state, notes)
        path = "/issues/12.json?include=journals"
        shown = ask(installation, "GET", path, headers=KEY).json()["issue"]
        assert (shown["status"]["id"], len(shown["journals"])) == (state, 1)


@pytest.mark.parametrize(
    ("path", "given", "status"),
    [
        ("/issues/99.json", {}, 404),
        ("/issues/12.json", {"headers": {}}, 401),
        ("/issues/12", {}, 302),
        ("/issues/12.json", {"json": {"issue": {"lock_version": 9}}}, 422),
    ],
)
def test_redmine_refuses_as_its_source_says(ask: Ask, path: str, given: Any, status: int) -> None:
    with redmine.Redmine() as installation:
        installation.open("12")
        given = {"json": {"issue": {"notes": "done"}}, "headers": KEY, **given}
        answer = ask(installation, "PUT", path, **given)
        assert answer.status_code == status
        assert bool(answer.content) == (status == 422)


@pytest.mark.parametrize(
    ("name", "status"), [("12-web-shop", 204), ("0012", 204), ("shop-12", 404), ("120", 404)]
)
def test_redmine_finds_an_issue_by_the_digits_in_front(ask: Ask, name: str, status: int) -> None:
    with redmine.Redmine() as installation:
        ticket = installation.open("12")
        members = {"issue": {"notes": "done"}}
        answer = ask(installation, "PUT", f"/issues/{name}.json", json=members, headers=KEY)
        assert (answer.status_code, len(ticket.notes)) == (status, int(status == 204))


@pytest.mark.parametrize("may", [True, False])
def test_redmine_note_is_public_when_the_user_may_not_set_it_as_private(
    ask: Ask, may: bool
) -> None:
    with redmine.Redmine() as installation:
        ticket = installation.open("12")
        installation.may_hide_notes = may
        members = {"issue": {"notes": "done", "private_notes": True}}
        answer = ask(installation, "PUT", "/issues/12.json", json=members, headers=KEY)
        assert (answer.status_code, [note.is_public for note in ticket.notes]) == (204, [not may])


def test_redmine_drops_notes_in_silence_when_they_are_not_allowed(ask: Ask) -> None:
    with redmine.Redmine() as installation:
        ticket = installation.open("12")
        installation.may_write_notes = False
        members = {"issue": {"notes": "done"}}
        answer = ask(installation, "PUT", "/issues/12.json", json=members, headers=KEY)
        assert (answer.status_code, ticket.notes) == (204, [])
