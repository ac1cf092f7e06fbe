"""The fields of a filter as text: of an address, of a form, of options; and the filter as fields.

One reader for pages, the API and the command line, so that a field means the same everywhere.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, select
from sqlalchemy.orm import Session

from kernel.config.near import did_you_mean
from kernel.db.ids import ID
from kernel.db.states import DeliveryState, OrderState
from kernel.db.tables.callers import Caller
from kernel.filters.callbacks import CallbackFilter
from kernel.filters.moments import WORDS, ZONELESS, Here, moment, zone_named
from kernel.filters.orders import NONE, OrderFilter
from kernel.formats.envelope import rfc3339
from kernel.formats.hosts import read_host
from kernel.formats.reference import WORDS as REFERENCE_WORDS
from kernel.formats.reference import is_reference

MAX_TEXT = 200
MAX_IDS = 100
_WORD = re.compile(r"[!-~]+")
# Other names of fields: those that addresses of the API have had first.
ALIASES = {"select_tag": "tag", "text": "q"}
# What is said of a field that `blank` names.
SAYS_NOTHING = "it says nothing: leave it out"
BEGINNINGS = {"since": "until", "ended_since": "ended_until"}

Filter = TypeVar("Filter", OrderFilter, CallbackFilter)


@dataclass(frozen=True, slots=True)
class Known:
    """What fields are read by: the callers by name, the time, and the reader's zone."""

    callers: Mapping[str, int]
    here: Here

    def caller(self, name: str) -> int:
        """Return a caller's id. Raises ValueError for an unknown one."""
        if name in self.callers:
            return self.callers[name]
        hint = did_you_mean(name, self.callers)
        raise ValueError(f"there is no caller {name[:100]!r}{hint}")


@dataclass(frozen=True, slots=True)
class Read(Generic[Filter]):
    """A filter as it was given and as it was understood."""

    wanted: Filter
    # The fields that were given, by their first names.
    given: dict[str, str] = field(default_factory=dict)
    # What is wrong with those that make no sense, in words.
    wrong: dict[str, str] = field(default_factory=dict)


def known(asked: Connection | Session, here: Here) -> Known:
    """Return what fields are read by."""
    found = asked.execute(select(Caller.name, Caller.id).order_by(Caller.name))
    return Known({row.name: row.id for row in found}, here)


def caller_names(asked: Connection | Session) -> dict[int, str]:
    """Return the callers' names by id."""
    return {row.id: row.name for row in asked.execute(select(Caller.id, Caller.name))}


def read_orders(given: Mapping[str, str], by: Known) -> Read[OrderFilter]:
    """Read the fields of a filter of orders; those of other names are left alone."""
    return _read(OrderFilter(), _ORDERS, given, by)


def read_callbacks(given: Mapping[str, str], by: Known) -> Read[CallbackFilter]:
    """Read the fields of a filter of callbacks; those of other names are left alone."""
    return _read(CallbackFilter(), _CALLBACKS, given, by)


def blank(given: Mapping[str, str]) -> list[str]:
    """Return the fields that are given and say nothing.

    `read_orders` and `read_callbacks` take them for not given: forms send every field. In an act
    the value may have got lost, and without the field it would be for everything.
    """
    return [name for name, text in given.items() if not text.strip()]


def written(wanted: OrderFilter | CallbackFilter, callers: Mapping[int, str]) -> dict[str, str]:
    """Return the fields that a filter is read from again, its times absolute.

    ``callers``: names by id. What no field says (`tags`) is left out.
    """
    readers: Mapping[str, Reader] = _ORDERS if isinstance(wanted, OrderFilter) else _CALLBACKS
    values = {name: getattr(wanted, member) for name, (member, _) in readers.items()}
    values |= dict.fromkeys(("caller",), callers.get(wanted.caller_id or 0))
    if isinstance(wanted, OrderFilter) and wanted.text is None:
        values["q"] = wanted.words
    return {name: _text(value) for name, value in values.items() if value is not None}


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return rfc3339(value) or ""
    return ",".join(value) if isinstance(value, tuple) else str(value)


Reader = tuple[str, Callable[[str], Any] | None]


