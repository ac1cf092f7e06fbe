"""The simulated Jira, Cloud and Data Center, answers as its documents say."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from tests.support.simulators.server import Fault
from tests.support.simulators.service_desks import jira_cloud, jira_data_center, jira_issues
from tests.support.simulators.tickets import Note

Ask = Callable[..., requests.Response]
JC = ("kernel@example.com", "atlassian-token")
PAT = {"Authorization": "Bearer personal-access-token"}
ISSUE = "/rest/api/3/issue/OPS-12"


def document(text: str) -> dict[str, Any]:
    """A text in ADF."""
    paragraph = {"type": "paragraph", "content": [{"type": "text", "text": text}]}
    return {"type": "doc", "version": 1, "content": [paragraph]}


@pytest.fixture
def jira() -> Iterator[jira_cloud.JiraCloud]:
    with jira_cloud.JiraCloud() as started:
        started.open("OPS-12")
        yield started


@pytest.mark.parametrize(
    ("version", "body", "status"),
    [
        (3, document("done"), 201),
        (3, "done", 400),
        (3, document(""), 400),
        (2, "done", 201),
        (2, document("done"), 400),
        (2, "x" * 32_768, 400),
    ],
)
def test_jira_comment_is_a_document_in_v3_and_a_text_in_v2(
    ask: Ask, jira: jira_cloud.JiraCloud, version: int, body: Any, status: int
) -> None:
    path = f"/rest/api/{version}/issue/OPS-12/comment"
    answer = ask(jira, "POST", path, json={"body": body}, auth=JC)
    assert answer.status_code == status
    assert jira.tickets["OPS-12"].texts == ["done"] * (status == 201)
    assert status == 201 or answer.json()["errors"]


def test_jira_comment_is_internal_when_its_property_says_so(
    ask: Ask, jira: jira_cloud.JiraCloud
) -> None:
    internal = {"key": "sd.public.comment", "value": {"internal": True}}
    for properties in ([], [internal]):
        members: dict[str, Any] = {"body": document("done"), "properties": properties}
        ask(jira, "POST", f"{ISSUE}/comment", json=members, auth=JC)
    ask(jira, "POST", "/rest/servicedeskapi/request/OPS-12/comment", json={"body": "a"}, auth=JC)
    members = {"body": "a", "public": False}
    ask(jira, "POST", "/rest/servicedeskapi/request/OPS-12/comment", json=members, auth=JC)
    assert [n.is_public for n in jira.tickets["OPS-12"].notes] == [True, False, True, False]


@pytest.mark.parametrize(
    ("query", "first", "last"),
    [
        ("", 0, 99),
        ("?maxResults=5000", 0, 99),
        ("?orderBy=-created&maxResults=10", 119, 110),
        ("?startAt=100", 100, 119),
    ],
)
def test_jira_comments_come_by_pages_and_the_oldest_first(
    ask: Ask, jira: jira_cloud.JiraCloud, query: str, first: int, last: int
) -> None:
    older = {"body": "older"}
    jira.tickets["OPS-12"].notes += [Note("older", extra=older) for _ in range(120)]
    found = ask(jira, "GET", f"{ISSUE}/comment{query}", auth=JC).json()
    ids = [int(one["id"]) for one in found["comments"]]
    assert (ids[0], ids[-1], found["total"]) == (first, last, 120)


def test_jira_transition_is_gone_after_it_was_made(ask: Ask, jira: jira_cloud.JiraCloud) -> None:
    path, done = f"{ISSUE}/transitions", {"transition": {"id": "31"}}
    offered = ask(jira, "GET", path, auth=JC).json()["transitions"]
    assert {"id": "31", "name": "Done", "to": offered[1]["to"]} == offered[1]
    answer = ask(jira, "POST", path, json=done, auth=JC)
    assert (answer.status_code, answer.content) == (204, b"")
    assert jira.tickets["OPS-12"].state == "Done"
    answer = ask(jira, "POST", path, json=done, auth=JC)
    assert (answer.status_code, bool(answer.json()["errorMessages"])) == (400, True)


@pytest.mark.parametrize(
    ("screen", "takes_comment", "status"),
    [(["resolution"], True, 204), ([], True, 400), (["resolution"], False, 400)],
)
def test_jira_transition_takes_only_what_is_on_its_screen(
    ask: Ask, jira: jira_cloud.JiraCloud, screen: list[str], takes_comment: bool, status: int
) -> None:
    jira.on_screen, jira.takes_comment = frozenset(screen), takes_comment
    members = {
        "transition": {"id": "31"},
        "fields": {"resolution": {"name": "Done"}},
        "update": {"comment": [{"add": {"body": document("done")}}]},
    }
    answer = ask(jira, "POST", f"{ISSUE}/transitions", json=members, auth=JC)
    ticket = jira.tickets["OPS-12"]
    assert (answer.status_code, len(ticket.notes)) == (status, int(status == 204))
    assert ticket.state == ("Done" if status == 204 else "To Do")


@pytest.mark.parametrize(
    ("method", "path", "given", "status"),
    [
        ("POST", "/rest/api/3/issue/OPS-99/comment", {}, 404),
        ("POST", f"{ISSUE}/comment", {"auth": ("kernel@example.com", "wrong")}, 401),
        ("POST", "/rest/api/3/search", {}, 410),
        ("PUT", ISSUE, {"json": {"update": {"labels": [{"add": "failed"}]}}}, 204),
    ],
)
def test_jira_answers_with_the_statuses_of_its_documents(
    ask: Ask, jira: jira_cloud.JiraCloud, method: str, path: str, given: Any, status: int
) -> None:
    given = {"json": {"body": document("a")}, "auth": JC, **given}
    answer = ask(jira, method, path, **given)
    assert answer.status_code == status
    if status >= 400:
        assert answer.json()["errorMessages"]
    assert jira.tickets["OPS-12"].fields["labels"] == (["failed"] if status == 204 else [])


@pytest.mark.parametrize(
    ("rule", "secret", "status"),
    [("rule-1", "rule-secret", 200), ("rule-1", "wrong", 401), ("rule-2", "rule-secret", 404)],
)
def test_jira_automation_rule_comments_when_its_secret_is_right(
    ask: Ask, jira: jira_cloud.JiraCloud, rule: str, secret: str, status: int
) -> None:
    path = f"/automation/webhooks/jira/a/site-1/{rule}"
    members = {"issues": ["OPS-12"], "data": {"text": "done"}}
    headers = {"X-Automation-Webhook-Token": secret}
    assert ask(jira, "POST", path, json=members, headers=headers).status_code == status
    assert jira.tickets["OPS-12"].texts == ["done"] * (status == 200)


@pytest.mark.parametrize(
    ("fault", "status"), [(jira_issues.conflict, 409), (jira_cloud.too_many_writes, 429)]
)
def test_jira_refuses_for_a_while_with_a_reason_when_told(
    ask: Ask, jira: jira_cloud.JiraCloud, fault: Fault, status: int
) -> None:
    jira.next(fault)
    answer = ask(jira, "POST", f"{ISSUE}/comment", json={"body": document("a")}, auth=JC)
    assert answer.status_code == status
    reason = "jira-per-issue-on-write" if status == 429 else None
    assert answer.headers.get("RateLimit-Reason") == reason


@pytest.mark.parametrize(
    ("headers", "body", "status", "user"),
    [
        (PAT, "done", 201, "kernel"),
        (PAT, document("done"), 400, "kernel"),
        ({"Authorization": "Bearer wrong"}, "done", 404, "anonymous"),
    ],
)
def test_jira_data_center_takes_wiki_text_and_hides_from_anonymous(
    ask: Ask, headers: dict[str, str], body: Any, status: int, user: str
) -> None:
    with jira_data_center.JiraDataCenter() as jira:
        jira.open("OPS-12")
        path = "/rest/api/2/issue/OPS-12/comment"
        answer = ask(jira, "POST", path, json={"body": body}, headers=headers)
        assert (answer.status_code, answer.headers["X-AUSERNAME"]) == (status, user)
        assert answer.headers["Retry-After"] == "0"  # while tokens remain
        assert jira.url.endswith("/jira")


def test_jira_data_center_tells_a_blocked_user_an_absurd_wait(ask: Ask) -> None:
    with jira_data_center.JiraDataCenter() as jira:
        jira.open("OPS-12")
        jira.next(jira_data_center.blocked)
        answer = ask(jira, "GET", "/rest/api/2/issue/OPS-12/transitions", headers=PAT)
        assert (answer.status_code, int(answer.headers["Retry-After"])) == (429, 2**63 - 1)
