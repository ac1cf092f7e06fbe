"""Filters as JSON: what a bulk act keeps in its row and the audit trail says."""

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any, ClassVar, Self

from kernel.formats.envelope import rfc3339
from kernel.formats.moments import moment


class Kept:
    """A filter, of which what is set can be kept as JSON and read again."""

    __slots__ = ()
    # How a member is made of its JSON, where the JSON is not the member itself.
    read: ClassVar[Mapping[str, Any]] = {}

    def kept(self) -> dict[str, Any]:
        """Return what is set of it, by name, as JSON can say it."""
        given = {one.name: getattr(self, one.name) for one in fields(self)}  # type: ignore[arg-type]
        return {name: _json(value) for name, value in given.items() if value not in (None, False)}

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Self:
        """Return the filter that was kept. Raises ValueError, TypeError for what is none."""
        return cls(**{name: cls.read.get(name, _as_it_is)(value) for name, value in kept.items()})


def _as_it_is(value: Any) -> Any:
    return value


def _json(value: Any) -> Any:
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, frozenset):
        return sorted(value)
    return list(value) if isinstance(value, tuple) else value


def written_moment(value: Any) -> datetime:
    """Read a time that `Kept.kept` wrote. Raises ValueError."""
    found = moment(value)
    if found is None:
        raise ValueError(f"{value!r} is no time")
    return found
