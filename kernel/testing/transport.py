"""A fake for the one seam to the outside world: it remembers what it was asked to send."""

import json
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kernel.errors import TransportError
from kernel.transport.addresses import CallbackPolicy
from kernel.transport.client import Request, Response


@dataclass(frozen=True, slots=True)
class Sent:
    """A request that a FakeTransport was asked to send."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    method: str = "POST"

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)


@dataclass(slots=True)
class FakeTransport:
    """Answers requests from a script and remembers them in ``sent``.

    It uses ``answers`` in turn and repeats the last one: an HTTP status, a reason of the
    transport's closed set (raised as TransportError), or a function of the `Sent`.
    """

    answers: list[int | str | Callable[[Sent], Response]] = field(default_factory=lambda: [200])
    sent: list[Sent] = field(default_factory=list)

    def send(self, request: Request, policy: CallbackPolicy, caller: Hashable = None) -> Response:
        """Remember the request and answer as scripted."""
        sent = Sent(request.url, dict(request.headers), request.body, request.method)
        self.sent.append(sent)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, str):
            raise TransportError(answer)
        if isinstance(answer, int):
            return Response(status=answer, headers={}, body=b"", phases={})
        return answer(sent)

    def sweep(self) -> None:
        """Do nothing: a fake has no connections."""

    def close(self) -> None:
        """Do nothing: a fake has no connections."""
