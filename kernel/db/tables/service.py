"""Small tables that the service keeps about itself: its processes, what they counted, its key."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    Text,
)
from sqlalchemy.orm import Mapped, mapped_column

from kernel.db.columns import Base, UTCDateTime, long_text, name, short_text, token
from kernel.db.tables.sealed import SEALED


class Asked(StrEnum):
    """What a person asks of a process. The names are in rows: never rename one."""

    # Take nothing new: its host is drained.
    DRAIN = "drain"
    # Hand back what it runs, and end.
    TERMINATE = "terminate"


class Worker(Base):
    """A process with a dispatcher, as it described itself last, and what people ask of it.

    Silent for three sweeps: it is gone, or cannot reach the database. A clean stop removes the
    row, the sweep removes what is silent for ten minutes.
    """

    __tablename__ = "kernel_workers"

    id: Mapped[str] = mapped_column(token(36), primary_key=True)
    host: Mapped[str] = mapped_column(short_text(255))
    pid: Mapped[int]
    # worker: runs handlers and sends callbacks; dispatcher: sends callbacks.
    kind: Mapped[str] = mapped_column(token(16))
    started_at: Mapped[datetime] = mapped_column(UTCDateTime)
    seen_at: Mapped[datetime] = mapped_column(UTCDateTime)
    # The ids of the orders it runs, with a space between.
    running: Mapped[str] = mapped_column(Text)
    # The origins whose circuit breaker is open in this process, with a space between. Behind each
    # `#` and a caller's id: it is that caller's. An older release writes origins alone. Where only
    # one receiver's breaker is open, `/receiver:` and its id stand before the `#`.
    broken: Mapped[str] = mapped_column(Text)
    # The origins whose breaker is half-open: the pause is over, no probe has succeeded yet.
    # Null: written by a release that did not tell.
    probing: Mapped[str | None] = mapped_column(Text)
    # The release, and the pool as Celery calls it: prefork, threads, ... Null for a dispatcher's.
    # All of these are null in a row that a release wrote which did not tell.
    version: Mapped[str | None] = mapped_column(token(64))
    pool: Mapped[str | None] = mapped_column(token(32))
    # The orders of `running` with run, tag, since when and for how many seconds it may: JSON.
    runs: Mapped[str | None] = mapped_column(long_text())
    # Whether it takes nothing new, as it was asked to.
    quiet: Mapped[bool | None]
    # As `Asked`, and since when; the process finds it with its next heartbeat.
    asked: Mapped[str | None] = mapped_column(token(16))
    asked_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # On which machine it lives, and with which process ids: others there see when it is gone. Null:
    # no Linux, or written by a release that did not tell.
    whereabouts: Mapped[str | None] = mapped_column(token(200))


class DrainedHost(Base):
    """A person's word that no process of a host takes anything new, until resumed.

    Processes that start there meanwhile find it.
    """

    __tablename__ = "kernel_drained_hosts"

    host: Mapped[str] = mapped_column(name(255), primary_key=True)
    since: Mapped[datetime] = mapped_column(UTCDateTime)
    by_whom: Mapped[str] = mapped_column(name(200))
    why: Mapped[str | None] = mapped_column(short_text(500))


DRAINED: Any = DrainedHost.__table__


class ServiceKey(Base):
    """One row: what sessions of the dashboard and links to orders are signed with.

    Made at random by the first process that needs it. Not a caller's signing secret: receivers
    know those. Deleting the row ends every session and every link.
    """

    __tablename__ = "kernel_service_keys"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    secret: Mapped[str] = mapped_column(token(512), info=SEALED)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)


class Installation(Base):
    """One row: by what name the queue of hints is told from those of others on one broker.

    A copy of the database has it, too: let the copy use another database of the broker.
    """

    __tablename__ = "kernel_installation"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(token(16))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)


class ProcessMetrics(Base):
    """What one process has counted; the row ``past`` holds what those that ended had."""

    __tablename__ = "kernel_process_metrics"

    id: Mapped[str] = mapped_column(token(36), primary_key=True)
    written_at: Mapped[datetime] = mapped_column(UTCDateTime)
    # All of it since the row began, as JSON; see `kernel.insight.process_metrics`.
    series: Mapped[str] = mapped_column(long_text())


class Minute(Base):
    """What older releases counted of a minute; now a row of `kernel_counts`.

    Nothing reads it. It stays for a release beside this one that is older, and goes with the next.
    """

    __tablename__ = "kernel_minutes"

    began_at: Mapped[datetime] = mapped_column(UTCDateTime, primary_key=True)
    accepted: Mapped[int]
    finished: Mapped[int]
    attempts: Mapped[int]
    delivered: Mapped[int]
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
