"""Runs that failed, as `kernel.orders.ends.run_ends` writes them, and errors made of them."""

from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, select

from kernel.db.tables.operating.runs import RUNS
from kernel.db.tables.orders import ORDERS
from kernel.insight.failures.counting import count_failures
from kernel.orders.decide import Failure
from kernel.orders.ends.run_ends import fingerprint
from kernel.runtime.kernel import Kernel
from tests.support.factories import make_order

PLACE = "shop.orders.book"
# What `make_failure` makes, and what a refusal of the same orders is.
BOOKED = fingerprint("create_project", "internal_error", Failure("ValueError", PLACE))
REFUSED = fingerprint("create_project", "no_room")


def make_failure(
    kernel: Kernel, order_id: str | None = None, at: datetime | None = None, **values: Any
) -> str:
    """Insert a run that failed by an exception, of an order of its own; return the order's id."""
    at = at or kernel.clock.now()
    ended = {"state": "failed", "error_code": "internal_error", "finished_at": at}
    order_id = order_id or make_order(kernel, run=1, callback_url="", **ended)
    row: dict[str, Any] = {"order_id": order_id, "began_at": at, "ended_at": at, "how": "bug"}
    row |= {"error_code": "internal_error", "error_type": "ValueError", "place": PLACE}
    row |= {"message": "no such customer", "traceback": "Traceback:\n  in book", "reason": None}
    row |= values | {"is_counted": False}
    with kernel.write() as connection:
        tag = connection.scalar(select(ORDERS.c.select_tag).where(ORDERS.c.id == order_id))
        last = connection.scalar(select(func.max(RUNS.c.run)).where(RUNS.c.order_id == order_id))
        kind = Failure(row["error_type"] or "", row["place"] or "")
        made = fingerprint(str(tag), row["error_code"] or row["how"], kind)
        run = {"run": (last or 0) + 1, "fingerprint": made}
        connection.execute(insert(RUNS).values(row | run))
    return order_id


def make_refusal(
    kernel: Kernel,
    code: str = "no_room",
    at: datetime | None = None,
    order_id: str | None = None,
) -> str:
    """Insert a run that its handler ended by `Reject`; return the order's id."""
    none = dict.fromkeys(("error_type", "place", "message", "traceback"))
    said = {"how": "failed", "error_code": code, "reason": "there is no room"}
    at = at or kernel.clock.now()
    ended = {"state": "failed", "error_code": code, "finished_at": at}
    order_id = order_id or make_order(kernel, run=1, callback_url="", **ended)
    return make_failure(kernel, order_id, at, **none, **said)


def make_error(kernel: Kernel, number: int = 1) -> str:
    """Have failures of one kind be counted; return their fingerprint."""
    for _ in range(number):
        make_failure(kernel)
    assert count_failures(kernel) >= number
    return BOOKED
