"""Erases what orders say of a person, and leaves their skeleton for the audit.

Gone are arguments, results, messages, progress, what handlers saved, steps, the data of events,
secrets, the fingerprint, the bodies of callbacks and what receivers answered. Ids, names,
addresses, times, states and codes stay. Orders are erased some at a time: stopped and started again
it goes on with those left.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, delete, func, null, select, update

from kernel.callers.audit.acts import BY_SYSTEM, By
from kernel.db.states import DeliveryState, OrderState, Outcome
from kernel.db.tables.deliveries import ATTEMPTS, DELIVERIES
from kernel.db.tables.gates import EVENTS
from kernel.db.tables.operating.runs import RUNS
from kernel.db.tables.orders import ORDERS, REFERENCES, SNAPSHOT, OrderSnapshot
from kernel.db.tables.steps import STEPS
from kernel.db.transactions import rowcount
from kernel.errors import InvalidOrder
from kernel.formats.envelope import callback_body
from kernel.formats.order_request import problem
from kernel.formats.texts import Language
from kernel.orders.gates.keys import has_key, turns_of
from kernel.runtime.kernel import Kernel

# The fingerprint of an erased order: no submit has it, so a repeat of its key is a conflict.
ERASED = "erased"
# Orders of one transaction.
BATCH = 50
_ORDERS_CLEARED = {
    **dict.fromkeys(("progress_note", "run_state", "message", "result", "secret_args"), null()),
    "args": "{}",
    "fingerprint": ERASED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Whose:
    """Which orders to erase: those that fit everything that is given. One of them has to be.

    ``caller``: the name of the caller of that id, for the act.
    """

    caller_id: int | None = None
    caller: str | None = None
    reference: str | None = None
    order_id: str | None = None

    @property
    def said(self) -> str:
        """Whose they are, as the act of erasing names them."""
        named = (
            ("order", self.order_id),
            ("reference", self.reference),
            ("caller", self.caller or self.caller_id),
        )
        return ", ".join(f"{what} {which}" for what, which in named if which is not None)

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return them as SQL conditions. Raises InvalidOrder when nothing is given."""
        found: list[ColumnElement[bool]] = []
        if self.caller_id is not None:
            found.append(ORDERS.c.caller_id == self.caller_id)
        if self.order_id is not None:
            found.append(ORDERS.c.id == self.order_id)
        if self.reference is not None:
            named = select(REFERENCES.c.order_id).where(REFERENCES.c.reference == self.reference)
            found.append(ORDERS.c.id.in_(named))
        if not found:
            detail = "say whose orders: by caller, reference or order"
            raise InvalidOrder(errors=[problem("", "missing", detail)])
        return found


class Erasable(NamedTuple):
    """How many orders can be erased now, and how many are live: not ended, or owing a callback."""

    ended: int
    live: int


def count_erasable(kernel: Kernel, whose: Whose) -> Erasable:
    """Count the orders that `erase` would erase and those it would leave."""
    asked = select(func.count()).select_from(ORDERS)
    asked = asked.where(*whose.conditions(), ORDERS.c.fingerprint != ERASED)
    with kernel.read() as connection:
        every = connection.scalar(asked) or 0
        ended = connection.scalar(asked.where(*_is_over())) or 0
    return Erasable(ended, every - ended)


def erase(kernel: Kernel, whose: Whose, by: By = BY_SYSTEM) -> Iterator[int]:
    """Erase orders that have ended, `BATCH` in a transaction; yield how many each has erased.

    Each transaction writes an act as well.
    """
    last = ""
    while True:
        asked = select(ORDERS.c.id).where(
            *whose.conditions(), ORDERS.c.fingerprint != ERASED, ORDERS.c.id > last, *_is_over()
        )
        with kernel.read() as connection:
            ids = connection.scalars(asked.order_by(ORDERS.c.id).limit(BATCH)).all()
        if not ids:
            return
        last = ids[-1]
        with kernel.write() as connection:
            kernel.dialect.overwrite_deleted(connection)
            erased = _erase(connection, ids, kernel.settings.language)
            if erased:
                by.record(connection, "orders.erase", whose.said, after={"orders": erased})
        yield erased


def _is_over() -> list[ColumnElement[bool]]:
    owing = select(DELIVERIES.c.id).where(
        DELIVERIES.c.order_id == ORDERS.c.id,
        DELIVERIES.c.state.in_([state for state in DeliveryState if not state.is_over]),
    )
    return [ORDERS.c.finished_at.is_not(None), ~owing.exists()]


def _erase(connection: Connection, ids: Sequence[str], language: Language) -> int:
    """Erase these orders, except for those whose callback is owed again; return how many."""
    asked = select(DELIVERIES.c.id, DELIVERIES.c.order_id, DELIVERIES.c.state)
    asked = asked.where(DELIVERIES.c.order_id.in_(ids)).order_by(DELIVERIES.c.id)
    deliveries = connection.execute(asked.with_for_update()).all()
    kept = {row.order_id for row in deliveries if not DeliveryState(row.state).is_over}
    columns = (*SNAPSHOT, ORDERS.c.finished_at, ORDERS.c.error_code)
    rows = {row.id: row for row in connection.execute(select(*columns).where(ORDERS.c.id.in_(ids)))}
    turns = turns_of(connection, [one.id for one in rows.values() if has_key(one.gates)])
    for one in deliveries:
        if one.order_id not in kept:
            row, turn = rows[one.order_id], turns.get(one.order_id)
            _erase_delivery(connection, one.id, row, turn, language)
    gone = [order_id for order_id in rows if order_id not in kept]
    connection.execute(delete(STEPS).where(STEPS.c.order_id.in_(gone)))
    if gone:
        said = dict.fromkeys(("reason", "message", "traceback"))
        connection.execute(update(RUNS).where(RUNS.c.order_id.in_(gone)).values(said))
        connection.execute(update(EVENTS).where(EVENTS.c.order_id.in_(gone)).values(data="{}"))
    cleared = update(ORDERS).where(ORDERS.c.id.in_(gone), ORDERS.c.finished_at.is_not(None))
    return rowcount(connection.execute(cleared.values(_ORDERS_CLEARED))) if gone else 0


def _erase_delivery(
    connection: Connection,
    delivery_id: str,
    row: Any,
    turn: Mapping[str, Any] | None,
    language: Language,
) -> None:
    """Leave a callback that says what the skeleton says, should a person send it again."""
    order = OrderSnapshot(*row[: len(SNAPSHOT)])
    result = None if row.error_code else "{}"
    outcome = Outcome(OrderState(row.state), ERASED, result, row.error_code)
    body = callback_body(order, outcome, row.finished_at, language, turn)
    connection.execute(update(DELIVERIES).where(DELIVERIES.c.id == delivery_id).values(body=body))
    connection.execute(
        update(ATTEMPTS)
        .where(ATTEMPTS.c.delivery_id == delivery_id)
        .values(excerpt=None, judged=None)
    )
