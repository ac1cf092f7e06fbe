"""The filter of orders: what it asks, in SQL, and along which index its orders are found."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import ColumnElement, and_, exists, func, literal, or_

from kernel.db.statements.keyset import id_range
from kernel.db.states import DeliveryState, OrderState
from kernel.db.tables.deliveries import DELIVERIES
from kernel.db.tables.gates import GATES
from kernel.db.tables.operating.runs import RUNS
from kernel.db.tables.orders import NO_CALLBACK, ORDERS
from kernel.filters.addresses import led_to, led_to_by_name, of_receiver
from kernel.filters.kept import Kept, written_moment

# Stands for all that orders may wait for.
ANYTHING = "any"
# No character is beyond it: what lies between a prefix and this begins with the prefix.
LAST = "\U0010ffff"
# Stands for the orders that owe no callback.
NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFilter(Kept):
    """Which orders; None means any.

    ``since`` and ``until`` are times of acceptance, ``ended_since`` and ``ended_until`` those of
    the end. Beginnings are inside, ends are outside. ``text`` is a name of an order, or ``words``
    of its arguments: `kernel.filters.plans.named` finds out which.
    """

    state: OrderState | None = None
    select_tag: str | None = None
    caller_id: int | None = None
    # The state of its callback, or `NONE`.
    callback: DeliveryState | str | None = None
    # Where its callback goes: a name or name:port, as `read_host` spells it; the receiver's name.
    host: str | None = None
    receiver: str | None = None
    error: str | None = None
    # Of which a run failed like this; see `kernel.orders.ends.run_ends`.
    fingerprint: str | None = None
    reference: str | None = None
    reference_prefix: str | None = None
    ordering_key: str | None = None
    # The children of this order.
    batch: str | None = None
    # What it waits for, as `Gate.waiting_for` has it; `ANYTHING` for all that wait.
    waiting: str | None = None
    text: str | None = None
    words: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    ended_since: datetime | None = None
    ended_until: datetime | None = None
    # These orders alone, as far as they fit the rest.
    ids: tuple[str, ...] | None = None
    # The tags that may be seen; None for all.
    tags: frozenset[str] | None = None
    # Pending ones are those, too, that wait: callers are told no other state of them.
    as_callers_see: bool = False

    read: ClassVar[Mapping[str, Any]] = {
        "state": OrderState,
        "ids": tuple,
        "tags": frozenset,
        **dict.fromkeys(("since", "until", "ended_since", "ended_until"), written_moment),
    }

    @property
    def states(self) -> tuple[OrderState, ...] | None:
        """The states that fit; None when any does, and none at all where two demands differ."""
        given: set[OrderState] = set(OrderState)
        if self.state is not None:
            both = self.as_callers_see and self.state is OrderState.PENDING
            given = {OrderState.PENDING, OrderState.WAITING} if both else {self.state}
        if self.waiting is not None:
            given &= {OrderState.WAITING}
        if self.error is not None:  # a code of its own; every other one is that of a failure
            is_cancel = self.error == OrderState.CANCELLED
            given &= {OrderState.CANCELLED if is_cancel else OrderState.FAILED}
        if self.ended_since is not None or self.ended_until is not None:
            given = {one for one in given if one.is_final}
        return None if len(given) == len(OrderState) else tuple(sorted(given))

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return the filter as SQL conditions on rows of orders."""
        return [*self.by_name().values(), *id_range(ORDERS.c.id, self.since, self.until)]

    def by_name(self) -> dict[str, ColumnElement[bool]]:
        """Return the conditions by the members that they answer, without `since` and `until`."""
        said = {name: getattr(self, name) for name in _SAID}
        found = {name: _SAID[name](value) for name, value in said.items() if value is not None}
        if self.states is not None:
            found["state"] = _state_in(self.states)
        if self.receiver is not None:
            own = (ORDERS.c.caller_id, ORDERS.c.callback_url)
            found["receiver"] = of_receiver(*own, self.receiver)
        if self.waiting not in (None, ANYTHING):
            found["waiting"] = _gate(GATES.c.waiting_for, self.waiting)
        return found


def begins(column: Any, prefix: str) -> ColumnElement[bool]:
    """Match what begins with ``prefix``, as an index can."""
    return and_(column >= prefix, column < prefix + LAST)


def _state_in(states: tuple[OrderState, ...]) -> ColumnElement[bool]:
    found: ColumnElement[bool] = ORDERS.c.state.in_(states)
    return ORDERS.c.state == states[0] if len(states) == 1 else found


def _gate(column: Any, value: Any) -> ColumnElement[bool]:
    """Match orders by what stands in their row of `GATES`."""
    gate = GATES.alias()  # the same rows may be what the orders are found by
    return exists().where(gate.c.order_id == ORDERS.c.id, gate.c[column.key] == value)


def _ran(so: ColumnElement[bool]) -> ColumnElement[bool]:
    """Match orders with a run that ended so."""
    return exists().where(RUNS.c.order_id == ORDERS.c.id, so)


def _leads_to(host: str) -> ColumnElement[bool]:
    url = ORDERS.c.callback_url
    return or_(led_to(func.lower(url), host), led_to_by_name(ORDERS.c.caller_id, url, host))


def _callback_is(state: str) -> ColumnElement[bool]:
    if state == NONE:
        none: ColumnElement[bool] = ORDERS.c.callback_url == NO_CALLBACK
        return none
    one = DELIVERIES.c
    return exists().where(one.order_id == ORDERS.c.id, one.state == state)


def _with_word(text: str) -> ColumnElement[bool]:
    """Match arguments that hold these words in any case, as JSON writes them."""
    written = json.dumps(text, ensure_ascii=False)[1:-1]
    for special in "/%_":
        written = written.replace(special, f"/{special}")
    pattern = func.lower(literal(f"%{written}%"))
    return func.lower(ORDERS.c.args).like(pattern, escape="/")


_SAID: Mapping[str, Callable[[Any], ColumnElement[bool]]] = {
    "select_tag": lambda value: ORDERS.c.select_tag == value,
    "caller_id": lambda value: ORDERS.c.caller_id == value,
    "error": lambda value: ORDERS.c.error_code == value,
    "fingerprint": lambda value: _ran(RUNS.c.fingerprint == value),
    "reference": lambda value: ORDERS.c.reference == value,
    # SQLite's LIKE knows no case.
    "reference_prefix": lambda value: begins(ORDERS.c.reference, value),
    "ids": ORDERS.c.id.in_,
    "tags": lambda value: ORDERS.c.select_tag.in_(sorted(value)),
    "ended_since": lambda value: ORDERS.c.finished_at >= value,
    "ended_until": lambda value: ORDERS.c.finished_at < value,
    "host": _leads_to,
    "callback": _callback_is,
    "text": _with_word,
    "words": _with_word,
    "ordering_key": lambda value: _gate(GATES.c.ordering_key, value),
    "batch": lambda value: _gate(GATES.c.parent_id, value),
}
