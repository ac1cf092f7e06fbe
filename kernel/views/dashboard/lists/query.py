"""What an address asks of a list: a filter, as given and as understood; numbers in addresses."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Generic

from flask import Response, request
from sqlalchemy import Connection
from sqlalchemy.orm import Session

from kernel.errors import NotFound
from kernel.filters.fields import Filter, Known, Read, known
from kernel.filters.moments import Here
from kernel.views.html.rendering import go_to, here, is_fragment

# `str.isdigit` and `int` know digits of other scripts, and `int` refuses very many.
NUMBER = re.compile(r"[0-9]{1,11}")
# Fields that hold a time, which is read in the zone that the address names.
TIMES = ("since", "until", "ended_since", "ended_until")
Reader = Callable[[Mapping[str, str], Known], Read[Filter]]


def number(given: str) -> int:
    """Read a count: up to eleven of the digits 0 to 9; anything else is 0."""
    return int(given) if NUMBER.fullmatch(given) else 0


def row_id(given: str) -> int:
    """Read the number of a row in an address. Raises NotFound for what can be none."""
    if not NUMBER.fullmatch(given):
        raise NotFound
    return int(given)


@dataclass(frozen=True, slots=True)
class Asked(Generic[Filter]):
    """The fields of an address, as they were given and as they were understood."""

    read: Read[Filter]
    # Names by id.
    callers: Mapping[int, str]

    @property
    def wanted(self) -> Filter:
        """The filter."""
        return self.read.wanted

    @property
    def wrong(self) -> Mapping[str, str]:
        """What is wrong with fields that make no sense: nothing is shown rather than too much."""
        return self.read.wrong

    @property
    def fields(self) -> dict[str, str]:
        """The fields that were given, for an address that asks for the same."""
        return dict(self.read.given)

    @property
    def state(self) -> str:
        """The state, as it was given; empty without one."""
        return self.read.given.get("state", "")

    @property
    def chosen(self) -> dict[str, str]:
        """The fields that narrow the list beside its state."""
        return {n: v for n, v in self.read.given.items() if n not in ("state", "zone")}

    @property
    def moments(self) -> dict[str, datetime]:
        """The times that were understood, by field."""
        found = {name: getattr(self.wanted, name, None) for name in self.read.given}
        return {name: one for name, one in found.items() if isinstance(one, datetime)}

    def has(self, *names: str) -> bool:
        """Tell whether one of these fields was given."""
        return any(name in self.read.given for name in names)

    def without(self, name: str) -> dict[str, str]:
        """Return the fields but this one, for an address that asks for more."""
        left = {one: value for one, value in self.read.given.items() if one != name}
        return left if left.keys() & set(TIMES) else {n: v for n, v in left.items() if n != "zone"}


def read_address(
    asked: Connection | Session, now: datetime, reader: Reader[Filter]
) -> Asked[Filter]:
    """Read the filter of this request's address; times without a zone are in UTC."""
    by = known(asked, Here(now))
    found = reader(request.args.to_dict(), by)
    return Asked(found, {caller_id: name for name, caller_id in by.callers.items()})


def tidied() -> Response | None:
    """Return a redirect to this address without what says nothing; None if there is no such part.

    A form sends its empty fields, too, and its zone where there is no time to read.
    """
    given = {name for name, value in request.args.items() if value}
    is_timeless = not given & set(TIMES)
    if is_fragment() or (given == set(request.args) and not (is_timeless and "zone" in given)):
        return None
    return go_to(here(zone=None) if is_timeless else here())
