"""Orders that are run again as new ones: which, as which, and that it happens once unless asked."""

from collections.abc import Collection

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from kernel.db.clock import DatabaseTime
from kernel.db.tables.gates import GATES, Has
from kernel.db.tables.operating.bulk import RERUNS
from kernel.db.tables.orders import ORDERS, with_bit
from kernel.db.transactions import rowcount
from kernel.errors import Conflict


class AlreadyRerun(Conflict, code="already_rerun"):
    """The order was run again already; ``data["rerun_as"]`` is the order that it became."""


def note_rerun(
    connection: Connection,
    order_id: str,
    new_id: str,
    now: DatabaseTime,
    *,
    job_id: str | None = None,
    again: bool = True,
) -> None:
    """Note in the transaction of the new order which one it runs again.

    ``again``: also if that one was run again already; the latest is kept then. ``job_id``: the bulk
    act that does it. Raises AlreadyRerun, also for the second of two who do it at once.
    """
    known = connection.scalar(select(RERUNS.c.new_id).where(RERUNS.c.order_id == order_id))
    if known is not None:
        if not again:
            raise AlreadyRerun(f"it was run again as {known}", rerun_as=known)
        connection.execute(delete(RERUNS).where(RERUNS.c.order_id == order_id))
    row = {"order_id": order_id, "new_id": new_id, "job_id": job_id, "made_at": now}
    try:
        connection.execute(insert(RERUNS).values(row))
    except IntegrityError:  # not seen above, and committed since
        told = "it was run again at this very moment"
        raise AlreadyRerun(told, page=AlreadyRerun.code) from None
    mine, theirs = ORDERS.c.id == new_id, GATES.c.order_id == new_id
    connection.execute(update(ORDERS).where(mine).values(gates=with_bit(Has.RERUN)))
    gate = connection.execute(update(GATES).where(theirs).values(rerun_of=order_id))
    if rowcount(gate) == 0:
        caller = connection.scalar(select(ORDERS.c.caller_id).where(mine))
        of = {"order_id": new_id, "caller_id": caller, "rerun_of": order_id}
        connection.execute(insert(GATES).values(of))


def reruns_of(asked: Session | Connection, order_ids: Collection[str]) -> dict[str, str]:
    """Return as which orders these were run again, by their ids; the others are left out."""
    query = select(RERUNS.c.order_id, RERUNS.c.new_id).where(RERUNS.c.order_id.in_(order_ids))
    return {row.order_id: row.new_id for row in asked.execute(query)} if order_ids else {}
