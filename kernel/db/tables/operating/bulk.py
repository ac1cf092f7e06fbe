"""Bulk acts: what is done to many orders or callbacks, how far it is, and what was left."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from kernel.db.columns import Base, UTCDateTime, long_text, short_text, table, token


class BulkJob(Base):
    """One bulk act: its filter, who began it and why, and the place that it has come to.

    The row's lock is the last that a transaction takes. Each change of an order or a callback moves
    the job's place on in its own commit, under ``claim_token``: so no change is made twice, and
    none is counted that was not made.
    """

    __tablename__ = "kernel_bulk_jobs"

    id: Mapped[str] = mapped_column(token(36), primary_key=True)
    # rerun, cancel, redeliver or drop: see `kernel.bulk.kinds`.
    kind: Mapped[str] = mapped_column(token(16))
    # The filter as JSON: see `kernel.filters.kept`.
    wanted: Mapped[str] = mapped_column(long_text())
    # Re-runs: also of orders that were re-run already.
    again: Mapped[bool] = mapped_column(default=False)
    # Redeliveries: as the receiver's shape is now.
    reshaped: Mapped[bool] = mapped_column(default=False)
    # Items a minute, at the most; null: as fast as it goes.
    rate: Mapped[int | None]
    # Who began it, as acts have it, and why.
    actor: Mapped[str] = mapped_column(short_text(200))
    via: Mapped[str] = mapped_column(token(16))
    address: Mapped[str | None] = mapped_column(short_text(255))
    key_prefix: Mapped[str | None] = mapped_column(token(16))
    reason: Mapped[str | None] = mapped_column(short_text(500))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)

    # running, done or aborted.
    state: Mapped[str] = mapped_column(token(16))
    # What the filter held at the beginning; null: it was not counted. False: there may be more.
    counted: Mapped[int | None]
    counted_all: Mapped[bool] = mapped_column(default=False)
    # The newest id at the beginning: later orders and callbacks are not the job's.
    until_id: Mapped[str] = mapped_column(token(36))
    # The key after which to go on, as JSON; null: at the beginning.
    place: Mapped[str | None] = mapped_column(token(100))
    # Items that were changed, and those that were left as they were.
    done: Mapped[int] = mapped_column(default=0)
    left_out: Mapped[int] = mapped_column(default=0)
    # No step before this time: the rate, or a pause after an error.
    next_at: Mapped[datetime] = mapped_column(UTCDateTime)
    # Whose step is under way, and until when it holds the job.
    claim_token: Mapped[str | None] = mapped_column(token(36))
    lease_until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # Why the last step has failed; null when it has not.
    last_error: Mapped[str | None] = mapped_column(short_text(500))
    failures: Mapped[int] = mapped_column(default=0)
    finished_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # Who aborted it.
    ended_by: Mapped[str | None] = mapped_column(short_text(200))

    __table_args__ = table(Index(None, "state", "next_at"))


class BulkLeft(Base):
    """An order or a callback that a bulk act has left as it was, and why. Some of each act."""

    __tablename__ = "kernel_bulk_left"

    job_id: Mapped[str] = mapped_column(token(36), primary_key=True)
    item_id: Mapped[str] = mapped_column(token(36), primary_key=True)
    code: Mapped[str] = mapped_column(token(64))
    said: Mapped[str | None] = mapped_column(short_text(255))


class Rerun(Base):
    """An order that was run again as another order: the latest of these, if there are several.

    One row for each such order, so that two bulk acts with the same filter make one re-run.
    """

    __tablename__ = "kernel_reruns"

    # No foreign keys, as in `kernel.db.tables.gates`.
    order_id: Mapped[str] = mapped_column(token(36), primary_key=True)
    new_id: Mapped[str] = mapped_column(token(36))
    # The bulk act that did it; null: a person, for this order alone.
    job_id: Mapped[str | None] = mapped_column(token(36))
    made_at: Mapped[datetime] = mapped_column(UTCDateTime)

    __table_args__ = table(Index(None, "job_id", "order_id"))


JOBS: Any = BulkJob.__table__
LEFT: Any = BulkLeft.__table__
RERUNS: Any = Rerun.__table__
