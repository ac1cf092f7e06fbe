"""Keys that were refused, counted by the beginning of the key, the client's network and the minute.

A request only counts in memory; the thread that writes the process's counts writes these. Strangers
cannot fill memory or table: a minute has at most `ROWS` rows, and all that is more counts into one.
"""

import re
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address, ip_network

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from kernel.db.tables.audit import REFUSED_KEYS
from kernel.db.transactions import rowcount

# Rows of one minute; what is more counts into the row `MANY`.
ROWS = 20
MANY = ("many", "")
# Counts are deleted after this time. Acts are not.
KEPT = timedelta(days=30)
# What a caller or a person may have mistyped: of anything else no character is stored, for it may
# be the password of something else.
OURS = re.compile(r"kwo_[A-Za-z0-9_-]{28,}")
SHOWN = 12
Row = tuple[datetime, str, str]
Opening = Callable[[], AbstractContextManager[Connection]]


class Refusals:
    """The refused keys that one process has seen and not written yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._noted: dict[Row, int] = {}

    def note(self, key: str, address: str | None, now: datetime) -> None:
        """Count a refused key. Costs a look into a dictionary."""
        minute = now.replace(second=0, microsecond=0)
        row = (minute, network_of(address), prefix_of(key))
        with self._lock:
            if row not in self._noted and len(self._noted) >= ROWS:
                row = (minute, *MANY) if (minute, *MANY) in self._noted else self._last(minute)
            self._noted[row] = self._noted.get(row, 0) + 1

    def _last(self, minute: datetime) -> Row:
        """Return the row that takes all that is more. While nothing can be written it stays one."""
        many = [row for row in self._noted if row[1:] == MANY]
        return many[0] if many else (minute, *MANY)

    @property
    def waiting(self) -> int:
        """How many rows there are to write."""
        return len(self._noted)

    def write(self, opening: Opening) -> None:
        """Add the counts to those of the table, a short transaction each.

        ``opening`` opens a connection in a transaction. Counts are lost when that fails.
        """
        with self._lock:
            noted, self._noted = self._noted, {}
        for row, count in noted.items():
            try:
                _add(opening, row, count)
            except IntegrityError:  # another process has made the row first
                _add(opening, row, count)


def _add(opening: Opening, row: Row, count: int) -> None:
    with opening() as connection:
        if _counted(connection, row, count):
            return
        there = connection.scalar(_ROWS_OF, {"minute": row[0]}) or 0
        if there >= ROWS and row[1:] != MANY:
            row = (row[0], *MANY)
            if _counted(connection, row, count):
                return
        minute, network, prefix = row
        values = {"minute": minute, "network": network, "prefix": prefix, "count": count}
        connection.execute(insert(REFUSED_KEYS).values(values))


def _counted(connection: Connection, row: Row, count: int) -> bool:
    """Add to a row that is there; False when there is none."""
    values = dict(zip(("of_minute", "of_network", "of_prefix"), row, strict=True))
    return rowcount(connection.execute(_ADD, {**values, "more": count})) == 1


_ADD = (
    update(REFUSED_KEYS)
    .where(
        REFUSED_KEYS.c.minute == bindparam("of_minute"),
        REFUSED_KEYS.c.network == bindparam("of_network"),
        REFUSED_KEYS.c.prefix == bindparam("of_prefix"),
    )
    .values(count=REFUSED_KEYS.c.count + bindparam("more"))
)
_ROWS_OF = (
    select(func.count())
    .select_from(REFUSED_KEYS)
    .where(REFUSED_KEYS.c.minute == bindparam("minute"))
)


def oldest(connection: Connection) -> datetime | None:
    """Return the oldest minute that is counted; None when there is none."""
    found: datetime | None = connection.scalar(select(func.min(REFUSED_KEYS.c.minute)))
    return found


def forget(connection: Connection, limit: datetime) -> None:
    """Delete the counts of minutes before ``limit``."""
    connection.execute(delete(REFUSED_KEYS).where(REFUSED_KEYS.c.minute < limit))


def network_of(address: str | None) -> str:
    """Return the /24 or /64 that an address is in; empty for what is no address."""
    try:
        found = ip_address(address or "")
    except ValueError:
        return ""
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    bare = str(found).partition("%")[0]
    return str(ip_network(f"{bare}/{24 if found.version == 4 else 64}", strict=False))


def prefix_of(key: str) -> str:
    """Return the first characters of what looks like a key of kernel's, else nothing."""
    return key[:SHOWN] if OURS.fullmatch(key) else ""
