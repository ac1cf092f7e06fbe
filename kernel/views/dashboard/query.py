"""Reading the fields of a search from the address; what makes no sense raises ValueError."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from flask import request
from sqlalchemy import Connection, select

from kernel.db.tables.callers import Caller

WORD = re.compile(r"[!-~]{1,300}")
Readers = Mapping[str, tuple[str, Callable[[str], Any]]]


def word(given: str) -> str:
    """Read a name: visible ASCII without spaces."""
    if not WORD.fullmatch(given):
        raise ValueError(given)
    return given


def moment(given: str) -> datetime:
    """Read a time as a form sends it: in UTC, unless it names another offset."""
    found = datetime.fromisoformat(given)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def read(readers: Readers) -> tuple[dict[str, str], dict[str, Any], list[str]]:
    """Read the query string.

    ``readers``: by field, what its value is called and how it is read. Returns the fields as they
    were given, the values, and the fields that make no sense.
    """
    given = {name: request.args.get(name, "").strip() for name in readers}
    values: dict[str, Any] = {}
    wrong: list[str] = []
    for name, (member, how) in readers.items():
        if given[name]:
            try:
                values[member] = how(given[name])
            except (ValueError, KeyError, OverflowError):
                wrong.append(name)
    return given, values, wrong


def caller_ids(connection: Connection) -> dict[str, int]:
    """Return the callers there are, by name."""
    return {row.name: row.id for row in connection.execute(_CALLERS)}


_CALLERS = select(Caller.name, Caller.id).order_by(Caller.name)
