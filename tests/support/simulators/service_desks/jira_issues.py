"""What Jira Cloud and Jira Data Center share: issues, comments, a workflow of transitions."""

from collections.abc import Callable
from typing import Any

from tests.support.simulators.server import Call, Reply, Simulator
from tests.support.simulators.tickets import Note, Ticket

MAX_TEXT = 32_767

#: The stock workflow: from each status, the ids of the transitions on offer and where they lead.
WORKFLOW = {
    "To Do": {"21": "In Progress", "31": "Done"},
    "In Progress": {"11": "To Do", "31": "Done"},
    "Done": {"11": "To Do"},
}


class JiraIssues(Simulator):
    """A site's issues; subclasses know its logins and its form of text."""

    #: Members of ``fields`` that are on the screen of a transition; others are refused.
    on_screen: frozenset[str] = frozenset({"resolution"})
    #: Whether the screen takes a comment with the transition.
    takes_comment = True

    def __init__(self, tls: tuple[str, ...] = ()) -> None:
        super().__init__(tls)
        self.tickets: dict[str, Ticket] = {}

    def open(self, key: str) -> Ticket:
        """Make an issue."""
        ticket = Ticket(str(10_000 + len(self.tickets)), key, "To Do", fields={"labels": []})
        self.tickets[key] = ticket
        return ticket

    def text_of(self, body: Any) -> str | None:
        """The text of a comment's ``body``; None if the form is wrong."""
        raise NotImplementedError

    def issue(self, call: Call, key: str, rest: tuple[str, ...]) -> Reply:
        """Answer for /issue/{key} and what is below."""
        ticket = self.tickets.get(key)
        if ticket is None:
            return invisible()
        match call.method, rest:
            case "POST", ("comment",):
                return self._comment(call, ticket)
            case "GET", _:
                return _shown(call, ticket, rest)
            case "POST", ("transitions",):
                return self._transition(call, ticket)
            case "PUT", ():
                return _label(call, ticket)
        return Reply(405)

    def _comment(self, call: Call, ticket: Ticket) -> Reply:
        members = call.members()
        made = self._note(members)
        if isinstance(made, Reply):
            return made
        ticket.notes.append(made)
        return Reply(201, {"id": str(len(ticket.notes)), "body": members["body"]})

    def _note(self, members: dict[str, Any]) -> Note | Reply:
        text = self.text_of(members.get("body"))
        if not text:
            return refused(400, comment="Comment body is not valid!")
        if len(text) > MAX_TEXT:
            return refused(400, comment=f"The entered text is too long: {len(text)}")
        properties = {one["key"]: one["value"] for one in members.get("properties", [])}
        is_internal = properties.get("sd.public.comment", {}).get("internal", False)
        return Note(text, not is_internal, {"body": members["body"], "properties": properties})

    def _transition(self, call: Call, ticket: Ticket) -> Reply:
        members = call.members()
        wanted = str(members.get("transition", {}).get("id", ""))
        if wanted not in WORKFLOW[ticket.state]:
            return transition_gone(call, Reply)
        unknown = set(members.get("fields", {})) - self.on_screen
        if unknown:
            told = "cannot be set. It is not on the appropriate screen, or unknown."
            return refused(400, **{name: f"Field '{name}' {told}" for name in sorted(unknown)})
        notes = []
        for change in members.get("update", {}).get("comment", []):
            made = self._note(change["add"])
            if isinstance(made, Reply):
                return made
            if not self.takes_comment:
                return refused(400, comment="Field 'comment' cannot be set.")
            notes.append(made)
        ticket.notes += notes
        ticket.state = WORKFLOW[ticket.state][wanted]
        ticket.fields |= members.get("fields", {})
        return Reply(204)


def transition_gone(call: Call, work: Callable[[], Reply]) -> Reply:
    """Refuse: the transition is not on offer from the present status, or not for this user."""
    told = "It seems that you have tried to perform a workflow operation that is not valid"
    return Reply(400, {"errorMessages": [told], "errors": {}})


def conflict(call: Call, work: Callable[[], Reply]) -> Reply:
    """Refuse because another update of the issue is under way."""
    return Reply(409, {"errorMessages": ["conflicting update"], "errors": {}})


def invisible() -> Reply:
    """The answer for an issue that is missing, or not visible to this user."""
    told = "Issue does not exist or you do not have permission to see it."
    return Reply(404, {"errorMessages": [told], "errors": {}})


def refused(status: int, **errors: str) -> Reply:
    """The answer that names the members that are wrong."""
    return Reply(status, {"errorMessages": [], "errors": errors})


def _shown(call: Call, ticket: Ticket, rest: tuple[str, ...]) -> Reply:
    if rest == ("transitions",):
        return Reply(200, {"transitions": _offered(ticket)})
    if rest == ("comment",):
        return Reply(200, _comments(call, ticket))
    status = {"name": ticket.state, "statusCategory": {"key": _category(ticket.state)}}
    return Reply(200, {"key": ticket.number, "fields": {"status": status}})


def _comments(call: Call, ticket: Ticket) -> dict[str, Any]:
    """A page of the comments: the oldest when nothing else is asked for, and 100 at the most."""
    comments = [{"id": str(n), "body": one.extra["body"]} for n, one in enumerate(ticket.notes)]
    if call.query.get("orderBy") == "-created":
        comments.reverse()
    start = int(call.query.get("startAt", "0"))
    end = start + min(int(call.query.get("maxResults", "100")), 100)
    return {"comments": comments[start:end], "startAt": start, "total": len(comments)}


def _label(call: Call, ticket: Ticket) -> Reply:
    for change in call.members().get("update", {}).get("labels", []):
        ticket.fields["labels"].append(change["add"])
    return Reply(204)


def _offered(ticket: Ticket) -> list[dict[str, Any]]:
    return [
        {"id": one, "name": to, "to": {"name": to, "statusCategory": {"key": _category(to)}}}
        for one, to in WORKFLOW[ticket.state].items()
    ]


def _category(status: str) -> str:
    return {"To Do": "new", "Done": "done"}.get(status, "indeterminate")
