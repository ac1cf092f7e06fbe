"""T1: accept an order, look one up, cancel one. Knows nothing of HTTP or Celery.

An order is accepted when its row is committed; the caller of these functions hints afterwards.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, case, insert, select
from sqlalchemy.exc import IntegrityError

from kernel.callers.identity import KEY_HOLDS, Identity
from kernel.db.clock import database_time
from kernel.db.columns import UTCDateTime
from kernel.db.ids import new_id
from kernel.db.statements.prepared import Prepared
from kernel.db.states import OrderState
from kernel.db.tables.gates import GATES, Has
from kernel.db.tables.orders import ORDERS, REFERENCES
from kernel.db.transactions import retrying
from kernel.errors import (
    IdempotencyKeyReused,
    InvalidOrder,
    KeyExpired,
)
from kernel.formats.order_request import OrderRequest, problem
from kernel.formats.tracecontext import UNTRACED, Trace
from kernel.orders.gates.keys import ORDERING_KEY, Place, place_of, take_places, told
from kernel.orders.secrets.arguments import is_same, keyed_fingerprint, seal_secrets
from kernel.runtime.kernel import Kernel
from kernel.runtime.metrics import ACCEPTED

MAX_KEY = 255
# How the keys of recurring orders, re-runs and notifications begin. A caller's order with such a
# key would stand in the place of one of these, and that would not be made.
OWN_KEYS = ("schedule:", "bulk:", "notice:")
# Writes what belongs into the transaction of the order with this id.
Along = Callable[[Connection, str], None]
GIVEN = (
    *("id", "caller_id", "select_tag", "args", "callback_url", "idempotency_key", "fingerprint"),
    *("request_id", "traceparent", "reference", "is_original", "secret_args", "priority"),
)
WINDOW = ("not_before", "not_after")


def _storing(given: Sequence[str], when: Mapping[str, Any]) -> tuple[Prepared, Prepared]:
    """Make the statements that store an order: as it is, and if the API key holds.

    The second is one statement, with no moment between asking for the key and storing the order.
    """
    values = (bindparam(f"new_{name}", type_=ORDERS.c[name].type) for name in given)
    by_key = select(*values, *when.values()).where(KEY_HOLDS)
    stored = insert(ORDERS).from_select((*given, *when), by_key)
    return Prepared(insert(ORDERS).values(dict(when)), given), Prepared(stored)


# When the database stores it. Equal, they say that the order is due at once: see `due_orders`.
_AT_ONCE = _storing(GIVEN, {name: database_time("now") for name in ("created_at", "run_after")})
# An order with a window is due when that opens, or now if it has opened.
OPENS = bindparam("opens", type_=UTCDateTime())
DUE = case((database_time("now") < OPENS, OPENS), else_=database_time("now"))
_IN_ITS_WINDOW = _storing((*GIVEN, *WINDOW), {"created_at": database_time("now"), "run_after": DUE})
# An order with an ordering key may have to wait for its turn.
_IN_ITS_TURN = _storing(
    (*GIVEN, *WINDOW, "state", "gates"),
    {"created_at": database_time("now"), "run_after": DUE},
)
_OF_GATE = ("order_id", "caller_id", "opens_at", "closes_at")
_GATE = Prepared(insert(GATES), _OF_GATE)
_PLACE = Prepared(insert(GATES), (*_OF_GATE, "ordering_key", "place"))
_WAITING_PLACE = Prepared(
    insert(GATES).values(waiting_since=database_time("now")),
    (*_OF_GATE, "ordering_key", "place", "waiting_for"),
)
_NAME = Prepared(insert(REFERENCES), ("order_id", "caller_id", "reference"))


@dataclass(frozen=True, slots=True)
class Accepted:
    """An accepted order; ``replayed`` when it is the answer to a repeat.

    ``place``: among the orders of its ordering key, if it has one and is no repeat.
    """

    order_id: str
    replayed: bool
    reference: str | None = None
    place: Place | None = None

    @property
    def turn(self) -> dict[str, Any]:
        """What the answer says of its ordering key and its place."""
        return {} if self.place is None else told(self.place.ordering_key, self.place.place)

    @property
    def hints(self) -> list[str]:
        """The order, unless it waits for its turn: a hint would find nothing to do."""
        return [self.order_id] if self.place is None or self.place.has_turn else []


def submit(
    kernel: Kernel,
    identity: Identity,
    request: OrderRequest,
    idempotency_key: str | None = None,
    trace: Trace = UNTRACED,
    along: Along | None = None,
) -> Accepted:
    """Store an order and return its id; it is accepted when this returns.

    The same ``idempotency_key`` (of the same caller) with the same order returns the first one
    again, however many arrive at once. ``trace`` is stored and follows the order. ``along`` writes
    an act in the transaction of a new order. Raises IdempotencyKeyReused when the order differs,
    InvalidOrder for a malformed key, KeyExpired when the API key behind ``identity`` no longer
    holds, and Unavailable when the database cannot take it now.
    """
    check_key(idempotency_key)
    # One id for all tries: a COMMIT whose answer was lost must not become two orders.
    order_id = new_id(retrying(kernel.clock.now))
    row = new_row(kernel, identity.caller_id, request, order_id, idempotency_key)
    row["request_id"] = trace.request_id
    with kernel.tracer.span("kernel.submit", "server", trace.traceparent) as span:
        row["traceparent"] = span.traceparent
        accepted = retrying(
            lambda: _insert(kernel, row, request.fingerprint, identity.key_id, along)
        )
        span.note(order_id=accepted.order_id, select_tag=request.select_tag)
    if not accepted.replayed:
        kernel.metrics.count(ACCEPTED, request.select_tag)
    return accepted


def new_row(
    kernel: Kernel, caller_id: int, request: OrderRequest, order_id: str, key: str | None
) -> dict[str, Any]:
    """Return what is stored of an order, secrets sealed; without what it is traced by.

    Raises ConfigurationError and SecretsLocked for secrets that cannot be sealed.
    """
    row: dict[str, Any] = {
        "id": order_id,
        "caller_id": caller_id,
        "select_tag": request.select_tag,
        "args": request.args,
        "callback_url": request.callback_url,
        "idempotency_key": key,
        "fingerprint": request.fingerprint,
        "reference": request.reference,
        "is_original": request.is_original,
        "secret_args": None,
        "priority": request.priority,
    }
    if request.secrets is not None:
        row["secret_args"] = seal_secrets(kernel, request.secrets)
        row["fingerprint"] = retrying(lambda: keyed_fingerprint(kernel, request.fingerprint))
    if request.has_window or request.ordering_key is not None:
        row |= {name: getattr(request, name) for name in WINDOW}
    if request.ordering_key is not None:
        row |= {"ordering_key": request.ordering_key, "gates": int(Has.KEY)}
    return row


def _insert(
    kernel: Kernel, row: dict[str, Any], fingerprint: str, key_id: int | None, along: Along | None
) -> Accepted:
    reference, is_bare = row["reference"], row["reference"] is None and "not_after" not in row
    is_alone, place = is_bare and along is None, None
    try:
        # An order without reference, window and ordering key is one statement, without a COMMIT.
        with kernel.write_one() if is_alone else kernel.write() as connection:
            if "ordering_key" in row:
                asked = [(row["id"], row["ordering_key"])]
                (place,) = take_places(kernel, connection, row["caller_id"], asked)
                row = row | stands(place)
            now = kernel.clock.offset()
            _store(connection, row, key_id, now)
            if not is_bare:
                _store_beside(connection, row | {"now": now})
            if along is not None:
                along(connection, row["id"])
    except IntegrityError:
        if _is_stored(kernel, row["id"]):
            place = place_of(kernel, row["id"]) if "ordering_key" in row else None
            return Accepted(row["id"], replayed=False, reference=reference, place=place)
        key = row["idempotency_key"]
        first = key and find_repeat(kernel, row["caller_id"], key, fingerprint)
        if not first:
            raise
        return first
    return Accepted(row["id"], replayed=False, reference=reference, place=place)


def stands(place: Place) -> dict[str, Any]:
    """Return what an order's rows say of its place."""
    if place.has_turn:
        return {"place": place.place, "state": OrderState.PENDING}
    return {"place": place.place, "state": OrderState.WAITING, "waiting_for": ORDERING_KEY}


