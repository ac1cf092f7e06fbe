"""ServiceNow: the Table API with its lookup, the OAuth endpoint, a scripted REST API with HMAC."""

import base64
import hashlib
import hmac
import html
import re
from collections.abc import Callable
from hashlib import md5
from typing import Any

from tests.support.simulators.server import Call, Reply, Simulator
from tests.support.simulators.tickets import Note, Ticket, basic
from tests.support.simulators.tokens import Tokens

JOURNALS = {"work_notes": False, "comments": True}
RESOLVED, CLOSED = "6", "7"


class ServiceNow(Simulator):
    """An instance with one user, one OAuth client and one HMAC secret."""

    user, password, hmac_key_id, hmac_secret = "svc-kernel", "secret", "kernel-key", "hmac-secret"

    def __init__(self, tls: tuple[str, ...] = ()) -> None:
        super().__init__(tls)
        self.tickets: dict[str, Ticket] = {}
        self.tokens = Tokens(("password", "client_credentials"), 1799)
        #: Whether the Table API answers a misspelt query with no rows instead of all.
        self.is_strict = False
        #: Deliveries that the scripted API has taken, by webhook-id: it does each once.
        self.taken: set[str] = set()

    def open(self, number: str, table: str = "incident") -> Ticket:
        """Make a record; tickets are found by their number."""
        sys_id = md5(f"{table}/{number}".encode(), usedforsecurity=False).hexdigest()
        ticket = Ticket(sys_id, number, "2", fields={"table": table, "short_description": "Web"})
        self.tickets[number] = ticket
        return ticket

    def answer(self, call: Call) -> Reply:
        match call.method, call.segments:
            case "POST", ("oauth_token.do",):
                return self.tokens.exchange(call)
            case "POST", ("api", "x_acme", "kernel", "callback"):
                return self._scripted(call) if self._is_signed(call) else _unauthorized()
            case method, ("api", "now", *version, "table", table, sys_id):
                if not self._knows(call):
                    return _unauthorized()
                return self._record(method, call, table, sys_id) if len(version) < 2 else _bad()
            case "GET", ("api", "now", *version, "table", table):
                return self._find(call, table, version) if self._knows(call) else _unauthorized()
        return _bad()

    def _knows(self, call: Call) -> bool:
        return basic(call) == (self.user, self.password) or self.tokens.accepts(call)

    def _is_signed(self, call: Call) -> bool:
        """Whether login or HMAC fits: KEYID=...,SIGNATURE=base64, or the bare default's base64."""
        given = call.headers.get("x-sn-hmac-signature-256")
        if given is None:
            return self._knows(call)
        made = hmac.new(self.hmac_secret.encode(), call.body, hashlib.sha256).digest()
        signature = base64.b64encode(made).decode()
        return given in (signature, f"KEYID={self.hmac_key_id},SIGNATURE={signature}")

    def _find(self, call: Call, table: str, version: list[str]) -> Reply:
        rows = [one for one in self.tickets.values() if one.fields["table"] == table]
        for part in filter(None, call.query.get("sysparm_query", "").split("^")):
            name, equals, value = part.partition("=")
            if equals and name in ("number", "sys_id", "state", "correlation_id"):
                rows = [row for row in rows if _record(row).get(name, "") == value]
            elif self.is_strict:
                rows = []
        if not rows and version == ["v1"]:
            return _failure(404, "No Record found", "Record doesn't exist or ACL restricts it")
        limit = int(call.query.get("sysparm_limit", 10_000))
        return Reply(200, {"result": [_fields(row, call) for row in rows[:limit]]})

    def _record(self, method: str, call: Call, table: str, sys_id: str) -> Reply:
        found = [t for t in self.tickets.values() if (t.fields["table"], t.id) == (table, sys_id)]
        if not found:
            return _failure(404, "No Record found", "Record doesn't exist or ACL restricts it")
        if method == "GET":
            return Reply(200, {"result": _fields(found[0], call)})
        return self._change(call, found[0]) if method in ("PATCH", "PUT") else _bad()

    def _change(self, call: Call, ticket: Ticket) -> Reply:
        try:
            members = call.json()
        except ValueError:
            return _failure(400, "Exception while reading request", "The payload is not valid JSON")
        if members.get("state") in (RESOLVED, CLOSED) and not (
            members.get("close_code") and members.get("close_notes")
        ):
            return _data_policy()
        _write(ticket, members)
        if call.headers.get("x-no-response-body") == "true":
            return Reply(200)
        return Reply(200, {"result": _fields(ticket, call)})

    def _scripted(self, call: Call) -> Reply:
        """The script of the how-to: one note per delivery id."""
        members = call.members()
        ticket = self.tickets.get(members.get("number", ""))
        if ticket is None:
            return _failure(404, "No Record found", "no such number")
        if members["delivery_id"] not in self.taken:
            self.taken.add(members["delivery_id"])
            _write(ticket, {"work_notes": members["text"]})
        return Reply(200, {"result": {"number": ticket.number, "taken": True}})


