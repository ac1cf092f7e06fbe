"""Jira Data Center: the v2 API under a context path, personal access tokens, rate headers."""

from collections.abc import Callable
from typing import Any

from tests.support.simulators.faults import ABSURD_WAIT
from tests.support.simulators.server import Call, Reply
from tests.support.simulators.service_desks.jira_issues import JiraIssues, invisible
from tests.support.simulators.tickets import bearer


class JiraDataCenter(JiraIssues):
    """A node with one user's personal access token, at the context path /jira."""

    token = "personal-access-token"

    def __init__(self, tls: tuple[str, ...] = ()) -> None:
        super().__init__(tls)
        self.url += "/jira"
        self.left = 10

    def answer(self, call: Call) -> Reply:
        made = self._answer(call)
        return made.with_headers(
            X_AUSERNAME="kernel" if bearer(call) == self.token else "anonymous",
            X_RateLimit_Limit="10",
            X_RateLimit_Remaining=str(self.left),
            X_RateLimit_Interval_Seconds="1",
            X_RateLimit_FillRate="2",
            Retry_After="0",
        )

    def _answer(self, call: Call) -> Reply:
        match call.segments:
            case ("jira", "rest", "api", "2", "issue", key, *rest):
                # A bad token counts as anonymous, who sees nothing: 404 and not 401.
                return self.issue(call, key, tuple(rest)) if self._knows(call) else invisible()
        return Reply(404, "<html><body>dead link</body></html>", content_type="text/html")

    def _knows(self, call: Call) -> bool:
        return bearer(call) == self.token

    def text_of(self, body: Any) -> str | None:
        """Texts are wiki markup; a document in ADF is refused."""
        return body if isinstance(body, str) else None


def blocked(call: Call, work: Callable[[], Reply]) -> Reply:
    """Refuse as for a user who is blocked: Retry-After is 2^63-1 s."""
    headers = {
        "Retry-After": ABSURD_WAIT,
        "X-RateLimit-Limit": "0",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Interval-Seconds": "1",
        "X-RateLimit-FillRate": "0",
    }
    return Reply(429, {"message": "Rate limit exceeded."}, headers)