def _store(connection: Connection, row: dict[str, Any], key_id: int | None, now: int) -> None:
    """Insert the order's row. Raises KeyExpired when its API key does not hold."""
    form = _IN_ITS_WINDOW if "not_after" in row else _AT_ONCE
    plain, by_key = _IN_ITS_TURN if "place" in row else form
    when = {"now": now, "opens": row["not_before"]} if "not_after" in row else {"now": now}
    if key_id is None:
        plain.execute(connection, row | when)
    elif by_key.execute(connection, _by_key(row, key_id) | when) != 1:
        raise KeyExpired


def _store_beside(connection: Connection, row: dict[str, Any]) -> None:
    """Insert what finds the order by its reference, and by its window and ordering key."""
    named = {"order_id": row["id"], "caller_id": row["caller_id"]}
    if row["reference"] is not None:
        _NAME.execute(connection, named | {"reference": row["reference"]})
    if "not_after" in row:
        window = {"opens_at": row["not_before"], "closes_at": row["not_after"]}
        gate = _GATE if "place" not in row else _WAITING_PLACE if "waiting_for" in row else _PLACE
        gate.execute(connection, row | named | window)


def _by_key(row: dict[str, Any], key_id: int) -> dict[str, Any]:
    given = {f"new_{name}": value for name, value in row.items()}
    return given | {"key_id": key_id}


def _is_stored(kernel: Kernel, order_id: str) -> bool:
    with kernel.read_session() as session:
        return session.scalar(select(ORDERS.c.id).where(ORDERS.c.id == order_id)) is not None


def find_repeat(kernel: Kernel, caller_id: int, key: str, fingerprint: str) -> Accepted | None:
    """Return the order that was accepted for this key before, or None.

    ``fingerprint``: the SHA-256 of what is submitted now.
    Raises IdempotencyKeyReused when that was another order.
    """
    with kernel.read_session() as session:
        first = session.execute(
            select(ORDERS.c.id, ORDERS.c.fingerprint, ORDERS.c.reference).where(
                ORDERS.c.caller_id == caller_id, ORDERS.c.idempotency_key == key
            )
        ).one_or_none()
    if first is None:
        return None
    if not is_same(kernel, first.fingerprint, fingerprint):
        raise IdempotencyKeyReused
    return Accepted(first.id, replayed=True, reference=first.reference)


def check_callers_key(key: str | None) -> None:
    """Raise InvalidOrder for a key that `check_key` refuses, or that begins as our own do."""
    check_key(key)
    if key is not None and key.startswith(OWN_KEYS):
        detail = f"keys that begin with {', '.join(OWN_KEYS)} are those of the service's own orders"
        raise InvalidOrder(errors=[problem("", "invalid_idempotency_key", detail)])


def check_key(key: str | None) -> None:
    """Raise InvalidOrder for an idempotency key that no column or log line should hold."""
    if key is None:
        return
    if not (0 < len(key) <= MAX_KEY and key.isascii() and key.isprintable() and key == key.strip()):
        detail = f"an idempotency key is 1 to {MAX_KEY} printable ASCII characters"
        raise InvalidOrder(errors=[problem("", "invalid_idempotency_key", detail)])
