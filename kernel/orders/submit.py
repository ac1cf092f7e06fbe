"""T1: accept an order, look one up, cancel one. Knows nothing of HTTP or Celery.

An order is accepted when its row is committed; the caller of these functions hints afterwards.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from kernel.callers.identity import KEY_HOLDS, Identity
from kernel.db.columns import ID, new_id
from kernel.db.engine import is_passing
from kernel.db.prepared import Prepared
from kernel.db.states import FINAL, OrderState, Outcome
from kernel.db.tables.orders import HELD, ORDERS, HeldOrder, Order, rowcount
from kernel.errors import (
    Conflict,
    IdempotencyKeyReused,
    InvalidOrder,
    NotFound,
    Unauthenticated,
    Unavailable,
)
from kernel.formats.order_request import OrderRequest, problem
from kernel.formats.texts import text
from kernel.formats.tracecontext import UNTRACED, Trace
from kernel.runtime.kernel import Kernel
from kernel.runtime.metrics import ACCEPTED

TRIES = 4
# Whoever has waited this long is told to come back: a ticketing system waits a few seconds.
RETRY_SECONDS = 1.0
MAX_KEY = 255
T = TypeVar("T")
_GIVEN = (
    *("id", "caller_id", "select_tag", "args", "callback_url", "idempotency_key", "fingerprint"),
    *("created_at", "run_after", "request_id", "traceparent"),
)
# One statement, and no moment between asking for the key and storing the order.
_INSERT_BY_KEY = Prepared(
    insert(ORDERS).from_select(
        _GIVEN,
        select(*(bindparam(f"new_{name}", type_=ORDERS.c[name].type) for name in _GIVEN)).where(
            KEY_HOLDS
        ),
    )
)
_INSERT = Prepared(insert(ORDERS), _GIVEN)


@dataclass(frozen=True, slots=True)
class Accepted:
    """An accepted order; ``replayed`` when it is the answer to a repeat."""

    order_id: str
    replayed: bool


def submit(
    kernel: Kernel,
    identity: Identity,
    request: OrderRequest,
    idempotency_key: str | None = None,
    trace: Trace = UNTRACED,
) -> Accepted:
    """Store an order and return its id; it is accepted when this returns.

    The same ``idempotency_key`` (of the same caller) with the same order returns the first one
    again, however many arrive at once. ``trace`` is stored and follows the order. Raises
    IdempotencyKeyReused when the order differs, InvalidOrder for a malformed key, Unauthenticated
    when the API key behind ``identity`` no longer holds, and Unavailable when the database cannot
    take it now.
    """
    check_key(idempotency_key)
    now = retrying(kernel.clock.now)
    row: dict[str, Any] = {
        # One id for all tries: a COMMIT whose answer was lost must not become two orders.
        "id": new_id(now),
        "caller_id": identity.caller_id,
        "select_tag": request.select_tag,
        "args": request.args,
        "callback_url": request.callback_url,
        "idempotency_key": idempotency_key,
        "fingerprint": request.fingerprint,
        "created_at": now,
        "run_after": now,
        "request_id": trace.request_id,
    }
    with kernel.tracer.span("kernel.submit", "server", trace.traceparent) as span:
        row["traceparent"] = span.traceparent
        accepted = retrying(lambda: _insert(kernel, row, identity.key_id))
        span.note(order_id=accepted.order_id, select_tag=request.select_tag)
    if not accepted.replayed:
        kernel.metrics.count(ACCEPTED, request.select_tag)
    return accepted


def _insert(kernel: Kernel, row: dict[str, Any], key_id: int | None) -> Accepted:
    try:
        with kernel.single() as connection:
            if key_id is None:
                _INSERT.execute(connection, row)
            elif _INSERT_BY_KEY.execute(connection, _by_key(row, key_id)) != 1:
                raise Unauthenticated
    except IntegrityError:
        if _is_stored(kernel, row["id"]):
            return Accepted(row["id"], replayed=False)
        key = row["idempotency_key"]
        first = key and find_repeat(kernel, row["caller_id"], key, row["fingerprint"])
        if not first:
            raise
        return first
    return Accepted(row["id"], replayed=False)


def _by_key(row: dict[str, Any], key_id: int) -> dict[str, Any]:
    given = {f"new_{name}": value for name, value in row.items()}
    return given | {"key_id": key_id, "now": row["created_at"]}


def _is_stored(kernel: Kernel, order_id: str) -> bool:
    with kernel.reading() as session:
        return session.scalar(select(ORDERS.c.id).where(ORDERS.c.id == order_id)) is not None


def find_repeat(kernel: Kernel, caller_id: int, key: str, fingerprint: str) -> Accepted | None:
    """Return the order that was accepted for this key before, or None.

    Raises IdempotencyKeyReused when that was another order.
    """
    with kernel.reading() as session:
        first = session.execute(
            select(ORDERS.c.id, ORDERS.c.fingerprint).where(
                ORDERS.c.caller_id == caller_id, ORDERS.c.idempotency_key == key
            )
        ).one_or_none()
    if first is None:
        return None
    if first.fingerprint != fingerprint:
        raise IdempotencyKeyReused
    return Accepted(first.id, replayed=True)


def check_key(key: str | None) -> None:
    """Raise InvalidOrder for an idempotency key that no column or log line should hold."""
    if key is None:
        return
    if not (0 < len(key) <= MAX_KEY and key.isascii() and key.isprintable() and key == key.strip()):
        detail = f"an idempotency key is 1 to {MAX_KEY} printable ASCII characters"
        raise InvalidOrder(errors=[problem("", "invalid_idempotency_key", detail)])


def retrying(work: Callable[[], T]) -> T:
    """Run a short transaction again when the database dropped it (deadlock, lock, lost link).

    Raises Unavailable after a few tries, or a second. ``work`` opens and commits its own
    transaction, and is harmless when done twice.
    """
    deadline = time.monotonic() + RETRY_SECONDS
    for attempt in range(TRIES):
        try:
            return work()
        except DBAPIError as error:
            if not (error.connection_invalidated or is_passing(error.orig)):
                raise
            last = error
        if time.monotonic() > deadline:
            break
        time.sleep(random.uniform(0.01, 0.05) * attempt)  # noqa: S311 - spreads rivals
    raise Unavailable(retry_after=2) from last


def get_order(session: Session, caller_id: int | None, order_id: str) -> Order:
    """Return the caller's order (anybody's when ``caller_id`` is None).

    Raises NotFound for an unknown id and for another caller's, alike.
    """
    order = session.get(Order, order_id) if ID.fullmatch(order_id) else None
    if order is None or caller_id not in (None, order.caller_id):
        raise NotFound(f"there is no order {order_id[:64]}")
    return order


def cancel(kernel: Kernel, caller_id: int | None, order_id: str) -> OrderState:
    """Cancel an order: a pending one at once, a running one at its next checkpoint.

    Returns the state it is in now: ``cancelled``, or ``running`` when the request was noted and
    the handler has not seen it yet (a finish that comes first wins). Cancelling a cancelled
    order changes nothing. Raises NotFound, or Conflict when it has ended otherwise.
    """
    for _ in range(TRIES):
        state = retrying(lambda: _cancel(kernel, caller_id, order_id))
        if state is not None:
            return state
    raise Unavailable(retry_after=1)


def _cancel(kernel: Kernel, caller_id: int | None, order_id: str) -> OrderState | None:
    """Return the state it is in now, or None when it changed under our hands."""
    with kernel.transaction() as session:
        get_order(session, caller_id, order_id)
        held = HeldOrder(*session.execute(select(*HELD).where(ORDERS.c.id == order_id)).one())
        state = OrderState(held.state)
        if state is OrderState.CANCELLED:
            return state
        if state in FINAL:
            raise Conflict(f"the order has ended: {state}", state=state)
        if state is OrderState.RUNNING:
            return state if _note_cancel(kernel, session, order_id) else None
        message = text("cancelled", kernel.settings.language)
        outcome = Outcome(OrderState.CANCELLED, message, error_code="cancelled")
        return OrderState.CANCELLED if kernel.finish(session, held, outcome) else None


def _note_cancel(kernel: Kernel, session: Session, order_id: str) -> bool:
    noted = session.execute(
        update(ORDERS)
        .where(ORDERS.c.id == order_id, ORDERS.c.state == OrderState.RUNNING)
        .values(cancel_requested_at=kernel.clock.now())
    )
    return rowcount(noted) == 1
