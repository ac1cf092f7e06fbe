"""Redmine: an issue's update, which drops in silence what the workflow forbids."""

import re
from collections.abc import Callable

from tests.support.simulators.server import Call, Reply, Simulator
from tests.support.simulators.tickets import Note, Ticket

NEW, IN_PROGRESS, RESOLVED, CLOSED = 1, 2, 3, 5
WORKFLOW: dict[int, set[int]] = {
    NEW: {IN_PROGRESS, RESOLVED},
    IN_PROGRESS: {RESOLVED},
    RESOLVED: {CLOSED},
    CLOSED: set(),
}


class Redmine(Simulator):
    """An installation with the REST API switched on and one user's key."""

    api_key = "redmine-key"

    def __init__(self, tls: tuple[str, ...] = ()) -> None:
        super().__init__(tls)
        self.tickets: dict[str, Ticket] = {}
        #: Without the permission to add notes they are dropped in silence.
        self.may_write_notes = True
        #: Without the permission to set notes as private they are public, in silence.
        self.may_hide_notes = True
        #: Before 4.1 an update is answered with 200 and no body.
        self.is_old = False

    def open(self, number: str) -> Ticket:
        """Make an issue; its number is its id."""
        ticket = Ticket(number, number, NEW)
        self.tickets[number] = ticket
        return ticket

    def answer(self, call: Call) -> Reply:
        match call.segments:
            case ("issues", name) if name.endswith(".json"):
                return self._issue(call, self._found(name.removesuffix(".json")))
            case ("issues", _):
                return Reply(302, headers={"Location": f"{self.url}/login"})  # the web form
        return Reply(404)

    def _found(self, name: str) -> Ticket | None:
        """Find an issue as Rails does: by the digits that the name begins with."""
        digits = re.match("[0-9]+", name)
        return self.tickets.get(str(int(digits[0]))) if digits else None

    def _issue(self, call: Call, ticket: Ticket | None) -> Reply:
        if call.headers.get("x-redmine-api-key") != self.api_key:
            return Reply(401, headers={"WWW-Authenticate": 'Basic realm="Redmine API"'})
        if ticket is None:
            return Reply(404)
        if call.method == "GET":
            return self._show(ticket)
        if call.method != "PUT" or call.media_type != "application/json":
            return Reply(406)
        return self._update(call, ticket)

    def _show(self, ticket: Ticket) -> Reply:
        journals = [{"notes": n.text, "private_notes": not n.is_public} for n in ticket.notes]
        told = {"id": int(ticket.id), "status": {"id": ticket.state}, "journals": journals}
        return Reply(200, {"issue": told})

    def _update(self, call: Call, ticket: Ticket) -> Reply:
        members = call.members().get("issue", {})
        if members.get("lock_version", 0) != ticket.fields.get("lock_version", 0):
            return collision(call, Reply)
        if members.get("notes") and self.may_write_notes:
            is_private = bool(members.get("private_notes")) and self.may_hide_notes
            ticket.notes.append(Note(members["notes"], not is_private))
        status = int(members.get("status_id", ticket.state))  # a text is taken for its number
        if status in WORKFLOW[ticket.state]:  # others are dropped in silence
            ticket.state = status
        return Reply(200 if self.is_old else 204)


def collision(call: Call, work: Callable[[], Reply]) -> Reply:
    """Refuse as when the issue is saved twice at once: a stale object, which has no errors."""
    return Reply(422, {"errors": []})


def no_effect(call: Call, work: Callable[[], Reply]) -> Reply:
    """Answer 204 and write nothing, as for notes and a status that this user may not set."""
    return Reply(204)
