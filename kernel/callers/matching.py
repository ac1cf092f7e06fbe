"""Which receiver a URL belongs to: by origin and whole path segments. Pure.

A secret goes where this says, so a URL that two programs could read as two paths belongs to none:
empty, `.` and `..` segments, `;`, `\\`, control characters, and `/`, `\\` or `.` that are encoded,
once or more often. The query is no part of the comparison.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Self, TypeVar
from urllib.parse import unquote_to_bytes

from kernel.errors import AddressRefused
from kernel.transport.addresses import origin_of

Key = TypeVar("Key")
# What a `callback_url` begins with that names a receiver.
NAMED = "receiver:"

_PATH = re.compile(r"[^:]*://[^/?#]*([^?#]*)")
_HIDDEN = re.compile(rb"%(?:2e|2f|5c)", re.IGNORECASE)
_AMBIGUOUS = re.compile(rb"[\x00-\x1f\x7f;\\]")


@dataclass(frozen=True, slots=True)
class Prefix:
    """An origin and the decoded segments that a path begins with."""

    origin: str
    segments: tuple[bytes, ...] = ()

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read where a URL leads, without its query.

        Raises ValueError, which says what is wrong, for a URL that no receiver may have and that
        belongs to none.
        """
        try:
            origin = origin_of(url)
        except AddressRefused as refused:
            raise ValueError(refused.message) from None
        match = _PATH.match(url)
        path = "" if match is None else match.group(1)
        # What stands behind the last slash may be empty: with and without it is the same place.
        parts = path.removeprefix("/").removesuffix("/")
        return cls(origin, tuple(map(_segment, parts.split("/"))) if parts else _root(path))

    def begins(self, place: "Prefix") -> bool:
        """Tell whether ``place`` is at this prefix or below it."""
        return place.origin == self.origin and place.segments[: len(self.segments)] == self.segments


def is_named(url: str) -> bool:
    """Tell whether a `callback_url` names a receiver instead of an address."""
    return url.startswith(NAMED)


def matches(prefix: Prefix, url: str) -> bool:
    """Tell whether ``url`` is at the prefix or below it."""
    return best(url, {True: prefix}) is not None


def best(url: str, prefixes: Mapping[Key, Prefix]) -> Key | None:
    """Return the key of the longest prefix that ``url`` is below; of several, the first."""
    try:
        place = Prefix.parse(url)
    except ValueError:
        return None
    found = [key for key, prefix in prefixes.items() if prefix.begins(place)]
    return max(found, key=lambda key: len(prefixes[key].segments), default=None)


def nearest(url: str, places: Mapping[Key, str]) -> Key | None:
    """Return the key of the longest of ``places``, URLs, that ``url`` is below.

    What is no URL that a receiver may have has nothing below it: a row may be older than a rule,
    and one row must not keep the others from being found.
    """
    prefixes: dict[Key, Prefix] = {}
    for key, place in places.items():
        with suppress(ValueError):
            prefixes[key] = Prefix.parse(place)
    return best(url, prefixes)


def _root(path: str) -> tuple[bytes, ...]:
    if len(path) > 1:
        raise ValueError("the path has an empty segment")
    return ()


def _segment(part: str) -> bytes:
    """Decode one segment, until nothing in it is encoded, and look at each layer."""
    if not part:
        raise ValueError("the path has an empty segment")
    first, read, found = unquote_to_bytes(part), b"", part.encode()
    while found != read:
        if _HIDDEN.search(found):
            raise ValueError("the path has an encoded dot, slash or backslash")
        if found in (b".", b"..") or _AMBIGUOUS.search(found):
            raise ValueError("the path has a segment . or .., a ; \\ or a control character")
        read, found = found, unquote_to_bytes(found)
    return first
