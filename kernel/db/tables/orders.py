"""The tables, and `Order.finish`, the only way an order ends. The states: `kernel.db.states`."""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Index,
    String,
    Text,
    UniqueConstraint,
    and_,
    bindparam,
    insert,
    null,
    update,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from kernel.db.columns import Base, UTCDateTime, long_bytes, long_text, new_id, serial, table, token
from kernel.db.prepared import Prepared
from kernel.db.states import Callback, DeliveryState, OrderState, Outcome, OwedDelivery
from kernel.db.tables.service import Minute, ServiceKey  # noqa: F401 - whoever imports models knows all

ANONYMOUS = "anonymous"


class Caller(Base):
    """A ticketing system. ``anonymous`` is a row too, so that every order has an owner."""

    __tablename__ = "callers"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(token(100), unique=True)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    # Callback rules added to the global ones: JSON lists of CIDRs and of host names.
    allow_nets: Mapped[str] = mapped_column(Text, default="[]")
    allow_hosts: Mapped[str] = mapped_column(Text, default="[]")
    # Headers sent with every callback: a JSON object. Their values are secrets.
    headers: Mapped[str] = mapped_column(Text, default="{}")
    # The retry schedule in seconds, as a JSON list; null for the setting's.
    schedule: Mapped[str | None] = mapped_column(Text)


class ApiKey(Base):
    """One key of a caller. Only its SHA-256 is stored: 256 random bits need no slow hash."""

    __tablename__ = "api_keys"

    id: Mapped[int] = mapped_column(primary_key=True)
    caller_id: Mapped[int] = mapped_column(ForeignKey("callers.id"), index=True)
    # The first characters, to tell keys apart in listings and logs.
    prefix: Mapped[str] = mapped_column(token(16))
    key_hash: Mapped[str] = mapped_column(token(64), unique=True)
    # What it may do, as words with a space between: orders:write orders:read operator.
    scopes: Mapped[str] = mapped_column(token(100))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # To the minute, so that a busy key does not cost a write per request.
    used_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class SigningSecret(Base):
    """A secret that signs a caller's callbacks; several are valid while one is rotated out."""

    __tablename__ = "signing_secrets"

    id: Mapped[int] = mapped_column(primary_key=True)
    caller_id: Mapped[int] = mapped_column(ForeignKey("callers.id"), index=True)
    secret: Mapped[str] = mapped_column(token(128))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    # Null: in force until rotated. Set: the end of the overlap after a rotation.
    expires_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class Order(Base):
    """One work order. Accepted when this row is committed; its row is the truth."""

    __tablename__ = "orders"

    id: Mapped[str] = mapped_column(token(36), primary_key=True)
    caller_id: Mapped[int] = mapped_column(ForeignKey("callers.id"))
    select_tag: Mapped[str] = mapped_column(token(100))
    # The submitted members without select_tag and callback_url, as JSON.
    args: Mapped[str] = mapped_column(long_text())
    callback_url: Mapped[str] = mapped_column(token(2048))
    idempotency_key: Mapped[str | None] = mapped_column(token(255))
    # SHA-256 of the submitted order: the same key with another fingerprint is a mistake.
    fingerprint: Mapped[str] = mapped_column(token(64))
    # What follows the order from its request to its callback; see `kernel.formats.tracecontext`.
    request_id: Mapped[str | None] = mapped_column(token(64))
    traceparent: Mapped[str | None] = mapped_column(token(55))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)

    state: Mapped[str] = mapped_column(token(16), default=OrderState.PENDING)
    # Pending: not before this moment.
    run_after: Mapped[datetime] = mapped_column(UTCDateTime)
    # Running: how often this order was claimed. With `checkpoint`, the fence of every write.
    run: Mapped[int] = mapped_column(default=0)
    # How many checkpoints were committed, over all runs.
    checkpoint: Mapped[int] = mapped_column(default=0)
    # Runs whose worker died, since the last checkpoint.
    crashes: Mapped[int] = mapped_column(default=0)
    # Running: whoever owns it is taken for dead after this moment.
    lease_until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # Running: the database connection of the run, to be killed by a rescue. It holds locks.
    connection_id: Mapped[int | None] = mapped_column(BigInteger)
    # Running: the caller asked to cancel; seen at the next checkpoint.
    cancel_requested_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    # As the last checkpoint left them. `run_state` is the handler's own JSON, to resume from.
    progress_current: Mapped[int | None] = mapped_column(BigInteger)
    progress_total: Mapped[int | None] = mapped_column(BigInteger)
    progress_note: Mapped[str | None] = mapped_column(String(1000))
    run_state: Mapped[str | None] = mapped_column(long_text())
    started_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # Set together with a final state, and never again.
    finished_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    message: Mapped[str | None] = mapped_column(String(1000))
    # Success or warning: the handler's dict, as JSON. Otherwise `error_code` is set.
    result: Mapped[str | None] = mapped_column(long_text())
    error_code: Mapped[str | None] = mapped_column(token(64))

    __table_args__ = table(
        UniqueConstraint("caller_id", "idempotency_key"),
        Index(None, "caller_id", "id"),
        Index(None, "state", "run_after"),
        # For pages of one state, and for the few that run: their leases stand in no index.
        Index(None, "state", "id"),
        # For pages by kind and state, of everybody and of one caller; see `kernel.orders.pages`.
        Index(None, "state", "select_tag", "id"),
        Index(None, "caller_id", "state", "select_tag", "id"),
        Index(None, "finished_at"),
    )

    @staticmethod
    def finish(
        session: Session, held: "HeldOrder", outcome: Outcome, callback: Callback, now: datetime
    ) -> OwedDelivery | None:
        """Write the outcome and the callback it owes; return the delivery.

        The one way into a final state. Returns None, having written nothing, when ``held`` no
        longer holds: somebody else was first. The caller commits, with the handler's writes.
        """
        connection = session.connection()
        ended = {f"new_{name}": getattr(outcome, name) for name in _OUTCOME}
        if _FINISH.execute(connection, {**held.fenced(), **ended, "now": now}) != 1:
            return None
        owed = OwedDelivery(
            id=new_id(now),
            order_id=held.id,
            caller_id=held.caller_id,
            origin=callback.origin,
            url=held.callback_url,
            body=callback.body,
            created_at=now,
            claim=callback.claim,
        )
        _INSERT_DELIVERY.execute(connection, owed.row())
        return owed


