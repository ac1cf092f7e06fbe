"""T1: accept an order, look one up, cancel one. Knows nothing of HTTP or Celery.

An order is accepted when its row is committed; the caller of these functions hints afterwards.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, insert, select
from sqlalchemy.exc import IntegrityError

from kernel.callers.identity import KEY_HOLDS, Identity
from kernel.db.ids import new_id
from kernel.db.statements.prepared import Prepared
from kernel.db.tables.orders import ORDERS
from kernel.db.transactions import retrying
from kernel.errors import (
    IdempotencyKeyReused,
    InvalidOrder,
    Unauthenticated,
)
from kernel.formats.order_request import OrderRequest, problem
from kernel.formats.tracecontext import UNTRACED, Trace
from kernel.runtime.kernel import Kernel
from kernel.runtime.metrics import ACCEPTED

MAX_KEY = 255
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
        with kernel.write_one() as connection:
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
    with kernel.read_session() as session:
        return session.scalar(select(ORDERS.c.id).where(ORDERS.c.id == order_id)) is not None


def find_repeat(kernel: Kernel, caller_id: int, key: str, fingerprint: str) -> Accepted | None:
    """Return the order that was accepted for this key before, or None.

    Raises IdempotencyKeyReused when that was another order.
    """
    with kernel.read_session() as session:
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
