"""The simulated GitLab and Gitea answer as their documents and source say."""

from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.support.simulators.open_trackers import gitea, gitlab
from tests.support.simulators.server import Fault

Ask = Callable[..., requests.Response]


@pytest.mark.parametrize(
    ("project", "body", "status", "state", "mentioned"),
    [
        ("ops%2Fweb", "done by @ops", 201, "opened", ["ops"]),
        ("7", "done by `@ops`", 201, "opened", []),
        ("ops/web", "done", 404, "opened", []),
        ("7", "done\n/close", 201, "closed", []),
        ("7", "", 400, "opened", []),
    ],
)
def test_gitlab_note_mentions_people_and_runs_commands(
    ask: Ask, project: str, body: str, status: int, state: str, mentioned: list[str]
) -> None:
    with gitlab.GitLab() as installation:
        ticket = installation.open("12")
        path = f"/api/v4/projects/{project}/issues/12/notes"
        headers = {"PRIVATE-TOKEN": "gitlab-token"}
        members = {"body": body, "internal": True}
        answer = ask(installation, "POST", path, json=members, headers=headers)
        assert (answer.status_code, ticket.state) == (status, state)
        assert installation.mentioned == mentioned
        assert [n.is_public for n in ticket.notes] == [False] * (status == 201)
        assert ask(installation, "POST", path, json=members).status_code == 401


@pytest.mark.parametrize(
    ("number", "given", "status"),
    [
        ("12", {"json": {"body": "done"}}, 201),
        ("13", {"json": {"body": "done"}}, 500),
        ("12", {"json": {}}, 422),
        ("12", {"json": {"body": "done"}, "headers": {}}, 401),
    ],
)
def test_gitea_comment_on_a_missing_issue_ends_in_500(
    ask: Ask, number: str, given: Any, status: int
) -> None:
    with gitea.Gitea() as installation:
        ticket = installation.open("12")
        path = f"/api/v1/repos/ops/web/issues/{number}/comments"
        login = {"Authorization": "token gitea-token"}
        answer = ask(installation, "POST", path, **{"headers": login, **given})
        assert answer.status_code == status
        assert ticket.texts == ["done"] * (status == 201)
        installation.is_archived = True
        assert ask(installation, "POST", path, headers=login).status_code == 423


@pytest.mark.parametrize(("fault", "status"), [(gitea.has_dependencies, 412), (gitea.locked, 403)])
def test_gitea_refuses_to_close_when_told(ask: Ask, fault: Fault, status: int) -> None:
    with gitea.Gitea() as installation:
        ticket = installation.open("12")
        login = {"Authorization": "token gitea-token"}
        path, closed = "/api/v1/repos/ops/web/issues/12", {"json": {"state": "closed"}}
        installation.next(fault)
        assert ask(installation, "PATCH", path, headers=login, **closed).status_code == status
        assert ticket.state == "open"
        assert ask(installation, "PATCH", path, headers=login, **closed).status_code == 201
        assert ticket.state == "closed"
