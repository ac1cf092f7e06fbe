"""Since when something has been wrong, and who is told of it."""

from datetime import datetime
from typing import Any

from sqlalchemy import Text
from sqlalchemy.orm import Mapped, mapped_column

from kernel.db.columns import Base, UTCDateTime, long_text, token


class Standing(Base):
    """A condition that holds, or held lately; see `kernel.insight.conditions`.

    The process that sweeps writes it, and only when one begins or ends.
    """

    __tablename__ = "kernel_conditions"

    # The rule, and what it holds of: empty for the installation.
    key: Mapped[str] = mapped_column(token(64), primary_key=True)
    subject: Mapped[str] = mapped_column(token(400), primary_key=True)
    severity: Mapped[str] = mapped_column(token(16))
    since: Mapped[datetime] = mapped_column(UTCDateTime)
    # Null: it holds.
    ended_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # The sentence with which it began, in the language of KERNEL_LANGUAGE.
    said: Mapped[str] = mapped_column(long_text())


class Notice(Base):
    """A rule of who is told: conditions of these keys, by a callback to a receiver."""

    __tablename__ = "kernel_notices"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(token(100), unique=True)
    # By its name: a receiver of the caller that notifications belong to. It may be missing.
    receiver: Mapped[str] = mapped_column(token(100))
    # Keys with a space between; empty for all that are no mere notices.
    conditions: Mapped[str] = mapped_column(Text)
    # Whether the end is told, too.
    recovers: Mapped[bool]
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)


class Told(Base):
    """A notification that was sent: the order that carried it, and when its end was told."""

    __tablename__ = "kernel_told"

    notice_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    key: Mapped[str] = mapped_column(token(64), primary_key=True)
    subject: Mapped[str] = mapped_column(token(400), primary_key=True)
    since: Mapped[datetime] = mapped_column(UTCDateTime, primary_key=True)
    told_at: Mapped[datetime] = mapped_column(UTCDateTime)
    order_id: Mapped[str] = mapped_column(token(36))
    recovered_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


STANDING: Any = Standing.__table__
NOTICES: Any = Notice.__table__
TOLD: Any = Told.__table__
