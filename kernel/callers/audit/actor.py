"""Who acts: a caller's key, a person, the account on the host, or kernel itself."""

from dataclasses import dataclass
from typing import Literal

from kernel.callers.identity import Identity

Via = Literal["page", "api", "cli", "system"]


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, how, and from where. ``key``: the first characters of the API key."""

    name: str
    via: Via
    address: str | None = None
    key: str | None = None


SYSTEM = Actor("kernel", "system")


def actor_of(who: Identity, via: Via, address: str | None) -> Actor:
    """Return the actor behind an identity: the person whose key it is, or the caller."""
    return Actor(who.person or who.name, via, address, who.key_prefix)
