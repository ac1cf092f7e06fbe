"""The table of orders, and an order as one transaction saw it. The states: `kernel.db.states`."""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Index,
    SmallInteger,
    String,
    UniqueConstraint,
    and_,
    bindparam,
)
from sqlalchemy.orm import Mapped, mapped_column

from kernel.db.columns import Base, UTCDateTime, long_text, table, token
from kernel.db.states import OrderState


class Order(Base):
    """One work order. Accepted when this row is committed; its row is the truth."""

    __tablename__ = "kernel_orders"

    id: Mapped[str] = mapped_column(token(36), primary_key=True)
    caller_id: Mapped[int] = mapped_column(ForeignKey("kernel_callers.id"))
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
    # Runs that ended without an outcome, by why; see `kernel.orders.decide`. The first two are set
    # to 0 by a checkpoint: workers that died, and broken runs in quarters.
    crashes: Mapped[int] = mapped_column(default=0)
    broken: Mapped[int] = mapped_column(SmallInteger, default=0, server_default="0")
    timeouts: Mapped[int] = mapped_column(SmallInteger, default=0, server_default="0")
    retries: Mapped[int] = mapped_column(default=0, server_default="0")
    # Running: the worker that claimed it is taken for dead after this moment.
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
        # For pages by kind and state, of all callers and of one; see `kernel.orders.pages`.
        Index(None, "state", "select_tag", "id"),
        Index(None, "caller_id", "state", "select_tag", "id"),
        Index(None, "finished_at"),
    )


class RunMark(Base):
    """A run that has said something of which only the server knows whether it commits.

    Written in the run's transaction before such a statement and deleted after it. A committed row
    says that the statement ended the transaction and that part of the work is stored.
    """

    __tablename__ = "kernel_run_marks"

    # No foreign key: a child row that is not committed would lock the order's row.
    order_id: Mapped[str] = mapped_column(token(36), primary_key=True)
    run: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


# The bare tables: the hot paths speak SQL to them and leave the ORM's bookkeeping out.
ORDERS: Any = Order.__table__
RUN_MARKS: Any = RunMark.__table__


class OrderSnapshot(NamedTuple):
    """An order as one transaction saw it: enough to end it if it still stands so."""

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
SNAPSHOT = tuple(ORDERS.c[name] for name in OrderSnapshot._fields)
