"""The limits of tags: what people have set, who holds a slot, and when the next order may begin."""

from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, Index, Integer, SmallInteger, false
from sqlalchemy.orm import Mapped, mapped_column

from kernel.db.columns import Base, UTCDateTime, name, table, token

# The longest value by which a limit is kept apart; see `kernel.handlers.limits`.
VALUE = 64


class SetLimit(Base):
    """A limit that a person has set for a tag: it holds instead of what the code registers."""

    __tablename__ = "kernel_limits"

    tag: Mapped[str] = mapped_column(token(100), primary_key=True)
    # Null: as registered. 0: any number.
    concurrency: Mapped[int | None] = mapped_column(SmallInteger)
    # As `30/m`. Null: as registered. Empty: as often as they come.
    rate: Mapped[str | None] = mapped_column(token(16))
    set_at: Mapped[datetime] = mapped_column(UTCDateTime)


class Line(Base):
    """Where the orders of a tag with one value of its limit line up; the row that decides.

    A transaction that makes an order wait, or lets one go on, locks it first, then its slots.
    """

    __tablename__ = "kernel_limit_lines"

    tag: Mapped[str] = mapped_column(token(100), primary_key=True)
    # The argument's value by which the limit is kept apart; empty where it is not.
    value: Mapped[str] = mapped_column(name(VALUE), primary_key=True)
    # With a rate: no order begins before this moment. Null until the first one.
    free_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # With a rate: the pending order that begins then.
    turn: Mapped[str | None] = mapped_column(token(36))
    # Orders wait, or the slots are more than they should be: nothing is taken without a look at
    # this row. Said of each of its slots as well.
    is_wanted: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())

    __table_args__ = table(Index(None, "is_wanted"))


class Slot(Base):
    """Room for one running order: a tag with a concurrency of 4 has four of them for each value.

    Held by the order that is running with this run's number, or is pending and will run with it
    next; one that does neither holds it no longer.
    """

    __tablename__ = "kernel_slots"

    tag: Mapped[str] = mapped_column(token(100), primary_key=True)
    value: Mapped[str] = mapped_column(name(VALUE), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    # No foreign key: pruning deletes orders. The last holder where it is free.
    order_id: Mapped[str] = mapped_column(token(36), default="", server_default="")
    # 0: free.
    run: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    is_wanted: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())

    __table_args__ = table(Index(None, "order_id"))


# The bare tables, as the orders' in `kernel.db.tables.orders`.
SET_LIMITS: Any = SetLimit.__table__
LINES: Any = Line.__table__
SLOTS: Any = Slot.__table__