def data_policy(call: Call, work: Callable[[], Reply]) -> Reply:
    """Refuse as a data policy does, and do nothing."""
    return _data_policy()


def no_rows(call: Call, work: Callable[[], Reply]) -> Reply:
    """Find nothing."""
    return Reply(200, {"result": []})


def two_rows(call: Call, work: Callable[[], Reply]) -> Reply:
    """Find the row twice, as in a table with a number that is not unique."""
    rows = work().body["result"]
    return Reply(200, {"result": [*rows, {**rows[0], "sys_id": "0" * 32}]})


def unrelated_row(call: Call, work: Callable[[], Reply]) -> Reply:
    """Find one row that was not asked for: an invalid part of a query is ignored."""
    (row,) = work().body["result"]
    return Reply(200, {"result": [{**row, "number": "INC9999999", "sys_id": "9" * 32}]})


def rate_limited(call: Call, work: Callable[[], Reply]) -> Reply:
    """Refuse by a rate rule, with the headers of the vendor's page."""
    headers = {
        "Retry-After": "41",
        "X-RateLimit-Limit": "500",
        "X-RateLimit-Reset": "1795890000",
        "X-RateLimit-Rule": "aa11bb22cc33dd44ee55ff6600112233",
    }
    return Reply(429, {"error": {"message": "Rate limit exceeded", "detail": ""}}, headers)


def _record(ticket: Ticket) -> dict[str, Any]:
    told = {"sys_id": ticket.id, "number": ticket.number, "state": ticket.state, **ticket.fields}
    told.pop("table")
    return {**told, **dict.fromkeys(JOURNALS, "")}  # journals are never told, also when written


def _fields(ticket: Ticket, call: Call) -> dict[str, Any]:
    told = _record(ticket)
    names = [name for name in call.query.get("sysparm_fields", "").split(",") if name]
    return {name: told[name] for name in names if name in told} if names else told


def _write(ticket: Ticket, members: dict[str, Any]) -> None:
    for name, value in members.items():
        if name in JOURNALS:
            if value:
                ticket.notes.append(Note(_shown(value), JOURNALS[name]))
        elif name == "state":
            ticket.state = str(value)
        elif name not in ("sys_id", "table"):
            ticket.fields[name] = value


def _shown(value: str) -> str:
    """Return a journal's entry as the form shows it: HTML within [code] is HTML."""
    parts = re.split(r"\[code\](.*?)\[/code\]", value, flags=re.IGNORECASE | re.DOTALL)
    return "".join(
        part if at % 2 else html.escape(part, quote=False) for at, part in enumerate(parts)
    )


def _failure(status: int, message: str, detail: str) -> Reply:
    told = {"error": {"message": message, "detail": detail}, "status": "failure"}
    return Reply(status, told)


def _unauthorized() -> Reply:
    made = _failure(401, "User Not Authenticated", "Required to provide Auth information")
    return made.with_headers(WWW_Authenticate='BASIC realm="Service-now"')


def _bad() -> Reply:
    return _failure(400, "Requested URI does not represent any resource", "")


def _data_policy() -> Reply:
    detail = "Data Policy Exception: The following fields are mandatory: Close code, Close notes"
    return _failure(403, "Operation Failed", detail)
