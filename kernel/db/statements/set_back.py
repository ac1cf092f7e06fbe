"""Moments in rows that lie too far ahead because the database's clock was set back since.

Which ones do is told by what stands beside them: when the wait for them began. If that has not come
yet, the clock was set back since, and the wait counts from now.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Update

# How many rows of a kind one look reads at the most, and how many one transaction moves.
MOST, TOGETHER = 10_000, 500
# What a process takes for the time may be a little ahead of the database's.
READ_AHEAD = timedelta(seconds=1)


def from_now(due: datetime, begun: datetime, now: datetime) -> datetime | None:
    """Return when a wait is over that was to last from ``begun`` until ``due``.

    None where that does not change: it has begun by ``now``, or it was longer than the step, or it
    has been moved before. So to ask again changes nothing.
    """
    lasts = due - begun
    if -READ_AHEAD <= lasts < begun - now - READ_AHEAD:
        return now + max(lasts, timedelta())
    return None


def move(
    write: Callable[[], AbstractContextManager[Connection]],
    statement: Update,
    moved: Sequence[Mapping[str, Any]],
) -> None:
    """Write new moments; ``statement`` leaves alone what has changed since it was read.

    ``write`` begins a transaction that is committed at its end.
    """
    for n in range(0, len(moved), TOGETHER):
        with write() as connection:
            connection.execute(statement, moved[n : n + TOGETHER])
