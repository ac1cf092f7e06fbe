"""What was counted over time, by parts of the work, and what is marked on its charts."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, SmallInteger, Text
from sqlalchemy.orm import Mapped, mapped_column

from kernel.db.columns import Base, UTCDateTime, serial, short_text, table, token


class Count(Base):
    """What happened in a minute, a quarter of an hour or an hour, to all work or a part of it.

    See `kernel.insight.trends`. All of it has a row for each minute in which a process swept, a
    part only where something happened to it; the largest parts have rows of their own.
    """

    __tablename__ = "kernel_counts"

    # In minutes: 1, 15 or 60.
    width: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    # As `kernel.insight.trends.tallies.Kind`.
    kind: Mapped[str] = mapped_column(token(16), primary_key=True)
    # Empty: all of it, or the parts without a row of their own.
    name: Mapped[str] = mapped_column(token(300), primary_key=True)
    began_at: Mapped[datetime] = mapped_column(UTCDateTime, primary_key=True)
    # Orders accepted, and orders that ended.
    accepted: Mapped[int]
    finished: Mapped[int]
    # POSTs begun, those of them that delivered, callbacks given up.
    attempts: Mapped[int]
    delivered: Mapped[int]
    dead: Mapped[int]
    # JSON objects: orders that ended by state, failed attempts by reason.
    states: Mapped[str] = mapped_column(Text)
    reasons: Mapped[str] = mapped_column(Text)
    # As `kernel.insight.trends.durations.Durations`, of a sample where there were many. Orders:
    # from acceptance to the end, from due to the run's beginning, from there to the end.
    took: Mapped[str] = mapped_column(Text)
    queued: Mapped[str] = mapped_column(Text)
    ran: Mapped[str] = mapped_column(Text)
    # Callbacks: from owed to delivered, and of each attempt.
    delivered_in: Mapped[str] = mapped_column(Text)
    answered_in: Mapped[str] = mapped_column(Text)

    __table_args__ = table(Index(None, "width", "began_at"))


class Mark(Base):
    """Something that happened to the installation and explains a chart: see `Sign`.

    Pauses are marked from the acts of those who made them.
    """

    __tablename__ = "kernel_annotations"

    id: Mapped[int] = mapped_column(serial(), primary_key=True, autoincrement=True)
    # As `kernel.insight.trends.marks.Sign`.
    kind: Mapped[str] = mapped_column(token(16))
    # What it is about: `1.4.0 on HOST`, `ORIGIN#CALLER`.
    subject: Mapped[str] = mapped_column(short_text(400))
    began_at: Mapped[datetime] = mapped_column(UTCDateTime)
    # Null: it goes on, or it was over at once.
    ended_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    __table_args__ = table(Index(None, "began_at"), Index(None, "kind", "ended_at"))


COUNTS: Any = Count.__table__
MARKS: Any = Mark.__table__
