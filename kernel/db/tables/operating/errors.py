"""Failures of one kind: since when, how many, and whether a person has called it mended."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from kernel.db.columns import Base, UTCDateTime, name, short_text, table, token
from kernel.db.tables.operating.runs import FINGERPRINT


class KnownError(Base):
    """The failures with one fingerprint, as far as the sweep has counted them.

    The process that sweeps adds to it; people close and open it. It outlives its orders' rows, for
    as long as orders are kept after its last failure.
    """

    __tablename__ = "kernel_errors"

    fingerprint: Mapped[str] = mapped_column(token(FINGERPRINT), primary_key=True)
    select_tag: Mapped[str] = mapped_column(token(100))
    # As in `kernel_runs`; without a type, failures are of one kind by their code.
    error_type: Mapped[str | None] = mapped_column(name(255))
    place: Mapped[str | None] = mapped_column(name(255))
    error_code: Mapped[str | None] = mapped_column(token(64))
    # An end that the handler (Reject) or the caller (not_after) wanted so: it is no condition.
    is_refusal: Mapped[bool]
    first_seen: Mapped[datetime] = mapped_column(UTCDateTime)
    last_seen: Mapped[datetime] = mapped_column(UTCDateTime)
    # Runs that failed like this, those of orders included that succeeded later.
    number: Mapped[int]
    # The latest failure.
    order_id: Mapped[str] = mapped_column(token(36))
    run: Mapped[int]
    # False: resolved, and not seen since.
    is_open: Mapped[bool]
    # When it was first seen, or when it came back after it had been resolved.
    new_at: Mapped[datetime] = mapped_column(UTCDateTime)
    # The last time that a person resolved it; stays when it comes back.
    resolved_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    resolved_by: Mapped[str | None] = mapped_column(short_text(200))
    resolved_because: Mapped[str | None] = mapped_column(short_text(500))

    __table_args__ = table(
        Index(None, "last_seen", "fingerprint"),
        Index(None, "is_open", "last_seen", "fingerprint"),
        Index(None, "new_at"),
    )


class ErrorHour(Base):
    """How many failures of one kind there were in an hour of UTC; hours without any have no row."""

    __tablename__ = "kernel_error_hours"

    fingerprint: Mapped[str] = mapped_column(token(FINGERPRINT), primary_key=True)
    began_at: Mapped[datetime] = mapped_column(UTCDateTime, primary_key=True)
    number: Mapped[int]

    __table_args__ = table(Index(None, "began_at"))


ERRORS: Any = KnownError.__table__
HOURS: Any = ErrorHour.__table__
