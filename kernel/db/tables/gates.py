"""What keeps an order from beginning or from going on: one row for each such order."""

from datetime import datetime
from enum import IntFlag
from typing import Any

from sqlalchemy import BigInteger, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from kernel.db.columns import (
    Base,
    UTCDateTime,
    long_text,
    name,
    serial,
    short_text,
    table,
    token,
)


class Has(IntFlag):
    """What there is of an order beside its own row (`kernel_orders.gates`).

    The bits are set with the rows they tell of and stay. A window alone sets none: it stands in
    the order's own columns as well.
    """

    KEY = 1
    PARENT = 2
    CHILDREN = 4
    EVENTS = 8
    LIMIT = 16
    STEPS = 32
    # It has waited for something.
    WAITED = 64
    # It runs another order again.
    RERUN = 128


class Gate(Base):
    """What keeps an order from beginning: one row for each such order, and none for all others.

    Written in the commit that accepts the order, or with its first wait. Indexes on the orders'
    columns instead would cost every order redo.
    """

    __tablename__ = "kernel_gates"

    # No foreign key, as in `kernel.db.tables.orders.Reference`.
    order_id: Mapped[str] = mapped_column(token(36), primary_key=True)
    caller_id: Mapped[int]
    # Not before this time; it stays when that is past. Null once the order was cancelled.
    opens_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # Not after this time; null once a sweep has seen what became of the order by then.
    closes_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # While it waits, and null otherwise: what for (`ordering_key`, `children`, `event:NAME`,
    # `limit:NAME`), since when, and when it goes on all the same. Of a cancelled order: `descent`,
    # until its children are cancelled.
    waiting_for: Mapped[str | None] = mapped_column(name(255))
    waiting_since: Mapped[datetime | None] = mapped_column(UTCDateTime)
    wakes_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # When it was accepted, once it has waited for a limit: they go on in that order.
    accepted_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # The caller's orders with the same key run one at a time, by their places.
    ordering_key: Mapped[str | None] = mapped_column(name(255))
    place: Mapped[int | None] = mapped_column(BigInteger)
    # The order that made this one.
    parent_id: Mapped[str | None] = mapped_column(token(36))
    # The order that it runs again, from one of that one's steps on.
    rerun_of: Mapped[str | None] = mapped_column(token(36))

    __table_args__ = table(
        Index(None, "caller_id", "opens_at"),
        Index(None, "closes_at"),
        Index(None, "wakes_at"),
        Index(None, "waiting_for", "accepted_at", "order_id"),
        Index(None, "caller_id", "waiting_for", "order_id"),
        Index(None, "caller_id", "ordering_key", "place"),
        # For pages of orders.
        Index(None, "ordering_key", "caller_id", "order_id"),
        Index(None, "parent_id", "order_id"),
    )


class OrderingKey(Base):
    """A caller's ordering key: one row decides which of its orders may run.

    It is locked before any order of the key is accepted or ends; see `kernel.orders.gates.keys`.
    """

    __tablename__ = "kernel_keys"

    # No foreign keys, as in `Gate`.
    caller_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    ordering_key: Mapped[str] = mapped_column(name(255), primary_key=True)
    # The place of the order that was accepted last.
    tail: Mapped[int] = mapped_column(BigInteger)
    # The one live order that does not wait for its turn; null: no live order has the key.
    holder: Mapped[str | None] = mapped_column(token(36))

    __table_args__ = table(Index(None, "holder"))


class EventRow(Base):
    """Something that one order was told: an approval, another system's answer.

    Written under the lock of the order's row, so ids are in the order in which they were told.
    """

    __tablename__ = "kernel_events"

    id: Mapped[int] = mapped_column(serial(), primary_key=True, autoincrement=True)
    # No foreign key, as above.
    order_id: Mapped[str] = mapped_column(token(36))
    name: Mapped[str] = mapped_column(token(100))
    # A JSON object.
    data: Mapped[str] = mapped_column(long_text())
    # What makes telling it again a repeat: `key:` and the teller's own key, or `link:` and the
    # link's id. Null: there is none.
    told_key: Mapped[str | None] = mapped_column(token(260))
    told_by: Mapped[str] = mapped_column(short_text(200))
    told_at: Mapped[datetime] = mapped_column(UTCDateTime)
    # Whether it has ended a wait. It ends one at the most.
    is_used: Mapped[bool] = mapped_column(default=False)

    __table_args__ = table(
        UniqueConstraint("order_id", "told_key"),
        Index(None, "order_id", "id"),
    )


# The bare tables, as the orders' in `kernel.db.tables.orders`.
GATES: Any = Gate.__table__
KEYS: Any = OrderingKey.__table__
EVENTS: Any = EventRow.__table__
