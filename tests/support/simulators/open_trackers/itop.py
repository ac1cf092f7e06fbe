"""iTop: webservices/rest.php, which answers 200 to everything."""

import json
import re
from collections.abc import Callable
from html import unescape
from typing import Any

from tests.support.simulators.server import Call, Reply, Simulator
from tests.support.simulators.tickets import Note, Ticket

#: From each state, what each stimulus leads to.
STIMULI = {
    "new": {"ev_assign": "assigned"},
    "assigned": {"ev_resolve": "resolved", "ev_pending": "pending"},
    "pending": {"ev_assign": "assigned"},
    "resolved": {"ev_close": "closed", "ev_reopen": "assigned"},
    "closed": {},
}
LOGS = {"private_log": False, "public_log": True}
UNAUTHORIZED, NO_VERSION, NO_DATA, BAD_DATA, BAD_OPERATION, INTERNAL = 1, 2, 3, 4, 11, 100


class ITop(Simulator):
    """An installation with one user, whose profile allows the REST services."""

    user, password = "kernel", "secret"

    def __init__(self, tls: tuple[str, ...] = ()) -> None:
        super().__init__(tls)
        self.tickets: dict[str, Ticket] = {}

    def open(self, ref: str, state: str = "assigned") -> Ticket:
        """Make a user request; it has an agent, so it can be resolved."""
        ticket = Ticket(str(len(self.tickets) + 1), ref, state)
        self.tickets[ref] = ticket
        return ticket

    def answer(self, call: Call) -> Reply:
        if call.method != "POST" or call.segments != ("webservices", "rest.php"):
            return Reply(404, "<html>not found</html>", content_type="text/html")
        form = call.form
        if (form.get("auth_user"), form.get("auth_pwd")) != (self.user, self.password):
            return _told(UNAUTHORIZED, "Error: Invalid login")
        if not call.query.get("version", form.get("version")):
            return _told(NO_VERSION, "Error: Missing parameter 'version'")
        if "json_data" not in form:
            return _told(NO_DATA, "Error: Missing parameter 'json_data'")
        try:
            return self._operate(json.loads(form["json_data"]))
        except ValueError:
            return _told(BAD_DATA, "Error: Parameter json_data is not a valid JSON structure")

    def _operate(self, asked: dict[str, Any]) -> Reply:
        if asked.get("operation") not in ("core/update", "core/apply_stimulus"):
            return _told(BAD_OPERATION, f"Error: Unknown verb '{asked.get('operation')}'")
        missing = {"class", "key", "fields", "comment"} - asked.keys()
        if missing:
            return _told(INTERNAL, f"Error: Missing parameter '{min(missing)}'")
        found = self._find(asked["key"])
        if len(found) != 1:
            wrong = "No item found" if not found else f"Several items found ({len(found)})"
            return _told(INTERNAL, f"Error: {wrong} with criteria: {json.dumps(asked['key'])}")
        if asked["operation"] == "core/apply_stimulus":
            return self._stimulate(found[0], asked)
        return self._save(found[0], asked["fields"], asked["class"])

    def _find(self, key: Any) -> list[Ticket]:
        if isinstance(key, dict):
            return [t for t in self.tickets.values() if key.get("ref", t.number) == t.number]
        return [t for t in self.tickets.values() if t.id == str(key)]

    def _stimulate(self, ticket: Ticket, asked: dict[str, Any]) -> Reply:
        stimulus, state = asked.get("stimulus", ""), ticket.state
        if stimulus not in STIMULI[state]:
            where = f"on the object {asked['class']}::{ticket.id} in state '{state}'"
            return _told(INTERNAL, f"Error: Invalid stimulus: '{stimulus}' {where}")
        if stimulus == "ev_resolve" and not asked["fields"].get("solution"):
            wrong = "Missing mandatory attribute(s) for applying the stimulus: solution."
            return _told(INTERNAL, f"Error: {wrong}")
        ticket.state = STIMULI[state][stimulus]
        return self._save(ticket, asked["fields"], asked["class"])

    def _save(self, ticket: Ticket, fields: dict[str, Any], kind: str) -> Reply:
        for name, value in fields.items():
            if name in LOGS:
                ticket.notes.append(Note(_text_of_entry(value["add_item"]), LOGS[name], value))
            else:
                ticket.fields[name] = value
        told = {"id": ticket.id, "ref": ticket.number, "status": ticket.state}
        item = {"code": 0, "message": "updated", "class": kind, "key": ticket.id, "fields": told}
        return Reply(200, {"code": 0, "message": "", "objects": {f"{kind}::{ticket.id}": item}})


def no_objects(call: Call, work: Callable[[], Reply]) -> Reply:
    """Refuse the stimulus late: code 0 without objects, and nothing saved."""
    return Reply(200, {"code": 0, "message": "", "objects": None})


def database_trouble(call: Call, work: Callable[[], Reply]) -> Reply:
    """Fail in iTop's database: code 100, and it passes."""
    wrong = "Failed to issue SQL query: mysql_errno = 1213, mysql_error = Deadlock found"
    return _told(INTERNAL, f"Error: {wrong}")


def login_page(call: Call, work: Callable[[], Reply]) -> Reply:
    """Send the client to the configured address, as the login code does for another one."""
    return Reply(307, headers={"Location": "https://itop.example.net/pages/UI.php"})


def _text_of_entry(entry: dict[str, Any]) -> str:
    """The text of a log entry: HTML, unless its format is text."""
    message: str = entry["message"]
    if entry.get("format") == "text":
        return message
    return unescape(re.sub(r"<[^>]*>", "", message))


def _told(code: int, message: str) -> Reply:
    return Reply(200, {"code": code, "message": message})