def _read(
    empty: Filter, readers: Mapping[str, Reader], given: Mapping[str, str], by: Known
) -> Read[Filter]:
    said = {name: text.strip() for name, text in given.items() if text.strip()}
    named = said | {ALIASES[name]: text for name, text in said.items() if name in ALIASES}
    fields = {name: named[name] for name in (*readers, "zone") if name in named}
    values: dict[str, Any] = {}
    wrong = {
        first: f"it is given twice, as {first} and as {alias}"
        for alias, first in ALIASES.items()
        if first in readers and alias in said and said.get(first, said[alias]) != said[alias]
    }
    here = by.here
    try:
        here = replace(here, zone=zone_named(fields["zone"])) if "zone" in fields else here
    except ValueError as error:
        wrong["zone"] = str(error)
    for name, (member, how) in readers.items():
        if name not in fields or name in wrong:
            continue
        try:
            if how is not None:
                values[member] = how(fields[name])
            elif name == "caller":
                values[member] = by.caller(fields[name])
            else:
                values[member] = _moment(name, fields[name], here, values)
        except ValueError as error:
            wrong[name] = str(error)
    return Read(replace(empty, **values), fields, wrong)


def _moment(name: str, text: str, here: Here, values: Mapping[str, Any]) -> datetime:
    """Read a time; a time of day that ends a window is the first one after its beginning."""
    after = next((values.get(one) for one, end in BEGINNINGS.items() if end == name), None)
    try:
        return moment(text, here, after)
    except ValueError as error:
        said = ZONELESS if str(error) == ZONELESS else f"write {WORDS}"
        raise ValueError(f"{text[:40]!r} is no time: {said}") from None


def _one_of(kind: type[OrderState] | type[DeliveryState], *more: str) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        if text in more:
            return text
        try:
            return kind(text)
        except ValueError:
            names = ", ".join([*kind, *more])
            raise ValueError(f"{text[:40]!r} is none of {names}") from None

    return read


def _word(most: int) -> Callable[[str], str]:
    def read(text: str) -> str:
        if len(text) > most or not _WORD.fullmatch(text):
            raise ValueError(f"it is up to {most} visible ASCII characters, without spaces")
        return text

    return read


def _reference(text: str) -> str:
    if not is_reference(text):
        raise ValueError(f"it is {REFERENCE_WORDS}")
    return text


def _id(text: str) -> str:
    if not ID.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is no id")
    return text


def _ids(text: str) -> tuple[str, ...]:
    found = tuple(map(_id, text.split(",")))
    if len(found) > MAX_IDS:
        raise ValueError(f"these are more than {MAX_IDS} ids")
    return found


def _words(text: str) -> str:
    if len(text) > MAX_TEXT or not text.isprintable():
        raise ValueError(f"it is up to {MAX_TEXT} characters that can be seen")
    return text


# By field: the filter's member, and how it is read; None: by what is known.
_BOTH: dict[str, Reader] = {
    "tag": ("select_tag", _word(100)),
    "caller": ("caller_id", None),
    "host": ("host", read_host),
    "receiver": ("receiver", _word(100)),
    "error": ("error", _word(64)),
    "reference": ("reference", _reference),
    "reference_prefix": ("reference_prefix", _reference),
    "ordering_key": ("ordering_key", _reference),
    "batch": ("batch", _id),
    "since": ("since", None),
    "until": ("until", None),
}
_ORDERS: dict[str, Reader] = {
    "state": ("state", _one_of(OrderState)),
    **_BOTH,
    "callback": ("callback", _one_of(DeliveryState, NONE)),
    "waiting": ("waiting", _reference),  # behind a limit it holds a value of any characters
    "fingerprint": ("fingerprint", _word(16)),
    "q": ("text", _words),
    "ids": ("ids", _ids),
    "ended_since": ("ended_since", None),
    "ended_until": ("ended_until", None),
}
_CALLBACKS: dict[str, Reader] = {
    "state": ("state", _one_of(DeliveryState)),
    **_BOTH,
    "died_of": ("died_of", _word(32)),
    "order": ("order_id", _id),
}
ORDER_FIELDS, CALLBACK_FIELDS = tuple(_ORDERS), tuple(_CALLBACKS)
