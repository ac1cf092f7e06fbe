"""Callers, their keys and their signing secrets."""

from datetime import datetime

from sqlalchemy import (
    ForeignKey,
    Text,
)
from sqlalchemy.orm import Mapped, mapped_column

from kernel.db.columns import Base, UTCDateTime, token

ANONYMOUS = "anonymous"


class Caller(Base):
    """A ticketing system. ``anonymous`` is a row too, so that every order has an owner."""

    __tablename__ = "kernel_callers"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(token(100), unique=True)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    # Callback rules added to the global ones: JSON lists of CIDRs and of host names.
    allow_nets: Mapped[str] = mapped_column(Text, default="[]")
    allow_hosts: Mapped[str] = mapped_column(Text, default="[]")
    # Headers sent with every callback: a JSON object. Their values are secrets.
    headers: Mapped[str] = mapped_column(Text, default="{}")
    # The retry schedule in seconds, as a JSON list; null for the setting's.
    schedule: Mapped[str | None] = mapped_column(Text)


class ApiKey(Base):
    """One key of a caller. Only its SHA-256 is stored: 256 random bits need no slow hash."""

    __tablename__ = "kernel_api_keys"

    id: Mapped[int] = mapped_column(primary_key=True)
    caller_id: Mapped[int] = mapped_column(ForeignKey("kernel_callers.id"), index=True)
    # The first characters, to tell keys apart in listings and logs.
    prefix: Mapped[str] = mapped_column(token(16))
    key_hash: Mapped[str] = mapped_column(token(64), unique=True)
    # What it may do, as words with a space between: orders:write orders:read operator.
    scopes: Mapped[str] = mapped_column(token(100))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # To the minute, so that a busy key does not cost a write per request.
    used_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class SigningSecret(Base):
    """A secret that signs a caller's callbacks; several are valid while one is rotated out."""

    __tablename__ = "kernel_signing_secrets"

    id: Mapped[int] = mapped_column(primary_key=True)
    caller_id: Mapped[int] = mapped_column(ForeignKey("kernel_callers.id"), index=True)
    secret: Mapped[str] = mapped_column(token(128))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    # Null: in force until rotated. Set: the end of the overlap after a rotation.
    expires_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
