"""Znuny (and OTRS 6): a web service of the generic interface with the TicketUpdate operation."""

import json
from collections.abc import Callable
from typing import Any

from tests.support.simulators.server import Call, Reply, Simulator
from tests.support.simulators.tickets import Note, Ticket

STATES = {"new", "open", "closed successful", "closed unsuccessful", "pending reminder"}


class Znuny(Simulator):
    """An installation with one agent and the web service `kernel` with the route `/ticket`."""

    user, password = "kernel", "secret"
    route = ("znuny", "nph-genericinterface.pl", "Webservice", "kernel", "ticket")

    def __init__(self, tls: tuple[str, ...] = ()) -> None:
        super().__init__(tls)
        self.tickets: dict[str, Ticket] = {}

    def open(self, number: str) -> Ticket:
        """Make a ticket; the operation takes its number."""
        ticket = Ticket(str(len(self.tickets) + 1), number, "open")
        self.tickets[number] = ticket
        return ticket

    def answer(self, call: Call) -> Reply:
        if call.segments != self.route or call.method not in ("POST", "PATCH", "PUT"):
            return _fault("Got no OperationMapping for this route")
        try:
            members = call.json()
        except json.JSONDecodeError:
            return _fault("Error while decoding incoming JSON")
        if (members.get("UserLogin"), members.get("Password")) != (self.user, self.password):
            return _error("TicketUpdate.AuthFail", "User could not be authenticated!")
        ticket = self.tickets.get(members.get("TicketNumber", ""))
        return _update(ticket, members) if ticket else access_denied(call, Reply)


def _update(ticket: Ticket, members: dict[str, Any]) -> Reply:
    state = members.get("Ticket", {}).get("State", ticket.state)
    if state not in STATES:
        return _error("TicketUpdate.InvalidParameter", "Ticket->State parameter is invalid!")
    told = {"TicketID": ticket.id, "TicketNumber": ticket.number}
    if article := members.get("Article"):
        missing = {"Subject", "Body", "ContentType"} - article.keys()
        if missing:
            wrong = f"Article->{min(missing)} parameter is missing!"
            return _error("TicketUpdate.MissingParameter", wrong)
        is_public = bool(int(article.get("IsVisibleForCustomer", 0)))
        ticket.notes.append(Note(article["Body"], is_public, article))
        told["ArticleID"] = str(len(ticket.notes))
    ticket.state = state
    return Reply(200, told)


def access_denied(call: Call, work: Callable[[], Reply]) -> Reply:
    """Refuse in the body of a 200, and do nothing."""
    return _error("TicketUpdate.AccessDenied", "User does not have access to the ticket!")


def broken(call: Call, work: Callable[[], Reply]) -> Reply:
    """Fail with 500 and a fault, and do nothing."""
    return _fault("Backend could not be loaded")


def _error(code: str, message: str) -> Reply:
    return Reply(200, {"Error": {"ErrorCode": code, "ErrorMessage": message}})


def _fault(text: str) -> Reply:
    return Reply(500, {"faultcode": "Server", "faultstring": text})
