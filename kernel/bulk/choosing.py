"""Which items of a bulk act come next, in the order of their keys, and how many there are."""

import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, func, select
from sqlalchemy.orm import Session

from kernel.bulk.kinds import Filter, Plan
from kernel.db.statements.keyset import Budget, Key, Walk, Windows, take
from kernel.db.states import DeliveryState
from kernel.db.tables.deliveries import DELIVERIES
from kernel.db.tables.orders import ORDERS
from kernel.filters.callbacks import CallbackFilter, plan_callbacks
from kernel.filters.counts import COUNTED, Counts, count_callbacks, count_orders
from kernel.filters.orders import OrderFilter
from kernel.filters.plans import plan_orders, settle

# What one step may read to find its items; a filter without an index takes several steps.
LOOKED = Budget(first=500, largest=4000, seconds=0.1, rows=20_000)


class Span(NamedTuple):
    """The items that are a job's: up to an id, and for callbacks that have ended, up to a time."""

    until_id: str
    until: datetime


class Page(NamedTuple):
    """Keys of the next items, and the key after which to go on; None when there are no more."""

    keys: list[Key]
    edge: Key | None

    @property
    def ids(self) -> list[str]:
        """The items' ids: the last column of each key."""
        return [str(key[-1]) for key in self.keys]


def newest(asked: Session | Connection, plan: Plan) -> str:
    """Return the newest id there is of the plan's items.

    The rows tell which that is: a clock that was set back would leave out the latest.
    """
    column = ORDERS.c.id if plan.kind.is_of_orders else DELIVERIES.c.id
    return asked.scalar(select(func.max(column))) or ""


def latest_end(asked: Session | Connection, now: datetime) -> datetime:
    """Return ``now``, or the end of the dead callback that ended last, if that is later.

    It is later after the clock was set back: that callback is there, and is one of an act's own.
    """
    dead = DELIVERIES.c.state == DeliveryState.DEAD
    ended = asked.scalar(select(func.max(DELIVERIES.c.finished_at)).where(dead))
    return now if ended is None else max(now, ended)


def next_page(
    asked: Session | Connection,
    plan: Plan,
    span: Span,
    after: Key | None,
    limit: int,
    budget: Budget = LOOKED,
) -> Page:
    """Return up to ``limit`` items beyond ``after``, the oldest first.

    The items of each state are walked along their own index, and merged by their keys. One that
    goes back meanwhile (a run that is put off, a callback that is held) was in neither state when
    that was looked at, nor is it always when it moves on at once: so all are looked at twice.
    """
    found: list[Key] = []
    edges: list[Key] = []
    parts = plan.parts()
    for part in parts * 2 if len(parts) > 1 else parts:
        walk, rest = _upwards(asked, part, span)
        windows = Windows(asked, walk, after, budget)
        part_of = take(windows, list(walk.columns), rest, limit)
        found += [tuple(row) for row in part_of.rows]
        edges += [] if part_of.edge is None else [part_of.edge]
    edge = min(edges, default=None)
    keys = sorted({key for key in found if edge is None or key <= edge})
    if len(keys) > limit:
        keys, edge = keys[:limit], keys[limit - 1]
    return Page(keys, edge)


def _upwards(
    asked: Session | Connection, wanted: Filter, span: Span
) -> tuple[Walk, list[ColumnElement[bool]]]:
    """Return the walk along the items of one state, the oldest first, that are within the span."""
    if isinstance(wanted, OrderFilter):
        walk, rest = plan_orders(settle(asked, wanted), up=True)
    else:
        walk, rest = plan_callbacks(wanted)
    key = walk.columns[-1]
    within = [key <= span.until_id]
    if len(walk.columns) > 1:  # by their ends: what ends again later has had its turn
        within.append(walk.columns[0] <= span.until)
    return replace(walk, where=[*walk.where, *within], up=True), rest


def count(asked: Session | Connection, plan: Plan, budget: Budget = COUNTED) -> Counts:
    """Count what a plan holds, by error, tag, caller and receiver, as far as ``budget`` goes."""
    deadline, wanted = time.monotonic() + budget.seconds, plan.parts()
    rows = None if budget.rows is None else budget.rows // len(wanted)
    parts = []
    for part in wanted:  # the time that one leaves is the next one's
        left = replace(budget, seconds=max(0.0, deadline - time.monotonic()), rows=rows)
        parts.append(_count(asked, part, left))
    if len(parts) == 1:
        return parts[0]
    names = ("by_error", "by_tag", "by_caller", "by_receiver")
    merged = {name: _merged([getattr(one, name) for one in parts]) for name in names}
    total = sum(one.total for one in parts)
    return Counts(total=total, complete=all(one.complete for one in parts), **merged)


def _count(asked: Session | Connection, part: Filter, budget: Budget) -> Counts:
    if isinstance(part, CallbackFilter):
        return count_callbacks(asked, part, budget)
    return count_orders(asked, settle(asked, part), budget)


def _merged(groups: list[Mapping[Any, int]]) -> dict[Any, int]:
    total = Counter[Any]()
    for one in groups:
        total.update(one)
    return dict(total.most_common())


def written(key: Key | None) -> str | None:
    """Write a key for the job's row."""
    if key is None:
        return None
    return json.dumps([one.isoformat() if isinstance(one, datetime) else one for one in key])


def read(place: str | None) -> Key | None:
    """Read what `written` wrote."""
    if place is None:
        return None
    *ends, id = json.loads(place)
    return (*map(datetime.fromisoformat, ends), id)
