"""Zendesk: a ticket's update with a comment in one call."""

import re
from collections.abc import Callable

from tests.support.simulators.server import Call, Reply, Simulator
from tests.support.simulators.tickets import Note, Ticket, basic
from tests.support.simulators.tokens import Tokens


class Zendesk(Simulator):
    """An account with an agent's API token and one OAuth client."""

    email, api_token = "kernel@example.com", "zendesk-token"

    def __init__(self, tls: tuple[str, ...] = ()) -> None:
        super().__init__(tls)
        self.tickets: dict[str, Ticket] = {}
        self.tokens = Tokens(("client_credentials",), 7200)

    def open(self, number: str) -> Ticket:
        """Make a ticket; its number is its id."""
        ticket = Ticket(number, number, "open", fields={"tags": [], "description": "Web"})
        self.tickets[number] = ticket
        return ticket

    def answer(self, call: Call) -> Reply:
        match call.method, call.segments:
            case "POST", ("oauth", "tokens"):
                return self.tokens.exchange(call)
            case "PUT", ("api", "v2", "tickets", name):
                if not self._knows(call):
                    return Reply(401, {"error": "Couldn't authenticate you"})
                return self._update(call, self.tickets.get(name.removesuffix(".json")))
        return _not_found()

    def _knows(self, call: Call) -> bool:
        login = (f"{self.email}/token", self.api_token)
        return basic(call) == login or self.tokens.accepts(call)

    def _update(self, call: Call, ticket: Ticket | None) -> Reply:
        if ticket is None:
            return _not_found()
        members = call.members().get("ticket")
        if not isinstance(members, dict):
            return Reply(400, {"error": "Unprocessable", "description": "ticket is missing"})
        if ticket.state == "closed":
            return _closed()
        comment = members.get("comment")
        if comment:  # a comment is public unless told otherwise
            text = comment.get("html_body") or _of_markdown(comment.get("body", ""))
            ticket.notes.append(Note(text, comment.get("public", True)))
        ticket.state = members.get("status", ticket.state)
        ticket.fields["tags"] += members.get("additional_tags", [])
        told = {"id": int(ticket.id), "status": ticket.state, **ticket.fields}  # all of the ticket
        limit = {"Zendesk-RateLimit-tickets-update": "total=100; remaining=99; resets=41"}
        return Reply(200, {"ticket": told, "audit": {"id": 1}}, limit)


def _of_markdown(body: str) -> str:
    """Return a comment's `body` as HTML: it loses tags, and its Markdown makes others."""
    text = re.sub(r"<[^>]*>", "", body)
    text = re.sub(r"!\[([^]]*)\]\(([^)]*)\)", r'<img alt="\1" src="\2">', text)
    return re.sub(r"\[([^]]*)\]\(([^)]*)\)", r'<a href="\2">\1</a>', text)


def closed(call: Call, work: Callable[[], Reply]) -> Reply:
    """Refuse as for a closed ticket, and do nothing."""
    return _closed()


def collision(call: Call, work: Callable[[], Reply]) -> Reply:
    """Refuse because another update came first."""
    return Reply(409, {"error": "UpdateConflict", "description": "Safe Update prevented"})


def _closed() -> Reply:
    problem = {"description": "Status: closed prevents ticket update"}
    told = {"error": "RecordInvalid", "description": "Record validation errors"}
    return Reply(422, {**told, "details": {"status": [problem]}})


def _not_found() -> Reply:
    return Reply(404, {"error": "RecordNotFound", "description": "Not found"})
