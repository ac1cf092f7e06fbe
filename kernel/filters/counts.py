"""What a filter holds, counted by error, tag, caller and receiver, as far as a budget goes."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select
from sqlalchemy.orm import Session

from kernel.callers.matching import is_named
from kernel.db.columns import by_index
from kernel.db.statements.keyset import Budget, Walk, Windows
from kernel.db.tables.deliveries import DELIVERIES
from kernel.db.tables.orders import ORDERS
from kernel.errors import AddressRefused
from kernel.filters.callbacks import CallbackFilter, plan_callbacks
from kernel.filters.orders import OrderFilter
from kernel.filters.plans import plan_orders
from kernel.transport.addresses import origin_of

# After two seconds a count says "at least".
COUNTED = Budget(first=500, largest=8000, seconds=2.0)
# Groups of one kind that are told apart; what is beyond them is in the total alone.
GROUPS = 1000


@dataclass(frozen=True, slots=True)
class Counts:
    """How many rows of a filter there are. ``complete``: False, there may be more."""

    total: int
    # Most first: by error code (why it died, for callbacks), tag, caller's id, receiver's origin.
    by_error: Mapping[str | None, int]
    by_tag: Mapping[str, int]
    by_caller: Mapping[int, int]
    by_receiver: Mapping[str, int]
    complete: bool

    def data(self, callers: Mapping[int, str]) -> dict[str, Any]:
        """Describe it as JSON: each group as a list, most first. ``callers``: names by id."""
        groups: dict[str, Mapping[Any, int]] = {
            "by_error": self.by_error,
            "by_tag": self.by_tag,
            "by_caller": {callers.get(one, str(one)): n for one, n in self.by_caller.items()},
            "by_receiver": self.by_receiver,
        }
        listed = {
            name: [{"value": value or None, "count": n} for value, n in group.items()]
            for name, group in groups.items()
        }
        return {"total": self.total, "complete": self.complete} | listed


def count_orders(
    asked: Connection | Session, wanted: OrderFilter, budget: Budget = COUNTED
) -> Counts:
    """Count the orders of a filter, settled (`kernel.filters.plans.settle`), newest first.

    By the error, the tag, the caller, and the origin of the callback or `receiver:NAME`; orders
    without a callback have the origin "".
    """
    row = ORDERS.c
    groups = (row.error_code, row.select_tag, row.caller_id, row.callback_url)
    return _counted(asked, plan_orders(wanted), groups, budget)


def count_callbacks(
    asked: Connection | Session, wanted: CallbackFilter, budget: Budget = COUNTED
) -> Counts:
    """Count the callbacks of a filter, newest first: by why they died, tag, caller and origin."""
    row = DELIVERIES.c
    tag = select(ORDERS.c.select_tag).where(ORDERS.c.id == row.order_id).scalar_subquery()
    groups = (row.died_of, tag, row.caller_id, row.origin)
    walk, _ = plan_callbacks(wanted)
    return _counted(asked, (walk, wanted.conditions()), groups, budget)


def origin(url: str) -> str:
    """Return where a callback goes: an origin, `receiver:NAME`, or "" for none."""
    if not url or is_named(url):
        return url
    try:
        return origin_of(url)
    except AddressRefused:  # of a release that took what this one does not
        return url.partition("?")[0]


def _counted(
    asked: Connection | Session, plan: tuple[Walk, Any], groups: tuple[Any, ...], budget: Budget
) -> Counts:
    walk, rest = plan
    found = Counter[tuple[Any, ...]]()
    named = [column.label(f"group_{place}") for place, column in enumerate(groups)]
    windows = Windows(asked, walk, None, budget)
    table, key = walk.table, walk.columns[-1]
    for window in windows:
        near = select(*named).join_from(window, table, window.c[str(key.key)] == key).where(*rest)
        rows = by_index(near, table, "PRIMARY").subquery()
        each = select(*rows.c, func.count()).group_by(*rows.c)
        for row in asked.execute(each):
            (*values, url), number = row[:-1], row[-1]
            found[(*values, origin(url))] += number
    return _grouped(found, windows.ended)


def _grouped(found: Counter[tuple[Any, ...]], complete: bool) -> Counts:
    errors, tags, callers, origins = (Counter[Any]() for _ in range(4))
    for (error, tag, caller_id, origin), number in found.items():
        errors[error] += number
        tags[tag] += number
        callers[caller_id] += number
        origins[origin] += number
    ranked = [dict(one.most_common(GROUPS)) for one in (errors, tags, callers, origins)]
    return Counts(found.total(), ranked[0], ranked[1], ranked[2], ranked[3], complete)
