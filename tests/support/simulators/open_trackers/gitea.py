"""Gitea: comments on issues and their closing."""

from collections.abc import Callable

from tests.support.simulators.server import Call, Reply, Simulator
from tests.support.simulators.tickets import Note, Ticket


class Gitea(Simulator):
    """An installation with the repository `ops/web` and one token."""

    token, owner, repository = "gitea-token", "ops", "web"

    def __init__(self, tls: tuple[str, ...] = ()) -> None:
        super().__init__(tls)
        self.tickets: dict[str, Ticket] = {}
        self.is_archived = False

    def open(self, number: str) -> Ticket:
        """Make an issue in the repository."""
        ticket = Ticket(number, number, "open")
        self.tickets[number] = ticket
        return ticket

    def answer(self, call: Call) -> Reply:
        if call.headers.get("authorization") != f"token {self.token}":
            return Reply(401, {"message": "token is required"})
        match call.segments:
            case ("api", "v1", "repos", self.owner, self.repository, "issues", number, *rest):
                return self._issue(call, number, rest)
        return Reply(404, {"message": "not found"})

    def _issue(self, call: Call, number: str, rest: list[str]) -> Reply:
        ticket, members = self.tickets.get(number), call.members()
        if self.is_archived:
            return Reply(423, {"message": "repository is archived"})
        match call.method, rest:
            case "POST", ["comments"]:
                return _comment(ticket, members.get("body"))
            case "PATCH", []:
                if ticket is None:
                    return Reply(404, {"message": "not found"})
                ticket.state = members.get("state", ticket.state)
                return Reply(201, {"number": int(number), "state": ticket.state})
        return Reply(405)


def _comment(ticket: Ticket | None, body: str | None) -> Reply:
    if ticket is None:  # the source answers 500 here, not 404
        return Reply(500, {"message": "issue does not exist"})
    if not body:
        return Reply(422, {"message": "[Body]: Required"})
    ticket.notes.append(Note(body, True))
    return Reply(201, {"id": len(ticket.notes), "body": body})


def locked(call: Call, work: Callable[[], Reply]) -> Reply:
    """Refuse as for an issue that is locked, and do nothing."""
    return Reply(403, {"message": "issue is locked"})


def has_dependencies(call: Call, work: Callable[[], Reply]) -> Reply:
    """Refuse the closing while other issues block it."""
    return Reply(412, {"message": "cannot close this issue because it still has open dependencies"})
