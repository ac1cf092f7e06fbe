"""A receiver of CloudEvents 1.0 over HTTP, with the webhook profile's answers."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from tests.support.simulators.server import Call, Reply, Simulator
from tests.support.simulators.tickets import bearer

REQUIRED = ("specversion", "id", "source", "type")


@dataclass(frozen=True)
class Event:
    """An event as it arrived: its attributes and its data."""

    attributes: dict[str, str]
    data: Any


class CloudEvents(Simulator):
    """An endpoint at /events for one bearer token; both content modes."""

    token = "events-token"

    def __init__(self, tls: tuple[str, ...] = ()) -> None:
        super().__init__(tls)
        self.events: list[Event] = []
        #: Events that came again with the same source and id.
        self.repeats = 0

    def answer(self, call: Call) -> Reply:
        if call.segments != ("events",):
            return Reply(404)
        if call.method == "OPTIONS":
            allowed = {"WebHook-Allowed-Origin": "*", "WebHook-Allowed-Rate": "120"}
            return Reply(200, headers=allowed)
        if bearer(call) != self.token:
            return Reply(401, headers={"WWW-Authenticate": "Bearer"})
        if call.method != "POST":
            return Reply(405)
        try:
            event = self._read(call)
        except ValueError as problem:
            return Reply(400, {"error": str(problem)})
        return self._take(event) if event else Reply(415)

    def _read(self, call: Call) -> Event | None:
        """The event; None for a format that is not understood."""
        if call.media_type == "application/cloudevents+json":
            members = call.json()
            data = members.pop("data", None)
            return Event(_checked(members), data)
        if call.media_type.startswith("application/cloudevents"):
            return None
        if "ce-datacontenttype" in call.headers:
            raise ValueError("ce-datacontenttype: the type is Content-Type's")
        given = {name[3:]: value for name, value in call.headers.items() if name[:3] == "ce-"}
        attributes = {name: unquote(value, errors="strict") for name, value in given.items()}
        is_json = call.media_type == "application/json"
        return Event(_checked(attributes), json.loads(call.body) if is_json else call.body)

    def _take(self, event: Event) -> Reply:
        name = (event.attributes["source"], event.attributes["id"])
        if name in {(one.attributes["source"], one.attributes["id"]) for one in self.events}:
            self.repeats += 1
        else:
            self.events.append(event)
        return Reply(204)


def gone(call: Call, work: Callable[[], Reply]) -> Reply:
    """Refuse for good: 410 means that no more events are wanted."""
    return Reply(410)


def not_understood(call: Call, work: Callable[[], Reply]) -> Reply:
    """Refuse the format."""
    return Reply(415)


def _checked(attributes: dict[str, Any]) -> dict[str, str]:
    missing = [name for name in REQUIRED if not attributes.get(name)]
    if missing:
        raise ValueError(f"{missing[0]} is missing")
    if attributes["specversion"] != "1.0":
        raise ValueError("specversion is not 1.0")
    return attributes
