"""Recurring orders: what is ordered, when, and how it went."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from kernel.db.columns import Base, UTCDateTime, long_text, short_text, table, token
from kernel.db.columns import name as any_name


class Schedule(Base):
    """An order that is submitted again and again, at the times of a cron expression."""

    __tablename__ = "kernel_schedules"

    id: Mapped[int] = mapped_column(primary_key=True)
    # One of its kind in the installation: commands and pages name a schedule by it.
    name: Mapped[str] = mapped_column(token(100), unique=True)
    caller_id: Mapped[int] = mapped_column(ForeignKey("kernel_callers.id"), index=True)
    cron: Mapped[str] = mapped_column(token(100))
    zone: Mapped[str] = mapped_column(token(64))
    select_tag: Mapped[str] = mapped_column(token(100))
    # The other members of the order, a JSON object. Never a secret: those are refused.
    args: Mapped[str] = mapped_column(long_text())
    # Empty where the caller polls, as in its orders.
    callback_url: Mapped[str] = mapped_column(token(2048))
    reference: Mapped[str | None] = mapped_column(any_name(255))
    # For how many seconds a missed time may be made up.
    catch_up: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    paused_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # The first time that is not fired yet; null: it is paused, or no time will come.
    next_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # The time that was fired last, or the moment of `run-now`, and the order that it made, which
    # may be gone: no foreign key.
    last_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    last_order_id: Mapped[str | None] = mapped_column(token(36))
    # Why a time since then made no order, and which time that was; null when all did.
    last_error: Mapped[str | None] = mapped_column(short_text(500))
    failed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    __table_args__ = table(Index(None, "next_at"))


SCHEDULES: Any = Schedule.__table__
