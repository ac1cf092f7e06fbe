"""The tables, and `Order.finish`, the only way an order ends. The states: `kernel.db.states`."""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Index,
    String,
    UniqueConstraint,
    and_,
    bindparam,
    insert,
    null,
    update,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from kernel.db.columns import Base, UTCDateTime, long_text, table, token
from kernel.db.ids import new_id
from kernel.db.prepared import Prepared
from kernel.db.states import Callback, OrderState, Outcome, OwedDelivery
from kernel.db.tables.deliveries import DELIVERIES


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
        session: Session, held: "OrderSnapshot", outcome: Outcome, callback: Callback, now: datetime
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


# The bare tables: the hot paths speak SQL to them and leave the ORM's bookkeeping out.
ORDERS: Any = Order.__table__


class OrderSnapshot(NamedTuple):
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

SNAPSHOT = tuple(ORDERS.c[name] for name in OrderSnapshot._fields)
