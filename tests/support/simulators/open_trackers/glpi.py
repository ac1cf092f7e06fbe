"""GLPI: the high-level API of version 11, and the legacy API with its sessions."""

from collections.abc import Callable
from html import unescape
from itertools import count
from typing import Any

from tests.support.simulators.server import Call, Reply, Simulator
from tests.support.simulators.tickets import Note, Ticket
from tests.support.simulators.tokens import Tokens

PROCESSING, SOLVED, CLOSED = 2, 5, 6
UNAUTHENTICATED = (401, "ERROR_UNAUTHENTICATED", "You are not authenticated")


class GLPI(Simulator):
    """An installation that has both APIs: one OAuth client, one user's token, one app token."""

    user_token, app_token = "user-token", "app-token"

    def __init__(self, tls: tuple[str, ...] = ()) -> None:
        super().__init__(tls)
        self.tickets: dict[str, Ticket] = {}
        self.tokens = Tokens(("password",), 3600, needs_scope=True)
        self.sessions: set[str] = set()
        self._numbers = count(1)

    def open(self, number: str) -> Ticket:
        """Make a ticket; its number is its id."""
        ticket = Ticket(number, number, PROCESSING)
        self.tickets[number] = ticket
        return ticket

    def answer(self, call: Call) -> Reply:
        match call.method, call.segments:
            case "POST", ("api.php", "token"):
                return self.tokens.exchange(call)
            case _, ("api.php", "Assistance", "Ticket", ticket_id, *rest):
                return self._high_level(call, ticket_id, rest)
            case _, ("api.php", version, "Assistance", "Ticket", ticket_id, *rest):
                is_version = version.startswith("v2")
                return self._high_level(call, ticket_id, rest) if is_version else Reply(404)
            case _, ("apirest.php", *rest):
                return self._legacy(call, rest)
        return _problem(404, "ERROR_RESOURCE_NOT_FOUND", "Resource not found")

    def _high_level(self, call: Call, ticket_id: str, rest: list[str]) -> Reply:
        if not self.tokens.accepts(call):
            is_said = "authorization" in call.headers
            return token_refused(call, Reply) if is_said else _problem(*UNAUTHENTICATED)
        ticket = self.tickets.get(ticket_id)
        if ticket is None:
            return _problem(404, "ERROR_ITEM_NOT_FOUND", "Item not found")
        members = call.members()
        match call.method, rest:
            case "PATCH", []:
                ticket.state = members.get("status", ticket.state)
                return Reply(200, {"id": int(ticket_id), "status": ticket.state})
            case "POST", ["Timeline", "Followup" | "Solution" as kind]:
                if not members.get("content"):
                    return _problem(400, "ERROR_INVALID_PARAMETER", "content is required")
                return self._timeline(ticket, kind, members)
        return _problem(405, "ERROR_METHOD_NOT_ALLOWED", "Method not allowed")

    def _timeline(self, ticket: Ticket, kind: str, members: dict[str, Any]) -> Reply:
        if kind == "Solution" and ticket.state in (SOLVED, CLOSED):
            return refused_500(Call("POST", "", {}, b""), Reply)
        entry = self._enter(ticket, kind, members)
        where = f"/Assistance/Ticket/{ticket.id}/Timeline/{kind}/{entry}"
        return Reply(200, {"id": entry, "href": where}, {"Location": f"{self.url}/api.php{where}"})

    def _enter(self, ticket: Ticket, kind: str, members: dict[str, Any]) -> int:
        is_private = bool(members.get("is_private")) and kind == "Followup"
        text = unescape(members["content"])
        ticket.notes.append(Note(text, not is_private, {"kind": kind, **members}))
        if kind == "Solution":
            ticket.state = SOLVED
        return next(self._numbers)

    def _legacy(self, call: Call, rest: list[str]) -> Reply:
        if call.headers.get("app-token") != self.app_token:
            return _legacy_error(400, "ERROR_WRONG_APP_TOKEN_PARAMETER", "missing App-Token")
        if rest == ["initSession"]:
            return self._open_session(call)
        session = call.headers.get("session-token", "")
        if session not in self.sessions:
            return _legacy_error(401, "ERROR_SESSION_TOKEN_INVALID", "session_token is invalid")
        return self._in_session(call, rest, session)

    def _in_session(self, call: Call, rest: list[str], session: str) -> Reply:
        match call.method, rest:
            case "GET", ["killSession"]:
                self.sessions.discard(session)
                return Reply(200)
            case "GET", ["Ticket", ticket_id, *below]:
                return _legacy_shown(call, self.tickets.get(ticket_id), below)
            case "PUT", ["Ticket", ticket_id]:
                return self._legacy_update(call, ticket_id)
            case "POST", ["ITILFollowup" | "ITILSolution" as kind]:
                return self._legacy_add(call, kind.removeprefix("ITIL"))
        return _legacy_error(400, "ERROR_RESOURCE_NOT_FOUND_NOR_COMMONDBTM", "no such resource")

    def _open_session(self, call: Call) -> Reply:
        if call.body:
            return _legacy_error(400, "ERROR_BAD_ARRAY", "GET has a body")
        if call.headers.get("authorization") != f"user_token {self.user_token}":
            return _legacy_error(401, "ERROR_GLPI_LOGIN_USER_TOKEN", "wrong user_token")
        token = f"session-{next(self._numbers)}"
        self.sessions.add(token)
        return Reply(200, {"session_token": token})

    def _legacy_update(self, call: Call, ticket_id: str) -> Reply:
        ticket = self.tickets.get(ticket_id)
        if ticket is None:
            return _legacy_error(400, "ERROR_GLPI_UPDATE", None)
        members = call.members()["input"]
        ticket.state = members.get("status", ticket.state)
        return Reply(200, [{ticket_id: True, "message": ""}])

    def _legacy_add(self, call: Call, kind: str) -> Reply:
        members = call.members().get("input", {})
        ticket = self.tickets.get(str(members.get("items_id")))
        is_again = kind == "Solution" and ticket and ticket.state in (SOLVED, CLOSED)
        if members.get("itemtype") != "Ticket" or ticket is None or is_again:
            return _legacy_error(400, "ERROR_GLPI_ADD", "Element is already solved")
        return Reply(201, {"id": self._enter(ticket, kind, members), "message": ""})


