"""Deliveries (the outbox) and their attempts."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ForeignKey,
    Index,
    String,
)
from sqlalchemy.orm import Mapped, mapped_column

from kernel.db.columns import Base, UTCDateTime, long_bytes, serial, short_text, table, token
from kernel.db.states import DeliveryState

# Made of its columns the name would be longer than MariaDB's 64 characters.
LANE_INDEX = "ix_kernel_deliveries_lane_next_attempt_at"


class Delivery(Base):
    """The callback owed for an outcome: frozen URL and bytes. Its id is the webhook-id."""

    __tablename__ = "kernel_deliveries"

    id: Mapped[str] = mapped_column(token(36), primary_key=True)
    order_id: Mapped[str] = mapped_column(ForeignKey("kernel_orders.id"), index=True)
    caller_id: Mapped[int] = mapped_column(ForeignKey("kernel_callers.id"))
    # scheme://host:port, what caps, breakers and pauses go by.
    origin: Mapped[str] = mapped_column(token(300))
    url: Mapped[str] = mapped_column(token(2048))
    body: Mapped[bytes] = mapped_column(long_bytes())
    # When it became owed, or was last asked for again: the deadline counts from here.
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)

    state: Mapped[str] = mapped_column(token(16), default=DeliveryState.PENDING)
    # Pending: due then. A claim moves it past the attempt's deadline: no sender needs a rescue.
    next_attempt_at: Mapped[datetime] = mapped_column(UTCDateTime)
    # False until the first attempt was claimed: first attempts go before retries.
    is_retry: Mapped[bool] = mapped_column(default=False)
    # Whose attempt is in flight, the fence of the result. It begins with the id of the process that
    # sends it, as in `kernel_workers`.
    claim_token: Mapped[str | None] = mapped_column(token(36))
    # Attempts begun, over the delivery's whole life; and since it last became owed.
    attempt: Mapped[int] = mapped_column(default=0)
    tries: Mapped[int] = mapped_column(default=0)
    # Refusals since it became owed, as of `kernel.transport.backoff.is_refusal`: a receiver under
    # repair gets a few, not all.
    client_errors: Mapped[int] = mapped_column(default=0)
    finished_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # Dead: why, from `kernel.transport.backoff.Dead`; null where an older release gave up.
    died_of: Mapped[str | None] = mapped_column(token(32))
    # The highest id in `kernel_shapes` at the outcome: what the callback looks like. Null: none.
    shapes_until: Mapped[int | None]

    __table_args__ = table(
        Index(LANE_INDEX, "state", "is_retry", "caller_id", "origin", "next_attempt_at"),
        Index(None, "state", "finished_at"),
        Index(None, "caller_id", "id"),
    )


class Attempt(Base):
    """One POST of a delivery, and its result."""

    __tablename__ = "kernel_attempts"

    id: Mapped[int] = mapped_column(serial(), primary_key=True, autoincrement=True)
    delivery_id: Mapped[str] = mapped_column(ForeignKey("kernel_deliveries.id"), index=True)
    number: Mapped[int]
    started_at: Mapped[datetime] = mapped_column(UTCDateTime)
    duration_ms: Mapped[int]
    # The HTTP status, when there was one.
    status: Mapped[int | None]
    # Why it failed, from the transport's closed set; null when it was delivered.
    reason: Mapped[str | None] = mapped_column(token(16))
    # Milliseconds spent in dns, connect, tls, send, wait and read: a JSON object.
    phases: Mapped[str] = mapped_column(String(255), default="{}")
    # The first bytes of the answer, for people. Hostile text.
    excerpt: Mapped[str | None] = mapped_column(short_text(1000))
    # What the receiver's rules saw in the answer, in words; null without rules. Hostile text.
    judged: Mapped[str | None] = mapped_column(short_text(255))

    # For the counts of a minute, from the index alone.
    __table_args__ = table(Index(None, "started_at", "reason"))


DELIVERIES: Any = Delivery.__table__
# The state and the lane of a delivery: what the index that ends with next_attempt_at begins with.
STATE_AND_LANE = tuple(DELIVERIES.c[name] for name in ("state", "is_retry", "caller_id", "origin"))


ATTEMPTS: Any = Attempt.__table__


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxRow:
    """A delivery as far as its next attempt needs it.

    ``token`` is the claim of that attempt, None while none is claimed; ``attempt`` counts attempts
    over the delivery's life, ``tries`` those since it last became owed.
    """

    id: str
    order_id: str
    caller_id: int
    origin: str
    url: str
    body: bytes
    created_at: datetime
    attempt: int = 0
    tries: int = 0
    client_errors: int = 0
    token: str | None = None
    request_id: str | None = None
    traceparent: str | None = None
    # The highest id of a shape at the outcome, as in the row; None while it is not known.
    shapes_until: int | None = None
    # The order's.
    reference: str | None = None
