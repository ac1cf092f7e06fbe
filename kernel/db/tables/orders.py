"""The table of orders, and an order as one transaction saw it. The states: `kernel.db.states`."""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Index,
    SmallInteger,
    UniqueConstraint,
    and_,
    bindparam,
    func,
)
from sqlalchemy.orm import Mapped, mapped_column

from kernel.db.columns import Base, UTCDateTime, long_text, name, short_text, table, token
from kernel.db.states import OrderState
from kernel.db.tables.gates import Has
from kernel.db.tables.sealed import SEALED

# The callback_url of an order whose caller polls.
NO_CALLBACK = ""


class Order(Base):
    """One work order. Accepted when this row is committed; its row is the truth."""

    __tablename__ = "kernel_orders"

    id: Mapped[str] = mapped_column(token(36), primary_key=True)
    caller_id: Mapped[int] = mapped_column(ForeignKey("kernel_callers.id"))
    select_tag: Mapped[str] = mapped_column(token(100))
    # The submitted members without select_tag and callback_url, as JSON.
    args: Mapped[str] = mapped_column(long_text())
    # Where the callback goes: a URL, or a receiver of the caller's; `NO_CALLBACK` for none.
    callback_url: Mapped[str] = mapped_column(token(2048))
    idempotency_key: Mapped[str | None] = mapped_column(token(255))
    # Of the submitted order: the same key with another fingerprint is a mistake. A SHA-256, or an
    # HMAC for an order with secrets; see `kernel.orders.secrets.arguments`.
    fingerprint: Mapped[str] = mapped_column(token(64))
    # What follows the order from its request to its callback; see `kernel.formats.tracecontext`.
    request_id: Mapped[str | None] = mapped_column(token(64))
    traceparent: Mapped[str | None] = mapped_column(token(55))
    # The caller's own name for the order; see `kernel.formats.reference`. Found by `Reference`.
    reference: Mapped[str | None] = mapped_column(name(255))
    # True: it came by the original system's address, and its callback says what that one's said.
    # Null: it did not, as no order of an older release does.
    is_original: Mapped[bool | None]
    # The window in which its first run may begin, as the caller gave it; see `Gate`.
    not_before: Mapped[datetime | None] = mapped_column(UTCDateTime)
    not_after: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # What there is of it beside this row, as `kernel.db.tables.gates.Has`; null for most orders, of
    # which nothing else has to be asked.
    gates: Mapped[int | None] = mapped_column(SmallInteger)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)

    state: Mapped[str] = mapped_column(token(16), default=OrderState.PENDING)
    # Whose turn it is among the caller's orders; see `Priority`.
    priority: Mapped[int] = mapped_column(SmallInteger, default=0, server_default="0")
    # Pending: not before this moment. Waiting: it has no meaning.
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
    # Running: the id of the process that claimed it, as in `kernel_workers`. Older releases leave
    # what stands here; it means something in the state running alone.
    runner: Mapped[str | None] = mapped_column(token(36))
    # Running: the caller asked to cancel; seen at the next checkpoint.
    cancel_requested_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    # As the last checkpoint left them. `run_state` is the handler's own JSON, to resume from.
    progress_current: Mapped[int | None] = mapped_column(BigInteger)
    progress_total: Mapped[int | None] = mapped_column(BigInteger)
    progress_note: Mapped[str | None] = mapped_column(short_text(1000))
    run_state: Mapped[str | None] = mapped_column(long_text())
    started_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # Set together with a final state, and never again.
    finished_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    message: Mapped[str | None] = mapped_column(short_text(1000))
    # Success or warning: the handler's dict, as JSON. Otherwise `error_code` is set.
    result: Mapped[str | None] = mapped_column(long_text())
    error_code: Mapped[str | None] = mapped_column(token(64))

    # The arguments that are secret, sealed; null for orders without any, and once they are gone.
    secret_args: Mapped[str | None] = mapped_column(long_text(), info=SEALED)

    __table_args__ = table(
        UniqueConstraint("caller_id", "idempotency_key"),
        Index(None, "caller_id", "id"),
        # For what is due, caller by caller; see `kernel.orders.due`.
        Index(None, "state", "caller_id", "priority", "run_after"),
        # For pages of one state, and for the few that run: their leases stand in no index.
        Index(None, "state", "id"),
        # For pages by kind and state, of all callers and of one; see `kernel.orders.pages`.
        Index(None, "state", "select_tag", "id"),
        Index(None, "caller_id", "state", "select_tag", "id"),
        Index(None, "finished_at"),
    )


class Reference(Base):
    """Which orders have a reference: one row for each such order, and none for all others.

    Written in the commit that accepts the order. An index on the orders' column instead would cost
    every order redo, those without a reference included.
    """

    __tablename__ = "kernel_references"

    # No foreign key: an older release beside this one deletes orders, and knows no such rows.
    order_id: Mapped[str] = mapped_column(token(36), primary_key=True)
    caller_id: Mapped[int]
    reference: Mapped[str] = mapped_column(name(255))

    __table_args__ = table(Index(None, "reference", "caller_id", "order_id"))


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
REFERENCES: Any = Reference.__table__


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
    reference: str | None = None
    is_original: bool | None = None
    gates: int | None = None

    @property
    def is_child(self) -> bool:
        """Whether another order has made it."""
        return bool((self.gates or 0) & Has.PARENT)

    @property
    def has_children(self) -> bool:
        """Whether it has made other orders."""
        return bool((self.gates or 0) & Has.CHILDREN)

    def fenced(self) -> dict[str, Any]:
        """The values for `FENCE`: how the order stood."""
        return {f"held_{name}": getattr(self, name) for name in _FENCED}


# The condition under which an order still stands as it was held. Statements of the hot paths are
# made once: building one costs more than running it.
_FENCED = ("id", "state", "run", "checkpoint")
FENCE = and_(*(ORDERS.c[name] == bindparam(f"held_{name}") for name in _FENCED))
SNAPSHOT = tuple(ORDERS.c[name] for name in OrderSnapshot._fields)


def with_bit(has: int) -> Any:
    """Return what `gates` is to be when there is this as well; see `kernel.db.tables.gates.Has`."""
    return func.coalesce(ORDERS.c.gates, 0).op("|")(int(has))
