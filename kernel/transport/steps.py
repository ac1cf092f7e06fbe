"""What happens on the way to a receiver, for one that watches a single request."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Resolved:
    """A name has these addresses. They are not vetted yet."""

    name: str
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection to a vetted address is open; ``milliseconds``: how long that took."""

    address: str
    port: int
    through_proxy: bool
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Secured:
    """The receiver was verified; ``certificate``: as `ssl.SSLSocket.getpeercert` has it."""

    version: str
    certificate: Mapping[str, Any]


# Is called in the thread that sends, in the order of the steps.
Observer = Callable[[Any], None]
