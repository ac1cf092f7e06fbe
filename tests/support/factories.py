"""Rows in any state, so that a test begins at the state it is about."""

import hashlib
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, insert, select, update

from kernel.builtin import projects
from kernel.callers.identity import Identity
from kernel.db.ids import new_id
from kernel.db.states import OrderState
from kernel.db.tables.deliveries import ATTEMPTS, DELIVERIES, Delivery
from kernel.db.tables.gates import EVENTS, GATES, KEYS, Has
from kernel.db.tables.limits import LINES, SLOTS
from kernel.db.tables.orders import ORDERS, REFERENCES, Order, with_bit
from kernel.db.tables.service import Sweep
from kernel.db.tables.steps import STEPS
from kernel.formats.envelope import encode
from kernel.formats.order_request import OrderRequest
from kernel.runtime.kernel import Kernel

ANYBODY = Identity(1, "anonymous")
CALLBACK = "https://receiver.example/callback"


def request(select_tag: str = "create_project", **args: Any) -> OrderRequest:
    """An order as the API would have read it from a body."""
    args = args or {"projname": "Bridge", "prodesc": "over the river"}
    url = args.pop("callback_url", CALLBACK)
    fingerprint = hashlib.sha256(encode([select_tag, url, args])).hexdigest()
    return OrderRequest(select_tag, url, encode(args).decode(), fingerprint)


def make_order(kernel: Kernel, **values: Any) -> str:
    """Insert an order (pending, due, create_project) with ``values`` changed; return its id."""
    now = kernel.clock.now()
    stored = kernel.clock.sql()
    row = {
        "id": new_id(now),
        "caller_id": 1,
        "select_tag": "create_project",
        "args": '{"projname":"Bridge"}',
        "callback_url": CALLBACK,
        "fingerprint": "0" * 64,
        "created_at": stored,
        "run_after": stored,
    }
    if values.get("state") == OrderState.RUNNING:
        row |= {"run": 1, "started_at": now, "lease_until": now + kernel.lease}
    row |= values
    with kernel.write_session() as session:
        session.execute(insert(ORDERS).values(row))
        if row.get("reference") is not None:
            named = {name: row[name] for name in ("caller_id", "reference")}
            session.execute(insert(REFERENCES).values(order_id=row["id"], **named))
    return str(row["id"])


def make_step(kernel: Kernel, order_id: str, number: int, name: str, **values: Any) -> None:
    """Insert a step of an order (done, by one attempt, with the result null)."""
    row = {
        "order_id": order_id,
        "number": number,
        "name": name,
        "attempts": 1,
        "again": 0,
        "started_at": kernel.clock.now(),
        "duration_ms": 1500,
        "done_at": kernel.clock.now(),
        "result": "null",
    } | values
    with kernel.write_session() as session:
        session.execute(insert(STEPS).values(row))
        of = update(ORDERS).where(ORDERS.c.id == order_id)
        session.execute(of.values(gates=with_bit(Has.STEPS)))


def make_delivery(kernel: Kernel, order_id: str | None = None, **values: Any) -> str:
    """Insert a delivery (pending, due) of a finished order; return its id."""
    now = kernel.clock.now()
    if order_id is None:
        order_id = make_order(kernel, state="success", finished_at=now, message="success")
    row = {
        "id": new_id(now),
        "order_id": order_id,
        "caller_id": 1,
        "origin": "https://receiver.example:443",
        "url": CALLBACK,
        "body": b'{"status":0}',
        "created_at": now,
        "next_attempt_at": now - timedelta(milliseconds=1),
    } | values
    with kernel.write_session() as session:
        session.execute(insert(DELIVERIES).values(row))
    return str(row["id"])


def make_attempt(kernel: Kernel, delivery_id: str, at: datetime, reason: str | None = None) -> None:
    """Insert an attempt that began at a moment."""
    row = {"delivery_id": delivery_id, "number": 1, "started_at": at, "duration_ms": 5}
    with kernel.write_session() as session:
        session.execute(insert(ATTEMPTS).values(**row, reason=reason, phases="{}"))


def sweep_for(kernel: Kernel, seconds: float) -> None:
    """Have processes swept without a gap for so long, until now."""
    now = kernel.clock.now()
    since = now - timedelta(seconds=seconds)
    row = {"id": 1, "swept_at": now, "unbroken_since": since, "unbroken_until": now}
    with kernel.write_session() as session:
        session.execute(delete(Sweep))
        session.execute(insert(Sweep).values(row))


def order(kernel: Kernel, order_id: str) -> Order:
    """Read an order back."""
    with kernel.read_session() as session:
        found = session.get_one(Order, order_id)
        session.expunge(found)
    return found


def delivery(kernel: Kernel, delivery_id: str) -> Delivery:
    """Read a delivery back."""
    with kernel.read_session() as session:
        found = session.get_one(Delivery, delivery_id)
        session.expunge(found)
    return found


def rows(kernel: Kernel, table: Any) -> list[Any]:
    """Return all rows of a table."""
    with kernel.read_session() as session:
        return list(session.execute(select(table)).all())


def empty_tables(kernel: Kernel) -> None:
    """Delete all orders, what belongs to them, and what the built-in handlers wrote."""
    with kernel.write_session() as session:
        for table in (
            ATTEMPTS,
            DELIVERIES,
            REFERENCES,
            GATES,
            EVENTS,
            KEYS,
            SLOTS,
            LINES,
            STEPS,
            ORDERS,
            projects,
        ):
            session.execute(delete(table))
