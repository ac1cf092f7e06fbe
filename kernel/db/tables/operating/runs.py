"""The table of runs that did not succeed: when each ran, where, and how it ended."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from kernel.db.columns import Base, UTCDateTime, long_text, name, short_text, table, token

FINGERPRINT = 16


class EndedRun(Base):
    """A run that ended otherwise than in success or warning, written in the commit of its end.

    An order that fails although nothing of it runs has such a row as well, without a beginning. Of
    an order with very many runs the first and the last are kept.
    """

    __tablename__ = "kernel_runs"

    # No foreign key: a child row that is not committed would lock the order's row.
    order_id: Mapped[str] = mapped_column(token(36), primary_key=True)
    run: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    # Null: no run began.
    began_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    ended_at: Mapped[datetime] = mapped_column(UTCDateTime)
    # The process, by its id, and as it described itself; null where it has no row any more.
    runner: Mapped[str | None] = mapped_column(token(36))
    host: Mapped[str | None] = mapped_column(name(255))
    pid: Mapped[int | None]
    # Why it ended without an outcome (`kernel.orders.decide.Why`), or the state it ended in.
    how: Mapped[str] = mapped_column(token(16))
    # Set if the order ended with it.
    error_code: Mapped[str | None] = mapped_column(token(64))
    # What the caller may read: why the handler asked for a retry, what it waits for, its message.
    reason: Mapped[str | None] = mapped_column(short_text(1000))
    # For operators alone: the exception's type, the handler's function in which it was raised, what
    # it says, and its traceback.
    error_type: Mapped[str | None] = mapped_column(name(255))
    place: Mapped[str | None] = mapped_column(name(255))
    message: Mapped[str | None] = mapped_column(short_text(1000))
    traceback: Mapped[str | None] = mapped_column(long_text())
    # Failures of one kind have the same; null: not a failure. See `kernel.orders.ended_runs`.
    fingerprint: Mapped[str | None] = mapped_column(token(FINGERPRINT))
    # Whether the sweep has counted this failure.
    is_counted: Mapped[bool]

    __table_args__ = table(
        Index(None, "fingerprint", "order_id"), Index(None, "is_counted", "ended_at")
    )


RUNS: Any = EndedRun.__table__
