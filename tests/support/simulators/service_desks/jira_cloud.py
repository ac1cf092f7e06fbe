"""Jira Cloud: comments, transitions, JSM's comments, and an automation rule's webhook."""

from collections.abc import Callable
from typing import Any

from tests.support.simulators.server import Call, Reply
from tests.support.simulators.service_desks.jira_issues import JiraIssues, invisible, refused
from tests.support.simulators.tickets import Note, basic


class JiraCloud(JiraIssues):
    """A site with one user's API token and one automation rule."""

    email, api_token = "kernel@example.com", "atlassian-token"
    site, rule, rule_secret = "site-1", "rule-1", "rule-secret"

    def answer(self, call: Call) -> Reply:
        if call.segments[:5] == ("automation", "webhooks", "jira", "a", self.site):
            return self._automation(call)
        if basic(call) != (self.email, self.api_token):
            return Reply(401, {"errorMessages": ["Client must be authenticated"], "errors": {}})
        match call.segments:
            case ("rest", "api", "2" | "3", "issue", key, *rest):
                return self.issue(call, key, tuple(rest))
            case ("rest", "servicedeskapi", "request", key, "comment") if call.method == "POST":
                return self._request_comment(call, key)
            case ("rest", "api", "3", "search"):
                return Reply(410, {"errorMessages": ["removed: use /search/jql"], "errors": {}})
        return Reply(404, {"errorMessages": ["no such address"], "errors": {}})

    def text_of(self, body: Any) -> str | None:
        """Texts come as wiki markup (v2) or as a document in ADF (v3)."""
        return body if isinstance(body, str) else _text_of_document(body)

    def issue(self, call: Call, key: str, rest: tuple[str, ...]) -> Reply:
        """A text is a string in v2 and a document in v3; the other form is refused."""
        bodies = [call.members().get("body")] if rest == ("comment",) else []
        changes = call.members().get("update", {}).get("comment", [])
        bodies += [change["add"].get("body") for change in changes]
        wants = dict if call.segments[2] == "3" else str
        if call.method == "POST" and not all(isinstance(body, wants) for body in bodies):
            return refused(400, comment="Operation value must be an Atlassian Document")
        return super().issue(call, key, rest)

    def _request_comment(self, call: Call, key: str) -> Reply:
        ticket = self.tickets.get(key)
        if ticket is None:
            return invisible()
        members = call.members()
        if not isinstance(members.get("body"), str) or not members["body"]:
            return Reply(400, {"errorMessage": "Comment body is required"})
        note = Note(members["body"], members.get("public", True))
        ticket.notes.append(note)
        return Reply(201, {"id": str(len(ticket.notes)), "public": note.is_public})

    def _automation(self, call: Call) -> Reply:
        """Take the call; the rule comments on the issues, and the answer does not wait for it."""
        if call.segments[5:] != (self.rule,):
            return Reply(404)
        if call.headers.get("x-automation-webhook-token") != self.rule_secret:
            return Reply(401)
        members = call.members()
        for key in members.get("issues", []):
            if key in self.tickets:
                data = members.get("data", {})
                self.tickets[key].notes.append(Note(data.get("text", ""), False, data))
        return Reply(200)


def too_many_writes(call: Call, work: Callable[[], Reply]) -> Reply:
    """Refuse because of too many writes to one issue."""
    headers = {
        "Retry-After": "5",
        "X-RateLimit-Limit": "20",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": "2026-11-28T18:00:00Z",
        "RateLimit-Reason": "jira-per-issue-on-write",
    }
    return Reply(429, {"errorMessages": ["Rate limit exceeded"], "errors": {}}, headers)


def _text_of_document(body: Any) -> str | None:
    """The text of an ADF document; None if it is not one, or has an empty text node."""
    if not isinstance(body, dict) or (body.get("type"), body.get("version")) != ("doc", 1):
        return None
    paragraphs = [_text_of_node(node) for node in body.get("content", [])]
    return None if None in paragraphs else "\n".join(filter(None, paragraphs))


def _text_of_node(node: dict[str, Any]) -> str | None:
    if node["type"] == "text":
        return node.get("text") or None
    if node["type"] == "hardBreak":
        return "\n"
    inner = [_text_of_node(one) for one in node.get("content", [])]
    return None if None in inner else "".join(filter(None, inner))
