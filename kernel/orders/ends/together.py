"""Running orders that end together: one UPDATE for all of them, and one INSERT of their callbacks.

For orders of which nothing is known but their rows, in their first runs: no key, no limit, no
events, no steps. Every other order begins and ends by `kernel.orders.transitions`.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, bindparam, case, func, null, select, update

from kernel.db.clock import database_time
from kernel.db.columns import by_key
from kernel.db.statements.prepared import Prepared
from kernel.db.states import Claim, OrderState, Outcome
from kernel.db.tables.orders import NO_CALLBACK, ORDERS, OrderSnapshot
from kernel.formats.envelope import callback_body
from kernel.formats.tracecontext import Trace
from kernel.orders.due import MAY_BEGIN
from kernel.orders.ends.outbox import Owing, RunEnd, owe_together
from kernel.orders.ends.run_ends import note_failed
from kernel.runtime.kernel import Kernel

_OUTCOME = ("state", "message", "result", "error_code")


def _these(count: int, state: OrderState, run: int) -> Any:
    """Return the condition of ``count`` orders, ``id_0`` and so on, that all stand alike."""
    ids: list[Any] = [bindparam(f"id_{n}", type_=ORDERS.c.id.type) for n in range(count)]
    stand = (ORDERS.c.state == state, ORDERS.c.run == run, ORDERS.c.checkpoint == 0)
    return and_(ORDERS.c.id.in_(ids), *stand)


def _ids(order_ids: Sequence[str]) -> dict[str, Any]:
    return {f"id_{n}": one for n, one in enumerate(order_ids)}


@cache
def _take(count: int) -> Prepared:
    # As they were looked at: one that was told an event since is run by itself, with that.
    bare = func.coalesce(ORDERS.c.gates, 0) == 0
    taken = by_key(update(ORDERS)).where(_these(count, OrderState.PENDING, 0), MAY_BEGIN, bare)
    return Prepared(
        taken.values(
            state=OrderState.RUNNING,
            run=1,
            lease_until=database_time("lease"),
            started_at=database_time("now"),
            connection_id=bindparam("connection"),
            runner=bindparam("runner"),
        )
    )


@cache
def _taken(count: int) -> Prepared:
    mine = ORDERS.c.runner == bindparam("runner")
    return Prepared(select(ORDERS.c.id).where(_these(count, OrderState.RUNNING, 1), mine))


@cache
def _end(count: int) -> Prepared:
    new = {name: _each(name, count) for name in _OUTCOME}
    ended = by_key(update(ORDERS)).where(_these(count, OrderState.RUNNING, 1))
    gone = {"lease_until": null(), "connection_id": null()}
    return Prepared(ended.values(new | gone | {"finished_at": bindparam("now")}))


def _each(name: str, count: int) -> Any:
    """Return what a column becomes in the row of each order: ``new_NAME_0`` and so on."""
    kind = ORDERS.c[name].type
    values = {n: bindparam(f"new_{name}_{n}", type_=kind) for n in range(count)}
    return case(*((ORDERS.c.id == bindparam(f"id_{n}"), value) for n, value in values.items()))


class Taker(NamedTuple):
    """Who takes orders: its process and connection, and how far its clock and lease are shifted."""

    runner: str
    connection: int | None
    now: Any
    lease: Any


def take_together(
    connection: Connection, orders: Sequence[OrderSnapshot], taker: Taker
) -> set[str] | None:
    """Make pending orders running that have never run; return which of them it was.

    None when that cannot be told, for another thread of this process has taken one of them: then
    the transaction is to be rolled back.
    """
    ids = _ids([one.id for one in orders])
    count = _take(len(orders)).execute(connection, ids | taker._asdict())
    if count == len(orders):
        return {one.id for one in orders}
    found = _taken(len(orders)).rows(connection, ids | {"runner": taker.runner})
    return {row[0] for row in found} if len(found) == count else None


class Ending(NamedTuple):
    """How one order ends, and the claim of its callback's first attempt; see `end_order`."""

    order: OrderSnapshot
    outcome: Outcome
    claim: Claim | None
    trace: Trace


def end_together(
    kernel: Kernel, connection: Connection, endings: Sequence[Ending]
) -> list[RunEnd] | None:
    """Write the outcomes and the callbacks they owe; None when one of the orders stands otherwise.

    Then the transaction is to be rolled back: the others have been written. The caller commits.
    """
    now = kernel.clock.now()
    values: dict[str, Any] = _ids([one.order.id for one in endings]) | {"now": now}
    for n, one in enumerate(endings):
        values |= {f"new_{name}_{n}": getattr(one.outcome, name) for name in _OUTCOME}
    if _end(len(endings)).execute(connection, values) != len(endings):
        return None
    for one in endings:
        note_failed(kernel, connection, one.order, one.outcome)
    owing = [
        (one.order, _body(kernel, one, now), Owing(now, one.trace, one.claim))
        for one in endings
        if one.order.callback_url != NO_CALLBACK
    ]
    rows = {row.order_id: row for row in owe_together(kernel.clock, connection, owing)}
    return [RunEnd(one.order.id, one.outcome, owed=rows.get(one.order.id)) for one in endings]


def _body(kernel: Kernel, one: Ending, now: Any) -> bytes:
    return callback_body(one.order, one.outcome, now, kernel.settings.language, None)
