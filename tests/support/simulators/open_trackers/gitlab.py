"""GitLab: notes on issues and their closing, by the v4 API."""

import re

from tests.support.simulators.server import Call, Reply, Simulator
from tests.support.simulators.tickets import Note, Ticket

MAX_NOTE = 1_000_000
COMMAND = re.compile(r"^/(close|reopen|label|assign)\b", re.MULTILINE)


class GitLab(Simulator):
    """An installation with the project `ops/web` and one project token."""

    token, project, project_id = "gitlab-token", "ops/web", "7"

    def __init__(self, tls: tuple[str, ...] = ()) -> None:
        super().__init__(tls)
        self.tickets: dict[str, Ticket] = {}
        #: People whom a note has mentioned: each gets mail.
        self.mentioned: list[str] = []

    def open(self, number: str) -> Ticket:
        """Make an issue in the project."""
        ticket = Ticket(number, number, "opened", fields={"labels": []})
        self.tickets[number] = ticket
        return ticket

    def answer(self, call: Call) -> Reply:
        if call.headers.get("private-token") != self.token:
            return Reply(401, {"message": "401 Unauthorized"})
        match call.segments:
            case ("api", "v4", "projects", project, "issues", number, *rest):
                if project not in (self.project, self.project_id):
                    return Reply(404, {"message": "404 Project Not Found"})
                ticket = self.tickets.get(number)
                if ticket is None:
                    return Reply(404, {"message": "404 Issue Not Found"})
                return self._issue(call, ticket, rest)
        return Reply(404, {"error": "404 Not Found"})

    def _issue(self, call: Call, ticket: Ticket, rest: list[str]) -> Reply:
        members = call.members()
        match call.method, rest:
            case "POST", ["notes"]:
                return self._note(ticket, members)
            case "PUT", []:
                if members.get("state_event") == "close":
                    ticket.state = "closed"
                ticket.fields["labels"] += filter(None, members.get("add_labels", "").split(","))
                return Reply(200, {"iid": int(ticket.id), "state": ticket.state})
        return Reply(405, {"error": "405 Not Allowed"})

    def _note(self, ticket: Ticket, members: dict[str, object]) -> Reply:
        body = members.get("body")
        if not body or not isinstance(body, str):
            return Reply(400, {"error": "body is missing"})
        if len(body) > MAX_NOTE:
            return Reply(400, {"message": {"note": ["is too long"]}})
        if found := COMMAND.search(body):  # a quick action is done, and leaves the text
            ticket.state = {"close": "closed", "reopen": "opened"}.get(found[1], ticket.state)
            body = COMMAND.sub("", body)
        self.mentioned += re.findall(r"(?<![\w`\\])@([\w.-]+)", body)
        note = Note(body, not members.get("internal"))
        ticket.notes.append(note)
        told = {"id": len(ticket.notes), "body": body, "internal": not note.is_public}
        return Reply(201, told)
