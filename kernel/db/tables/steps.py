"""The table of steps: what the named pieces of handlers have come to."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from kernel.db.columns import Base, UTCDateTime, long_text, short_text, token
from kernel.db.tables.sealed import SEALED

MAX_NAME = 100
MAX_ERROR = 1000


class Step(Base):
    """A step of an order: written when its first attempt begins, and when an attempt has ended.

    An attempt that is going on has no duration; nor has one whose process has died.
    """

    __tablename__ = "kernel_steps"

    # No foreign key: a child row that is not committed would lock the order's row.
    order_id: Mapped[str] = mapped_column(token(36), primary_key=True)
    # The order in which steps were first begun, from 1.
    number: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(token(MAX_NAME))
    attempts: Mapped[int] = mapped_column(SmallInteger)
    # How often an operator had it done again in this order: each time its key is another.
    again: Mapped[int] = mapped_column(SmallInteger, default=0, server_default="0")
    # Of the last attempt; and the error of the last one that failed.
    started_at: Mapped[datetime] = mapped_column(UTCDateTime)
    duration_ms: Mapped[int | None] = mapped_column(BigInteger)
    error: Mapped[str | None] = mapped_column(short_text(MAX_ERROR))
    # When its result was recorded; later runs are given that back. One of the two has it as JSON,
    # unless it was secret and its secrets are gone.
    done_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    result: Mapped[str | None] = mapped_column(long_text())
    secret_result: Mapped[str | None] = mapped_column(long_text(), info=SEALED)


STEPS: Any = Step.__table__
