"""Freshservice: notes and updates by the v2 API."""

from tests.support.simulators.server import Call, Reply, Simulator
from tests.support.simulators.tickets import Note, Ticket, basic

OPEN, RESOLVED, CLOSED = 2, 4, 5


class Freshservice(Simulator):
    """An account with one agent's API key."""

    api_key = "fresh-key"

    def __init__(self, tls: tuple[str, ...] = ()) -> None:
        super().__init__(tls)
        self.tickets: dict[str, Ticket] = {}
        self.left = 140

    def open(self, number: str) -> Ticket:
        """Make a ticket; its number is its id, without the prefix that people see."""
        ticket = Ticket(number, number, OPEN)
        self.tickets[number] = ticket
        return ticket

    def answer(self, call: Call) -> Reply:
        self.left -= 1
        made = self._answer(call)
        return made.with_headers(
            X_RateLimit_Total="140",
            X_RateLimit_Remaining=str(self.left),
            X_RateLimit_Used_CurrentRequest="1",
        )

    def _answer(self, call: Call) -> Reply:
        if (basic(call) or ("", ""))[0] != self.api_key:
            told = {"code": "invalid_credentials", "message": "You have to be logged in"}
            return Reply(401, told)
        match call.method, call.segments:
            case "POST", ("api", "v2", "tickets", number, "notes"):
                return self._note(call, self.tickets.get(number))
            case "PUT", ("api", "v2", "tickets", number):
                return self._update(call, self.tickets.get(number))
        return Reply(404)

    def _note(self, call: Call, ticket: Ticket | None) -> Reply:
        members = call.members()
        if ticket is None:
            return Reply(404)
        if not members.get("body"):
            return _invalid("body", "It should not be blank as this is a mandatory field")
        note = Note(members["body"], not members.get("private", True))
        ticket.notes.append(note)
        told = {"id": len(ticket.notes), "body": note.text, "private": not note.is_public}
        return Reply(201, {"conversation": told})

    def _update(self, call: Call, ticket: Ticket | None) -> Reply:
        members = call.members()
        if ticket is None:
            return Reply(404)
        if members.get("status") == RESOLVED and not members.get("resolution_notes"):
            return _invalid("resolution_notes", "It should not be blank on resolving")
        ticket.state = members.get("status", ticket.state)
        ticket.fields |= {k: v for k, v in members.items() if k != "status"}
        return Reply(200, {"ticket": {"id": ticket.id, "status": ticket.state}})


def _invalid(field: str, message: str) -> Reply:
    error = {"field": field, "message": message, "code": "missing_field"}
    return Reply(400, {"description": "Validation failed", "errors": [error]})
