"""T1 for several orders: their rows, and the row of the batch that they are children of.

Rows that are there already stay as they are, and are read back: by an idempotency key of the same
caller, or by an id, after a COMMIT whose answer was lost.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, insert, select

from kernel.callers.identity import key_in_force
from kernel.db.clock import database_time
from kernel.db.statements.prepared import Prepared, Values
from kernel.db.states import OrderState
from kernel.db.tables.callers import ApiKey
from kernel.db.tables.gates import GATES
from kernel.db.tables.orders import ORDERS, REFERENCES
from kernel.errors import KeyExpired
from kernel.handlers.events import CHILDREN
from kernel.orders.gates.keys import take_places
from kernel.orders.submit import DUE, GIVEN, WINDOW, stands
from kernel.runtime.kernel import Kernel

# What one statement inserts at the most: rows, and characters of arguments. Escaping can make them
# four times as many, and MariaDB takes statements of 16 MiB.
ROWS, CHARACTERS = 100, 2_000_000
_COLUMNS = (*GIVEN, "gates", *WINDOW, "run_state", "state")
_NOW = database_time("now")
_AT_ONCE = {"created_at": _NOW, "run_after": _NOW}
_IN_WINDOWS = {"created_at": _NOW, "run_after": DUE}
_OF_GATE = (
    *("order_id", "caller_id", "opens_at", "closes_at", "parent_id", "ordering_key", "place"),
)
_GATES = Prepared(insert(GATES), _OF_GATE)
_WAITING = Prepared(insert(GATES).values(waiting_since=_NOW), (*_OF_GATE, "waiting_for"))
_NAMES = Prepared(insert(REFERENCES), ("order_id", "caller_id", "reference"))
_KNOWN = select(ORDERS.c.id, ORDERS.c.idempotency_key, ORDERS.c.fingerprint).where(
    ORDERS.c.caller_id == bindparam("caller"),
    ORDERS.c.idempotency_key.in_(bindparam("keys", expanding=True)),
)
_KEY: Any = ApiKey.__table__
_KEY_HOLDS = (
    select(_KEY.c.id)
    .where(_KEY.c.id == bindparam("key_id"), *key_in_force(_NOW))
    .with_for_update(read=True)
)


class Known(NamedTuple):
    """An order that was accepted before under a key: its id and fingerprint."""

    order_id: str
    fingerprint: str


class Raced(Exception):
    """An order that has taken a place of its ordering key is known by now: roll back, try again."""


def store_orders(
    kernel: Kernel, connection: Connection, rows: Sequence[Values], parent_id: str | None = None
) -> tuple[dict[str, Known], set[str]]:
    """Insert orders, as `kernel.orders.submit.new_row` makes them, in few statements.

    Returns those that were not stored because their keys are known, by the ids that they would
    have had; and the ids of those that wait for their turn. ``parent_id``: of what they are
    children. Raises `Raced`, after which all is to be done again, and the database's errors.
    """
    known: dict[str, Known] = {}
    if any("ordering_key" in row and row["idempotency_key"] for row in rows):
        known = _known(connection, rows)
    rows = _in_turn(kernel, connection, [row for row in rows if row["id"] not in known])
    # By their keys: two batches with the same ones lock them in the same order.
    keyed = sorted((row for row in rows if row["idempotency_key"]), key=_key)
    for part in _parts([*(row for row in rows if not row["idempotency_key"]), *keyed]):
        windows = [row for row in part if "not_after" in row]
        _insert(kernel, connection, windows, _IN_WINDOWS)
        _insert(kernel, connection, [row for row in part if "not_after" not in row], _AT_ONCE)
    raced = _known(connection, keyed)
    if any("place" in row for row in keyed if row["id"] in raced):
        raise Raced
    stored = [row for row in rows if row["id"] not in raced]
    _store_beside(kernel, connection, stored, parent_id)
    return known | raced, {row["id"] for row in stored if "waiting_for" in row}


def store_batch(kernel: Kernel, connection: Connection, row: Values) -> Known | None:
    """Insert an order that waits for its children; return what is known under its key instead."""
    row = {**row, "state": OrderState.WAITING, "waiting_for": CHILDREN}
    _insert(kernel, connection, [row], _AT_ONCE)
    if row["idempotency_key"] is not None and (found := _known(connection, [row])):
        return found[row["id"]]
    _store_beside(kernel, connection, [row], None)
    return None


def _in_turn(kernel: Kernel, connection: Connection, rows: Sequence[Values]) -> list[Values]:
    """Return rows with the places of their ordering keys, taken in the order of the rows."""
    wanted = [(row["id"], row["ordering_key"]) for row in rows if "ordering_key" in row]
    if not wanted:
        return list(rows)
    taken = take_places(kernel, connection, rows[0]["caller_id"], wanted)
    places = {one.order_id: stands(one) for one in taken}
    return [{**row, **places.get(row["id"], {})} for row in rows]


def _known(connection: Connection, rows: Sequence[Values]) -> dict[str, Known]:
    """Return what other orders are known under the keys of these, by the ids of these."""
    keyed = [row for row in rows if row["idempotency_key"]]
    if not keyed:
        return {}
    found = known_keys(connection, keyed[0]["caller_id"], [_key(row) for row in keyed])
    firsts = ((row["id"], found.get(_key(row))) for row in keyed)
    return {id: one for id, one in firsts if one is not None and one.order_id != id}


def known_keys(connection: Connection, caller_id: int, keys: Sequence[str]) -> dict[str, Known]:
    """Return a caller's orders that have one of these idempotency keys."""
    found: dict[str, Known] = {}
    for n in range(0, len(keys), ROWS):
        asked = {"caller": caller_id, "keys": keys[n : n + ROWS]}
        for order_id, key, fingerprint in connection.execute(_KNOWN, asked):
            found[key] = Known(order_id, fingerprint)
    return found


