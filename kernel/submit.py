"""T1: accept an order, look orders up, cancel one. Knows nothing of HTTP or Celery.

An order is accepted when its row is committed; the caller of these functions hints afterwards.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import insert, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from kernel.auth import Identity
from kernel.columns import new_id
from kernel.database import is_passing
from kernel.errors import Conflict, IdempotencyKeyReused, NotFound, Unavailable
from kernel.messages import text
from kernel.models import HELD, ORDERS, Delivery, HeldOrder, Order, rowcount
from kernel.runtime import Kernel
from kernel.schemas import OrderRequest
from kernel.states import FINAL, DeliveryState, OrderState, Outcome

TRIES = 4
PAGE = 50
MAX_PAGE = 200
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Accepted:
    """An accepted order; ``replayed`` when it is the answer to a repeat."""

    order_id: str
    replayed: bool


@dataclass(frozen=True, slots=True)
class OrderFilter:
    """Which orders to list, newest first; ``before`` is the last id of the previous page."""

    state: str | None = None
    select_tag: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: str | None = None
    limit: int = PAGE


def submit(
    kernel: Kernel, identity: Identity, request: OrderRequest, idempotency_key: str | None = None
) -> Accepted:
    """Store an order and return its id; it is accepted when this returns.

    The same ``idempotency_key`` (of the same caller) with the same order returns the first one
    again, however many arrive at once. Raises IdempotencyKeyReused when the order differs, and
    Unavailable when the database cannot take it now: nothing was accepted.
    """
    row = {
        "caller_id": identity.caller_id,
        "select_tag": request.select_tag,
        "args": request.args,
        "callback_url": request.callback_url,
        "idempotency_key": idempotency_key,
        "fingerprint": request.fingerprint,
    }

    def accept() -> Accepted:
        now = kernel.clock.now()
        order_id = new_id(now)
        try:
            with kernel.transaction() as session:
                session.execute(
                    insert(ORDERS).values(id=order_id, created_at=now, run_after=now, **row)
                )
        except IntegrityError:
            if idempotency_key is None:
                raise
            return _replay(kernel, row)
        return Accepted(order_id, replayed=False)

    return retrying(accept)


def _replay(kernel: Kernel, row: dict[str, Any]) -> Accepted:
    with kernel.reading() as session:
        first = session.execute(
            select(ORDERS.c.id, ORDERS.c.fingerprint).where(
                ORDERS.c.caller_id == row["caller_id"],
                ORDERS.c.idempotency_key == row["idempotency_key"],
            )
        ).one_or_none()
    if first is None:  # pruned between the two statements: the next try inserts
        raise Unavailable(retry_after=1)
    if first.fingerprint != row["fingerprint"]:
        raise IdempotencyKeyReused
    return Accepted(first.id, replayed=True)


def retrying(work: Callable[[], T]) -> T:
    """Run a short transaction again when the database dropped it (deadlock, lock, lost link).

    Raises Unavailable after a few tries. ``work`` opens and commits its own transaction, and is
    harmless when done twice.
    """
    for attempt in range(TRIES):
        try:
            return work()
        except DBAPIError as error:
            if not (error.connection_invalidated or is_passing(error.orig)):
                raise
            last = error
            time.sleep(random.uniform(0.01, 0.05) * attempt)  # noqa: S311 - spreads rivals
    raise Unavailable(retry_after=2) from last


def get_order(session: Session, caller_id: int | None, order_id: str) -> Order:
    """Return the caller's order (anybody's when ``caller_id`` is None).

    Raises NotFound for an unknown id and for another caller's, alike.
    """
    order = session.get(Order, order_id)
    if order is None or caller_id not in (None, order.caller_id):
        raise NotFound(f"there is no order {order_id[:64]}")
    return order


def list_orders(session: Session, caller_id: int | None, wanted: OrderFilter) -> list[Order]:
    """Return up to ``wanted.limit`` orders, newest first."""
    conditions = {
        "caller_id": None if caller_id is None else Order.caller_id == caller_id,
        "state": None if wanted.state is None else Order.state == wanted.state,
        "tag": None if wanted.select_tag is None else Order.select_tag == wanted.select_tag,
        "since": None if wanted.since is None else Order.created_at >= wanted.since,
        "until": None if wanted.until is None else Order.created_at < wanted.until,
        "before": None if wanted.before is None else Order.id < wanted.before,
    }
    query = select(Order).order_by(Order.id.desc()).limit(min(wanted.limit, MAX_PAGE))
    return list(session.scalars(query.where(*(c for c in conditions.values() if c is not None))))


def list_deliveries(session: Session, order_id: str) -> list[Delivery]:
    """Return the order's deliveries."""
    return list(
        session.scalars(select(Delivery).where(Delivery.order_id == order_id).order_by(Delivery.id))
    )


def cancel(kernel: Kernel, caller_id: int | None, order_id: str) -> OrderState:
    """Cancel an order: a pending one at once, a running one at its next checkpoint.

    Returns the state it is in now: ``cancelled``, or ``running`` when the request was noted and
    the handler has not seen it yet (a finish that comes first wins). Cancelling a cancelled
    order changes nothing. Raises NotFound, or Conflict when it has ended otherwise.
    """
    for _ in range(TRIES):
        with kernel.transaction() as session:
            get_order(session, caller_id, order_id)
            state = _cancel(kernel, session, order_id)
        if state is not None:
            return state
    raise Unavailable(retry_after=1)


def _cancel(kernel: Kernel, session: Session, order_id: str) -> OrderState | None:
    held = HeldOrder(*session.execute(select(*HELD).where(ORDERS.c.id == order_id)).one())
    state = OrderState(held.state)
    if state is OrderState.CANCELLED:
        return state
    if state in FINAL:
        raise Conflict(f"the order has ended: {state}")
    if state is OrderState.RUNNING:
        noted = session.execute(
            update(ORDERS).where(held.fence()).values(cancel_requested_at=kernel.clock.now())
        )
        return state if rowcount(noted) == 1 else None
    message = text("cancelled", kernel.settings.language)
    outcome = Outcome(OrderState.CANCELLED, message, error_code="cancelled")
    return OrderState.CANCELLED if kernel.finish(session, held, outcome) else None


def get_delivery(session: Session, caller_id: int | None, delivery_id: str) -> Delivery:
    """Return the caller's delivery. Raises NotFound, for another caller's alike."""
    delivery = session.get(Delivery, delivery_id)
    if delivery is None or caller_id not in (None, delivery.caller_id):
        raise NotFound(f"there is no delivery {delivery_id[:64]}")
    return delivery


def redeliver(kernel: Kernel, caller_id: int | None, delivery_id: str) -> bool:
    """Make a delivery due now, with the same id and bytes and a fresh schedule.

    Returns False, changing nothing, while an attempt is in flight. Raises NotFound.
    """
    now = kernel.clock.now()
    with kernel.transaction() as session:
        get_delivery(session, caller_id, delivery_id)
        changed = session.execute(
            update(Delivery)
            .where(Delivery.id == delivery_id, Delivery.claim_token.is_(None))
            .values(
                state=DeliveryState.PENDING,
                next_attempt_at=now,
                created_at=now,
                client_errors=0,
                tries=0,
                finished_at=None,
            )
        )
    return rowcount(changed) == 1
