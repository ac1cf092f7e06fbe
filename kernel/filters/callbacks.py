"""The filter of callbacks: what it asks, in SQL, and along which index they are found."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import ColumnElement, exists

from kernel.db.ids import first_id
from kernel.db.statements.keyset import Walk, id_range
from kernel.db.states import DeliveryState
from kernel.db.tables.deliveries import DELIVERIES
from kernel.db.tables.orders import ORDERS
from kernel.filters.addresses import at_origin, of_receiver
from kernel.filters.kept import Kept, written_moment
from kernel.filters.orders import OrderFilter

# Members that say something of the callback's order.
OF_ORDER = ("select_tag", "error", "reference", "reference_prefix", "ordering_key", "batch", "tags")


@dataclass(frozen=True, slots=True)
class CallbackFilter(Kept):
    """Which callbacks; None means any. Times are those of the outcome they were made for."""

    caller_id: int | None = None
    state: DeliveryState | None = None
    # Where it goes: a name or name:port, as `read_host` spells it; the receiver's name.
    host: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    # Those whose orders have one of these tags; None for all.
    tags: frozenset[str] | None = None
    receiver: str | None = None
    # Why it is dead, from `kernel.transport.backoff.Dead`.
    died_of: str | None = None
    # Of its order, as in `OrderFilter`.
    order_id: str | None = None
    select_tag: str | None = None
    error: str | None = None
    reference: str | None = None
    reference_prefix: str | None = None
    ordering_key: str | None = None
    batch: str | None = None

    read: ClassVar[Mapping[str, Any]] = {
        "state": DeliveryState,
        "tags": frozenset,
        **dict.fromkeys(("since", "until"), written_moment),
    }

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return the filter as SQL conditions; ids are made with the time, so they are ranged."""
        row, found = DELIVERIES.c, self.bounds()
        plain = {row.state: self.state, row.died_of: self.died_of, row.order_id: self.order_id}
        found += [column == value for column, value in plain.items() if value is not None]
        if self.host is not None:
            found.append(at_origin(row.origin, self.host))
        if self.receiver is not None:
            found.append(of_receiver(row.caller_id, row.url, self.receiver))
        if self.is_of_orders:
            of = OrderFilter(**{name: getattr(self, name) for name in OF_ORDER})
            found.append(exists().where(ORDERS.c.id == row.order_id, *of.conditions()))
        return found

    @property
    def is_of_orders(self) -> bool:
        """Whether the callbacks' orders have to be looked at."""
        return any(getattr(self, name) is not None for name in OF_ORDER)

    @property
    def is_plain(self) -> bool:
        """Whether nothing but a state and a time narrows it."""
        narrow = (self.caller_id, self.host, self.receiver, self.died_of, self.order_id)
        return narrow == (None,) * len(narrow) and not self.is_of_orders

    def bounds(self) -> list[ColumnElement[bool]]:
        """Return the conditions that an index on ids, or on callers and ids, answers by itself."""
        found = []
        if self.caller_id is not None:
            found.append(DELIVERIES.c.caller_id == self.caller_id)
        if self.since is not None:
            found.append(DELIVERIES.c.id >= first_id(self.since))
        if self.until is not None:
            found.append(DELIVERIES.c.id < first_id(self.until))
        return found


def plan_callbacks(wanted: CallbackFilter) -> tuple[Walk, list[ColumnElement[bool]]]:
    """Choose an index: an order's, one state's ends, one caller's ids, or all ids.

    Return the walk along it, and the conditions that rows are looked at for; none if the index
    answers all.
    """
    state, ends = DELIVERIES.c.state == wanted.state, "ix_kernel_deliveries_state_finished_at"
    rest = wanted.conditions()
    if wanted.order_id is not None:
        held = DELIVERIES.c.order_id == wanted.order_id
        return _by_id("ix_kernel_deliveries_order_id", [held]), rest
    if wanted.state is not None and not wanted.state.is_over:
        span = id_range(DELIVERIES.c.id, wanted.since, wanted.until)
        walk = _by_id(ends, [state, DELIVERIES.c.finished_at.is_(None), *span])
        return walk, [] if wanted.is_plain else rest
    if wanted.state is DeliveryState.DEAD and wanted.until is None:
        # No delivery ends before the outcome that it tells of.
        after = [] if wanted.since is None else [DELIVERIES.c.finished_at >= wanted.since]
        by_end = [DELIVERIES.c.finished_at, DELIVERIES.c.id]
        walk = Walk(DELIVERIES, ends, by_end, [state, *after])
        return walk, [] if wanted.is_plain and wanted.since is None else rest
    index = "PRIMARY" if wanted.caller_id is None else "ix_kernel_deliveries_caller_id_id"
    whole = wanted.state is None and replace(wanted, caller_id=None).is_plain
    return _by_id(index, wanted.bounds()), [] if whole else rest


def _by_id(index: str, where: list[ColumnElement[bool]]) -> Walk:
    return Walk(DELIVERIES, index, [DELIVERIES.c.id], where)