def hold_key(kernel: Kernel, connection: Connection, key_id: int) -> None:
    """Keep an API key in force until this transaction ends. Raises KeyExpired when it is not."""
    asked = {"key_id": key_id, "now": kernel.clock.offset()}
    if connection.execute(_KEY_HOLDS, asked).one_or_none() is None:
        raise KeyExpired


def _key(row: Values) -> str:
    key: str = row["idempotency_key"]
    return key


def _parts(rows: Sequence[Values]) -> Iterator[list[Values]]:
    """Cut rows into lists that one statement takes."""
    part: list[Values] = []
    size = 0
    for row in rows:
        size += len(row["args"])
        if part and (len(part) == ROWS or size > CHARACTERS):
            yield part
            part, size = [], len(row["args"])
        part.append(row)
    if part:
        yield part


def _insert(
    kernel: Kernel, connection: Connection, rows: Sequence[Values], when: Mapping[str, Any]
) -> None:
    if not rows:
        return
    # What none of them has is left out: a driver takes its time for each value.
    given = tuple(one for one in _COLUMNS if any(row.get(one) is not None for row in rows))
    now = {"now": kernel.clock.offset()}
    into = _inserting(given, tuple(when.items()))
    empty: dict[str, Any] = dict.fromkeys(given)
    if "state" in given:
        empty["state"] = OrderState.PENDING
    stored = [{**empty, **row, **now, "opens": row.get("not_before")} for row in rows]
    into.insert_rows(connection, stored, kernel.dialect.keeping.format(column="id"))


@cache
def _inserting(given: Sequence[str], when: Sequence[tuple[str, Any]]) -> Prepared:
    return Prepared(insert(ORDERS).values(dict(when)), given)


def _store_beside(
    kernel: Kernel, connection: Connection, rows: Sequence[Values], parent_id: str | None
) -> None:
    """Insert what finds orders by their references, windows, ordering keys and parents."""
    keeping, now = kernel.dialect.keeping.format(column="order_id"), kernel.clock.offset()
    named = [_named(row, reference=row["reference"]) for row in rows if row["reference"]]
    gated = [
        _named(
            row,
            opens_at=row.get("not_before"),
            closes_at=row.get("not_after"),
            parent_id=parent_id,
            ordering_key=row.get("ordering_key"),
            place=row.get("place"),
            waiting_for=row.get("waiting_for"),
            now=now,
        )
        for row in rows
        if "not_after" in row or "waiting_for" in row or parent_id is not None
    ]
    waiting = [row for row in gated if row["waiting_for"] is not None]
    others = [row for row in gated if row["waiting_for"] is None]
    for into, some in ((_NAMES, named), (_GATES, others), (_WAITING, waiting)):
        for n in range(0, len(some), ROWS):
            into.insert_rows(connection, some[n : n + ROWS], keeping)


def _named(row: Values, **more: Any) -> Mapping[str, Any]:
    return {"order_id": row["id"], "caller_id": row["caller_id"], **more}