class Delivery(Base):
    """The callback owed for an outcome: frozen URL and bytes. Its id is the webhook-id."""

    __tablename__ = "deliveries"

    id: Mapped[str] = mapped_column(token(36), primary_key=True)
    order_id: Mapped[str] = mapped_column(ForeignKey("orders.id"), index=True)
    caller_id: Mapped[int] = mapped_column(ForeignKey("callers.id"))
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
    late: Mapped[bool] = mapped_column(default=False)
    # Whose attempt is in flight; the fence of the result.
    claim_token: Mapped[str | None] = mapped_column(token(36))
    # Attempts begun, over the delivery's whole life; and since it last became owed.
    attempt: Mapped[int] = mapped_column(default=0)
    tries: Mapped[int] = mapped_column(default=0)
    # 4xx answers since it became owed: a receiver under repair gets a few, not all.
    client_errors: Mapped[int] = mapped_column(default=0)
    finished_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    __table_args__ = table(
        Index(None, "state", "late", "caller_id", "origin", "next_attempt_at"),
        Index(None, "state", "finished_at"),
        Index(None, "caller_id", "id"),
    )


class Attempt(Base):
    """One POST of a delivery, and what came of it."""

    __tablename__ = "attempts"

    id: Mapped[int] = mapped_column(serial(), primary_key=True, autoincrement=True)
    delivery_id: Mapped[str] = mapped_column(ForeignKey("deliveries.id"), index=True)
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
    excerpt: Mapped[str | None] = mapped_column(String(1000))

    # For the counts of a minute, from the index alone.
    __table_args__ = table(Index(None, "started_at", "reason"))


class Pause(Base):
    """A person's word that nothing is to be sent to a host, or for a caller, until resumed."""

    __tablename__ = "pauses"

    id: Mapped[int] = mapped_column(primary_key=True)
    # One of the two is set. A host is a name, or name:port.
    host: Mapped[str | None] = mapped_column(token(300), unique=True)
    caller_id: Mapped[int | None] = mapped_column(ForeignKey("callers.id"), unique=True)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)


class SelectTag(Base):
    """When a worker that knows this tag was last seen; a tag nobody knows fails after an hour."""

    __tablename__ = "select_tags"

    tag: Mapped[str] = mapped_column(token(100), primary_key=True)
    seen_at: Mapped[datetime] = mapped_column(UTCDateTime)


class Sweep(Base):
    """One row: when anybody last swept. A conditional update decides whose turn it is."""

    __tablename__ = "sweeps"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    swept_at: Mapped[datetime] = mapped_column(UTCDateTime)


# The bare tables: the hot paths speak SQL to them and leave the ORM's bookkeeping out.
ORDERS: Any = Order.__table__
DELIVERIES: Any = Delivery.__table__
ATTEMPTS: Any = Attempt.__table__
PAUSES: Any = Pause.__table__


class HeldOrder(NamedTuple):
    """An order as one transaction saw it: enough to finish it if nobody was faster."""

    id: str
    caller_id: int
    select_tag: str
    callback_url: str
    created_at: datetime
    state: str
    run: int
    checkpoint: int

    def fenced(self) -> dict[str, Any]:
        """The values for `FENCE`: how the order stood."""
        return {f"held_{name}": getattr(self, name) for name in _FENCED}


# The condition under which an order still stands as it was held. Statements of the hot paths are
# made once: building one costs more than running it.
_FENCED = ("id", "state", "run", "checkpoint")
FENCE = and_(*(ORDERS.c[name] == bindparam(f"held_{name}") for name in _FENCED))
_OUTCOME = ("state", "message", "result", "error_code")
_FINISH = Prepared(
    update(ORDERS)
    .where(FENCE)
    .values(
        {name: bindparam(f"new_{name}") for name in _OUTCOME}
        | {"finished_at": bindparam("now"), "lease_until": null(), "connection_id": null()}
    )
)
_OWED = ("id", "order_id", "caller_id", "origin", "url", "body", "created_at", "next_attempt_at")
_INSERT_DELIVERY = Prepared(insert(DELIVERIES), (*_OWED, "claim_token", "attempt", "tries", "late"))

HELD = tuple(ORDERS.c[name] for name in HeldOrder._fields)


def rowcount(result: Any) -> int:
    """How many rows a conditional statement matched: the answer to "was I the one?"."""
    found: int = result.rowcount
    return found
