"""What a list holds, by error, tag, caller and receiver: each group leads to the list of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kernel.callers.matching import NAMED
from kernel.filters.callbacks import CallbackFilter
from kernel.filters.counts import Counts
from kernel.filters.orders import NONE
from kernel.formats.hosts import read_host
from kernel.views.dashboard.lists.query import Asked

# Groups of a kind that are told one by one.
SHOWN = 6


@dataclass(frozen=True, slots=True)
class Group:
    """One group: what it is called, how many there are, and the fields that narrow to it."""

    name: str
    count: int
    # None where no field says so; empty where the list holds nothing else by its own fields.
    fields: Mapping[str, str] | None


@dataclass(frozen=True, slots=True)
class Kind:
    """The groups of a kind, the largest first, by the key of its text."""

    title: str
    groups: tuple[Group, ...]
    # How many more groups there are.
    more: int


def groups_of(counts: Counts, asked: Asked[Any]) -> list[Kind]:
    """Return the groups of what was counted."""
    error = "died_of" if isinstance(asked.wanted, CallbackFilter) else "error"
    callers = {asked.callers.get(one, ""): n for one, n in counts.by_caller.items()}
    kinds = (
        _kind(error, counts.by_error, lambda name: {error: name}, asked),
        _kind("tag", counts.by_tag, lambda name: {"tag": name}, asked),
        _kind("caller", callers, lambda name: {"caller": name}, asked),
        _kind("receiver", counts.by_receiver, _to_receiver, asked),
    )
    return [kind for kind in kinds if kind.groups]


def _kind(title: str, found: Mapping[Any, int], narrowed: Any, asked: Asked[Any]) -> Kind:
    named = {name: n for name, n in found.items() if name or title == "receiver"}
    groups = []
    for name, n in list(named.items())[:SHOWN]:
        fields = narrowed(name)
        is_asked = fields is not None and fields.items() <= asked.fields.items()
        shown = (name or "").removeprefix(NAMED)
        groups.append(Group(shown, n, {} if is_asked else fields))
    return Kind(title, tuple(groups), max(0, len(named) - SHOWN))


def _to_receiver(origin: str) -> Mapping[str, str] | None:
    """Return the field by which orders or callbacks to an origin, or a receiver, are found."""
    if not origin:
        return {"callback": NONE}
    if origin.startswith(NAMED):
        return {"receiver": origin.removeprefix(NAMED)}
    try:
        return {"host": read_host(origin)}
    except ValueError:  # of a release that took what this one does not
        return None
