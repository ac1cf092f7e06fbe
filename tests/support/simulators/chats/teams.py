"""Teams: a Workflows webhook, which answers before its flow runs."""

import hmac
from collections.abc import Callable
from typing import Any

from tests.support.simulators.server import Call, Reply, Simulator

MAX_BYTES = 28 * 1024


class Teams(Simulator):
    """A flow with the trigger "when a Teams webhook request is received", open to anyone."""

    path = "/powerautomate/automations/direct/workflows/0a1b2c/triggers/manual/paths/invoke"
    query = "api-version=1&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=aB3-dE_f%2Bg"

    def __init__(self, tls: tuple[str, ...] = ()) -> None:
        super().__init__(tls)
        self.cards: list[dict[str, Any]] = []

    @property
    def webhook(self) -> str:
        """The flow's URL; `sig` in its query is the login."""
        return f"{self.url}{self.path}?{self.query}"

    def answer(self, call: Call) -> Reply:
        path, _, query = call.target.partition("?")
        if path != self.path:
            return Reply(404, {"error": {"code": "WorkflowNotFound", "message": "not found"}})
        if not hmac.compare_digest(query, self.query):  # kept exactly as given, or it is refused
            return _refused(401, "DirectApiAuthorizationRequired")
        if len(call.body) > MAX_BYTES:
            return _refused(413, "RequestEntityTooLarge")
        attachments = call.members().get("attachments")
        if not attachments:
            return _refused(400, "TriggerInputSchemaMismatch")
        self.cards += [one["content"] for one in attachments]
        return Reply(202)

    @property
    def texts(self) -> list[str]:
        """The text of each card's first block that has one."""
        return [
            next(block["text"] for block in card["body"] if block.get("text"))
            for card in self.cards
        ]


def card_lost(call: Call, work: Callable[[], Reply]) -> Reply:
    """Answer 202; the flow fails later, and the sender is not told."""
    return Reply(202)


def throttled(call: Call, work: Callable[[], Reply]) -> Reply:
    """Refuse: more than four a second."""
    return Reply(429, {"error": {"code": "WorkflowTriggerThrottled"}}, {"Retry-After": "3"})


def _refused(status: int, code: str) -> Reply:
    return Reply(status, {"error": {"code": code, "message": code}})
