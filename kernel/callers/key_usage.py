"""When each API key was last used, to the minute, without a statement in any request.

A request only notes its key in memory. The thread that writes the process's counts writes the
notes: at most one conditional update per key, process and minute.
"""

import threading
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, or_, update

from kernel.db.tables.callers import ApiKey

MINUTE = timedelta(minutes=1)


class KeyUses:
    """The keys that one process has seen in use."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._written: dict[int, datetime] = {}
        self._noted: dict[int, datetime] = {}

    def note(self, key_id: int | None, now: datetime) -> None:
        """Note that a key was used. Costs a look into a dictionary."""
        before = None if key_id is None else self._written.get(key_id)
        if key_id is None or (before is not None and now - before < MINUTE):
            return
        with self._lock:
            self._noted.setdefault(key_id, now)

    @property
    def waiting(self) -> bool:
        """Whether there is something to write."""
        return bool(self._noted)

    def write(self, connection: Connection) -> None:
        """Write the notes. When that fails they are lost; a use a minute later is noted again."""
        with self._lock:
            noted, self._noted = self._noted, {}
            self._written |= noted
        rows = [{"key": id, "now": at, "before": at - MINUTE} for id, at in noted.items()]
        connection.execute(_WRITE, rows)


_KEYS: Any = ApiKey.__table__
_WRITE = (
    update(_KEYS)
    .where(
        _KEYS.c.id == bindparam("key"),
        # Another process was here within the minute.
        or_(_KEYS.c.used_at.is_(None), _KEYS.c.used_at < bindparam("before")),
    )
    .values(used_at=bindparam("now"))
)
