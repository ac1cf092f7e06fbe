"""Callers, their keys and their signing secrets."""

from datetime import datetime

from sqlalchemy import (
    ForeignKey,
    Identity,
    Text,
    false,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from kernel.db.columns import Base, UTCDateTime, token
from kernel.db.tables.sealed import SEALED

ANONYMOUS = "anonymous"


class Caller(Base):
    """A ticketing system. ``anonymous`` is a row too, so that every order has an owner."""

    __tablename__ = "kernel_callers"

    # The first one is anonymous, which is made with the table.
    id: Mapped[int] = mapped_column(Identity(start=2), primary_key=True)
    name: Mapped[str] = mapped_column(token(100), unique=True)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    # Callback rules added to the global ones: JSON lists of CIDRs and of host names.
    allow_nets: Mapped[str] = mapped_column(Text, default="[]")
    allow_hosts: Mapped[str] = mapped_column(Text, default="[]")
    # Empty: the release before reads it. Its headers are drafts of receivers now.
    headers: Mapped[str] = mapped_column(Text, default="{}")
    # The retry schedule in seconds, as a JSON list; null for the setting's.
    schedule: Mapped[str | None] = mapped_column(Text)
    # True: its callbacks go to its receivers alone, and to no other URL.
    is_listed: Mapped[bool] = mapped_column(default=False, server_default=false())
    # True for ever once it had a receiver: only then are receivers and shapes asked for.
    has_receivers: Mapped[bool] = mapped_column(default=False, server_default=false())

    share: Mapped["Share | None"] = relationship(
        primaryjoin="Caller.id == foreign(Share.caller_id)", cascade="all, delete-orphan"
    )

    @property
    def max_running(self) -> int | None:
        """How many of its orders run at once; None for any number."""
        return None if self.share is None else self.share.max_running


class Share(Base):
    """How many orders of a caller may run at once: one row for each caller with such a limit.

    Each claim of an order of such a caller locks the row: no two count the same place. A table of
    its own, for inserting an order locks the caller's row, too.
    """

    __tablename__ = "kernel_shares"

    caller_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    max_running: Mapped[int]


class ApiKey(Base):
    """One key of a caller. Only its SHA-256 is stored: 256 random bits need no slow hash."""

    __tablename__ = "kernel_api_keys"

    id: Mapped[int] = mapped_column(primary_key=True)
    caller_id: Mapped[int] = mapped_column(ForeignKey("kernel_callers.id"), index=True)
    # The first characters, to tell keys apart in listings and logs.
    prefix: Mapped[str] = mapped_column(token(16))
    key_hash: Mapped[str] = mapped_column(token(64), unique=True)
    # What it may do, as words with a space between: orders:write orders:read metrics operator.
    scopes: Mapped[str] = mapped_column(token(100))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # To the minute, so that a busy key does not cost a write per request.
    used_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # Which orders it may submit and see, and from where it works: words with a space between; null
    # for all tags, and for everywhere.
    tags: Mapped[str | None] = mapped_column(Text)
    networks: Mapped[str | None] = mapped_column(Text)
    # Whose key it is, whose role then says what it may do, and not `scopes`; null: the caller's.
    # The caller of a person's key is the anonymous one. No foreign key: SQLite cannot add one.
    person_id: Mapped[int | None] = mapped_column(index=True)


class SigningSecret(Base):
    """A secret that signs a caller's callbacks; several are valid while one is rotated out."""

    __tablename__ = "kernel_signing_secrets"

    id: Mapped[int] = mapped_column(primary_key=True)
    caller_id: Mapped[int] = mapped_column(ForeignKey("kernel_callers.id"), index=True)
    secret: Mapped[str] = mapped_column(token(512), info=SEALED)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    # Null: in force until rotated. Set: the end of the overlap after a rotation.
    expires_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