def refused_500(call: Call, work: Callable[[], Reply]) -> Reply:
    """Refuse a create or change as version 11 does: with 500."""
    told = _problem(500, "ERROR", "An internal error occurred while processing your request.")
    more = [{"priority": "error", "message": "The item could not be added"}]
    return Reply(500, {**told.body, "additional_messages": more})


def token_refused(call: Call, work: Callable[[], Reply]) -> Reply:
    """Refuse a token that has expired or was revoked, before anything is done."""
    told = _problem(400, "ERROR_INVALID_PARAMETER", "Invalid OAuth token")
    return Reply(400, {**told.body, "detail": "Access token could not be verified"})


def partly_failed(call: Call, work: Callable[[], Reply]) -> Reply:
    """Answer 207 of the legacy API, and do nothing."""
    return Reply(207, [{"id": False, "message": "You do not have the rights"}])


def _legacy_shown(call: Call, ticket: Ticket | None, below: list[str]) -> Reply:
    if ticket is None:
        return _legacy_error(404, "ERROR_ITEM_NOT_FOUND", "Item not found")
    if below == ["ITILFollowup"]:
        found = [n.extra["content"] for n in ticket.notes if n.extra["kind"] == "Followup"]
        return _page(call, found)
    return Reply(200, {"id": int(ticket.id), "status": ticket.state})


def _page(call: Call, found: list[str]) -> Reply:
    """A range of what there is: the oldest 51 when none is asked for; 206 when it is not all."""
    first, last = map(int, call.query.get("range", "0-50").split("-"))
    rows = [{"id": number, "content": text} for number, text in enumerate(found)]
    if call.query.get("order", "ASC").upper() == "DESC":
        rows.reverse()
    if first > len(rows):
        return _legacy_error(400, "ERROR_RANGE_EXCEED_TOTAL", "Provided range exceed total count")
    page = rows[first : last + 1]
    return Reply(200 if len(page) == len(rows) else 206, page)


def _problem(status: int, kind: str, title: str) -> Reply:
    return Reply(status, {"status": kind, "title": title, "detail": None})


def _legacy_error(status: int, code: str, message: str | None) -> Reply:
    return Reply(status, [code, message])
