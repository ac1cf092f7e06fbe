"""Where callers' callbacks go: receivers, and the versions of their shapes."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from kernel.db.columns import Base, UTCDateTime, long_text, table, token
from kernel.db.tables.sealed import SEALED


class Receiver(Base):
    """A place that a caller's callbacks go to, and the secrets that are made for it alone."""

    __tablename__ = "kernel_receivers"

    id: Mapped[int] = mapped_column(primary_key=True)
    caller_id: Mapped[int] = mapped_column(ForeignKey("kernel_callers.id"))
    name: Mapped[str] = mapped_column(token(100))
    # Origin and path prefix of the URLs that it matches, and where `receiver:NAME` goes.
    url: Mapped[str] = mapped_column(token(2048))
    # scheme://host:port of `url`; it never changes.
    origin: Mapped[str] = mapped_column(token(300))
    # True: made by the migration, and matches nothing until an operator confirms it.
    is_draft: Mapped[bool] = mapped_column(default=False)
    # All secret: see `kernel.callers.credentials`.
    credentials: Mapped[str] = mapped_column(long_text(), default="{}", info=SEALED)
    # The private CA that its certificate is checked against, PEM; null for the system's.
    ca_pem: Mapped[str | None] = mapped_column(long_text())
    # Schedule, limits and variables: see `kernel.callers.terms`.
    terms: Mapped[str] = mapped_column(Text, default="{}")
    # With a rate: no attempt begins before this moment. Null until the first one.
    rate_free_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)

    __table_args__ = table(UniqueConstraint("caller_id", "name"))


class Shape(Base):
    """What a receiver's callbacks looked like from some moment on; a row is never changed.

    Each change of a receiver's name, URL, shape or variables adds a row, and so does its end. A
    delivery remembers the highest id at its outcome, so all of its attempts have the same bytes.
    """

    __tablename__ = "kernel_shapes"

    id: Mapped[int] = mapped_column(primary_key=True)
    caller_id: Mapped[int] = mapped_column(ForeignKey("kernel_callers.id"))
    # No foreign key: the row outlives the receiver, as deliveries do.
    receiver_id: Mapped[int]
    name: Mapped[str] = mapped_column(token(100))
    url: Mapped[str] = mapped_column(token(2048))
    # JSON, see `kernel.formats.shapes`; null: the receiver was removed.
    shape: Mapped[str | None] = mapped_column(long_text())
    # The receiver's variables: a JSON object of strings.
    variables: Mapped[str] = mapped_column(Text, default="{}")
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)

    __table_args__ = table(Index(None, "caller_id", "id"))


RECEIVERS: Any = Receiver.__table__


SHAPES: Any = Shape.__table__
