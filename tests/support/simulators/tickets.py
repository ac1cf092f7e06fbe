"""What the simulators keep: tickets with notes, and logins."""

from base64 import b64decode
from dataclasses import dataclass, field
from typing import Any

from tests.support.simulators.server import Call


@dataclass
class Note:
    """An entry of a ticket. ``is_public``: the person who asked for the work can read it."""

    text: str
    is_public: bool = False
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass
class Ticket:
    """A ticket: the id in URLs, the number that people see, and what was written into it."""

    id: str
    number: str
    state: Any
    notes: list[Note] = field(default_factory=list)
    fields: dict[str, Any] = field(default_factory=dict)

    @property
    def texts(self) -> list[str]:
        """The texts of its notes, oldest first."""
        return [note.text for note in self.notes]


def basic(call: Call) -> tuple[str, str] | None:
    """User and password of a request, None without a Basic login."""
    scheme, _, given = call.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    user, _, password = b64decode(given).decode().partition(":")
    return user, password


def bearer(call: Call) -> str | None:
    """The token of a request, None without one."""
    scheme, _, given = call.headers.get("authorization", "").partition(" ")
    return given if scheme.lower() == "bearer" else None
