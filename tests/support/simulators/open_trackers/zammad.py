"""Zammad: the search for a number, and a ticket's update with an article."""

from collections.abc import Callable
from typing import Any

from tests.support.simulators.server import Call, Reply, Simulator
from tests.support.simulators.tickets import Note, Ticket

STATES = {"new", "open", "pending reminder", "closed", "merged", "pending close"}


class Zammad(Simulator):
    """An installation with one agent's token."""

    token = "zammad-token"

    def __init__(self, tls: tuple[str, ...] = ()) -> None:
        super().__init__(tls)
        self.tickets: dict[str, Ticket] = {}
        #: Without an agent's permission `internal` is set to false in silence.
        self.is_agent = True
        #: Whether there is Elasticsearch; without it a text is looked for by SQL.
        self.has_index = True
        #: Numbers that the search index does not know yet.
        self.unindexed: set[str] = set()

    def open(self, number: str) -> Ticket:
        """Make a ticket; tickets are found by their number."""
        ticket = Ticket(str(len(self.tickets) + 41), number, "open", fields={"title": "Web"})
        self.tickets[number] = ticket
        return ticket

    def answer(self, call: Call) -> Reply:
        made = self._answer(call)
        if made.status >= 400 and "json" not in call.headers.get("accept", ""):
            page = f"<html><body><h1>{made.status}</h1>{made.body.get('error')}</body></html>"
            return Reply(made.status, page, content_type="text/html; charset=utf-8")
        return made

    def _answer(self, call: Call) -> Reply:
        if call.headers.get("authorization") != f"Token token={self.token}":
            told = _error(403, "Authentication required")
            return told.with_headers(X_Failure="Authentication required")
        match call.method, call.segments:
            case "GET", ("api", "v1", "tickets", "search"):
                return self._search(call)
            case "PUT", ("api", "v1", "tickets", ticket_id):
                return self._update(call, self._ticket(ticket_id))
            case "GET", ("api", "v1", "ticket_articles", "by_ticket", ticket_id):
                ticket = self._ticket(ticket_id)
                found = ticket.notes if ticket else []
                return Reply(200, [{"body": n.text, "internal": not n.is_public} for n in found])
        return _error(404, "No route matches")

    def _ticket(self, ticket_id: str) -> Ticket | None:
        return next((one for one in self.tickets.values() if one.id == ticket_id), None)

    def _search(self, call: Call) -> Reply:
        """A text is asked of the index, where there is one, and conditions of the database."""
        found = self._with_text(call.query["query"]) if "query" in call.query else self._by(call)
        rows = [_row(ticket) for ticket in found][: int(call.query.get("limit", 50))]
        if call.query.get("expand") == "true":
            return Reply(200, rows)
        return Reply(200, {"tickets": [row["id"] for row in rows], "assets": {}})

    def _with_text(self, text: str) -> list[Ticket]:
        """The index knows fields, and finds a number that begins the same; SQL finds the text."""
        if not self.has_index:
            return [t for t in self.tickets.values() if text in "\n".join([t.number, *t.texts])]
        wanted = text.removeprefix("number:").strip('"')
        known = [t for t in self.tickets.values() if t.number not in self.unindexed]
        return [t for t in known if t.number.startswith(wanted)]

    def _by(self, call: Call) -> list[Ticket]:
        """Without a condition all tickets are found."""
        name = "condition[ticket.number]"
        if f"{name}[operator]" not in call.query:
            return list(self.tickets.values())
        wanted = call.query[f"{name}[value]"]
        return [t for t in self.tickets.values() if t.number == wanted]

    def _update(self, call: Call, ticket: Ticket | None) -> Reply:
        if ticket is None:
            return _error(404, "Couldn't find Ticket")
        members = call.members()
        article, state = members.get("article"), members.get("state", ticket.state)
        if article is not None and not article.get("body"):
            return _error(422, "Need at least article: { body: 'some text' }")
        if state not in STATES:
            return _error(422, f"No lookup value found for 'state': {state!r}")
        if state.startswith("pending") and not members.get("pending_time"):
            return _error(422, "Missing required value for field 'pending_time'!")
        if article is not None:
            is_internal = bool(article.get("internal")) and self.is_agent
            ticket.notes.append(Note(article["body"], not is_internal, article))
        ticket.state = state
        return Reply(200, _row(ticket))


def deadlock(call: Call, work: Callable[[], Reply]) -> Reply:
    """Refuse with 422 for a deadlock in the database, which passes."""
    return _error(422, "Error ID Zm81: Please contact your administrator")


def no_rows(call: Call, work: Callable[[], Reply]) -> Reply:
    """Find nothing: the user may not see the ticket, or not yet."""
    return Reply(200, [])


def _row(ticket: Ticket) -> dict[str, Any]:
    return {"id": int(ticket.id), "number": ticket.number, "state": ticket.state}


def _error(status: int, message: str) -> Reply:
    return Reply(status, {"error": message, "error_human": message})
