"""Slack: an incoming webhook. The URL is the secret, the answer is a word."""

from collections.abc import Callable

from tests.support.simulators.server import Call, Fault, Reply, Simulator

#: The status that each word comes with.
WORDS = {
    "invalid_payload": 400,
    "no_text": 400,
    "action_prohibited": 403,
    "invalid_token": 403,
    "no_service": 404,
    "channel_not_found": 404,
    "channel_is_archived": 410,
    "rollup_error": 500,
}


class Slack(Simulator):
    """A workspace with one webhook."""

    path = "/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"

    def __init__(self, tls: tuple[str, ...] = ()) -> None:
        super().__init__(tls)
        self.messages: list[str] = []

    @property
    def webhook(self) -> str:
        """The webhook's URL, which is its secret."""
        return self.url + self.path

    def answer(self, call: Call) -> Reply:
        if call.target != self.path:
            return word("no_service")(call, Reply)
        members = call.members()
        if not members:
            return word("invalid_payload")(call, Reply)
        if not members.get("text") and not members.get("blocks"):
            return word("no_text")(call, Reply)
        self.messages.append(members["text"])
        return Reply(200, "ok", content_type="text/html")


def word(name: str) -> Fault:
    """Answer with a bare word and its status, and do nothing."""
    return lambda call, work: Reply(WORDS[name], name, content_type="text/html")


def throttled(call: Call, work: Callable[[], Reply]) -> Reply:
    """Refuse: more than about one message a second."""
    return Reply(429, "rate_limited", {"Retry-After": "1"}, content_type="text/html")
