"""Small tables that the service keeps about itself: its processes, what they counted, its key."""

from datetime import datetime

from sqlalchemy import (
    String,
    Text,
)
from sqlalchemy.orm import Mapped, mapped_column

from kernel.db.columns import Base, UTCDateTime, long_text, token


class Worker(Base):
    """A process with a dispatcher, as it described itself last. For people; nothing relies on it.

    Silent for three sweeps: it is gone, or cannot reach the database. A clean stop removes the
    row, the sweep removes what is silent for ten minutes.
    """

    __tablename__ = "kernel_workers"

    id: Mapped[str] = mapped_column(token(36), primary_key=True)
    host: Mapped[str] = mapped_column(String(255))
    pid: Mapped[int]
    # worker: runs handlers and sends callbacks; dispatcher: sends callbacks.
    kind: Mapped[str] = mapped_column(token(16))
    started_at: Mapped[datetime] = mapped_column(UTCDateTime)
    seen_at: Mapped[datetime] = mapped_column(UTCDateTime)
    # The ids of the orders it runs, with a space between.
    running: Mapped[str] = mapped_column(Text)
    # The origins whose circuit breaker is open in this process, with a space between.
    broken: Mapped[str] = mapped_column(Text)
    # The origins whose breaker is half-open: the pause is over, no probe has succeeded yet.
    # Null: written by a release that did not tell.
    probing: Mapped[str | None] = mapped_column(Text)


class ServiceKey(Base):
    """One row: what sessions of the dashboard and links to orders are signed with.

    Made at random by the first process that needs it. Not a caller's signing secret: receivers
    know those. Deleting the row ends every session and every link.
    """

    __tablename__ = "kernel_service_keys"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    secret: Mapped[str] = mapped_column(token(64))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)


class ProcessMetrics(Base):
    """What one process has counted; the row ``past`` holds what those that ended had."""

    __tablename__ = "kernel_process_metrics"

    id: Mapped[str] = mapped_column(token(36), primary_key=True)
    written_at: Mapped[datetime] = mapped_column(UTCDateTime)
    # All of it since the row began, as JSON; see `kernel.insight.process_metrics`.
    series: Mapped[str] = mapped_column(long_text())


class Minute(Base):
    """What all of the installation did in one minute, for charts; see `kernel.insight.minutes`."""

    __tablename__ = "kernel_minutes"

    began_at: Mapped[datetime] = mapped_column(UTCDateTime, primary_key=True)
    # Orders accepted, and orders that ended.
    accepted: Mapped[int]
    finished: Mapped[int]
    # POSTs begun, and those of them that delivered.
    attempts: Mapped[int]
    delivered: Mapped[int]
    # How long the orders that ended had taken, a sample: `kernel.insight.minutes.Durations`.
    took: Mapped[str] = mapped_column(Text)


class SelectTag(Base):
    """When a worker that knows this tag was last seen.

    Orders fail when no worker has known their tag for an hour in which sweeps went on.
    """

    __tablename__ = "kernel_select_tags"

    tag: Mapped[str] = mapped_column(token(100), primary_key=True)
    seen_at: Mapped[datetime] = mapped_column(UTCDateTime)


class Sweep(Base):
    """One row: when a process last swept. A conditional update decides whose turn it is."""

    __tablename__ = "kernel_sweeps"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    swept_at: Mapped[datetime] = mapped_column(UTCDateTime)
    # The first and the last sweep of those that followed each other without a gap. A release that
    # does not know these columns changes `swept_at` alone, so its sweeps are a gap. Null: none yet.
    unbroken_since: Mapped[datetime | None] = mapped_column(UTCDateTime)
    unbroken_until: Mapped[datetime | None] = mapped_column(UTCDateTime)
