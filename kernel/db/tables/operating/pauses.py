"""What people have paused: callbacks by host, caller or receiver; orders by tag or caller.

One row for each pause in force. It ends with its row: by a person, or by the sweep at its end.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, and_, exists
from sqlalchemy.orm import Mapped, mapped_column

from kernel.db.columns import Base, UTCDateTime, short_text, table, token
from kernel.db.tables.orders import ORDERS


class Pause(Base):
    """A person's word that nothing is to be sent there, or that no such order is to begin.

    Of what may be paused one column is set, and the others are null.
    """

    __tablename__ = "kernel_pauses"

    id: Mapped[int] = mapped_column(primary_key=True)
    # Callbacks to a host: a name, or name:port, as `kernel.formats.hosts` spells it.
    host: Mapped[str | None] = mapped_column(token(300), unique=True)
    # Callbacks of a caller.
    caller_id: Mapped[int | None] = mapped_column(ForeignKey("kernel_callers.id"), unique=True)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    # `adopt`: until an operator has confirmed the caller's receivers. Null: a person's own pause.
    reason: Mapped[str | None] = mapped_column(token(32))
    # Callbacks of a receiver. No foreign key: a receiver that is removed takes no lock here.
    receiver_id: Mapped[int | None]
    # Orders of a tag.
    tag: Mapped[str | None] = mapped_column(token(100))
    # Orders of a caller. No foreign key, as above.
    orders_of: Mapped[int | None]
    # When a sweep ends it; null: a person does.
    until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # Who, and why in that person's words. Null where an older release has made it.
    by_whom: Mapped[str | None] = mapped_column(short_text(200))
    why: Mapped[str | None] = mapped_column(short_text(500))

    __table_args__ = table(
        Index(None, "receiver_id", unique=True),
        Index(None, "tag", unique=True),
        Index(None, "orders_of", unique=True),
    )


PAUSES: Any = Pause.__table__

# The condition under which no pause keeps an order from beginning. It stands in the statements that
# find and claim orders, and reads two indexes: who has no pause pays for nothing else.
NOT_PAUSED = and_(
    ~exists().where(PAUSES.c.tag == ORDERS.c.select_tag),
    ~exists().where(PAUSES.c.orders_of == ORDERS.c.caller_id),
)
