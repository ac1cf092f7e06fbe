"""Deliveries by filter, a page at a time, and where a replay would send them.

A filter that no index answers looks at rows for some 30 ms, in windows, and then says how far it
went: the next page goes on from there. So finding a rare host among a million deliveries takes many
requests, none of them slow.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from kernel.db.statements.keyset import Budget, Cursor, Walk, Windows, id_range, take
from kernel.db.states import DeliveryState
from kernel.db.tables.deliveries import ATTEMPTS, DELIVERIES
from kernel.delivery.redeliver import DeliveryFilter
from kernel.runtime.kernel import Kernel

PAGE = 50
BUDGET = Budget(first=250, largest=4000, seconds=0.03)
# After two seconds a count says "at least".
COUNT_BUDGET = Budget(first=250, largest=4000, seconds=2.0)
COLUMNS = tuple(
    DELIVERIES.c[name]
    for name in (
        *("id", "order_id", "caller_id", "origin", "url", "state", "created_at"),
        *("next_attempt_at", "finished_at", "attempt", "claim_token", "died_of"),
    )
)


@dataclass(frozen=True, slots=True)
class Page:
    """Some deliveries, the newest first."""

    rows: list[Any]
    # Each delivery's latest attempt, by the delivery's id.
    latest: Mapping[str, Any]
    # Where to go on: an id, or an end and an id, as the filter's index has them; None at the end.
    next: Cursor | None
    # False: the page is not full because the budget was spent at `next`.
    complete: bool


def _plan(wanted: DeliveryFilter) -> tuple[Walk, list[ColumnElement[bool]]]:
    """Choose an index: one state's ends, one caller's ids, or all ids.

    Return the walk along it, and the conditions that rows are looked at for; none if the index
    answers all.
    """
    state, ends = DELIVERIES.c.state == wanted.state, "ix_kernel_deliveries_state_finished_at"
    plain = wanted.caller_id is None and wanted.host is None
    rest = wanted.conditions()
    if wanted.state is not None and not wanted.state.is_over:
        span = id_range(DELIVERIES.c.id, wanted.since, wanted.until)
        walk = _by_id(ends, [state, DELIVERIES.c.finished_at.is_(None), *span])
        return walk, [] if plain else rest
    if wanted.state is DeliveryState.DEAD and wanted.until is None:
        # No delivery ends before the outcome that it tells of.
        after = [] if wanted.since is None else [DELIVERIES.c.finished_at >= wanted.since]
        by_end = [DELIVERIES.c.finished_at, DELIVERIES.c.id]
        walk = Walk(DELIVERIES, ends, by_end, [state, *after])
        return walk, [] if plain and wanted.since is None else rest
    index = "PRIMARY" if wanted.caller_id is None else "ix_kernel_deliveries_caller_id_id"
    whole = wanted.state is None and wanted.host is None
    return _by_id(index, wanted.bounds()), [] if whole else rest


def _by_id(index: str, where: list[ColumnElement[bool]]) -> Walk:
    return Walk(DELIVERIES, index, [DELIVERIES.c.id], where)


def page(
    session: Session,
    wanted: DeliveryFilter,
    below: Cursor | None,
    limit: int,
    budget: Budget = BUDGET,
) -> Page:
    """Return up to ``limit`` deliveries below ``below``, with their latest attempts.

    A cursor of another filter's order is none: the page begins at the newest.
    """
    walk, rest = _plan(wanted)
    edge = None if below is None or len(below.key) != len(walk.columns) else below.key
    found = take(Windows(session, walk, edge, budget), COLUMNS, rest, limit)
    latest = _latest(session, [row.id for row in found.rows])
    goes_on = None if found.edge is None else Cursor(found.edge)
    return Page(found.rows, latest, goes_on, len(found.rows) == limit or goes_on is None)


def _latest(session: Session, ids: list[str]) -> dict[str, Any]:
    """Return the latest attempt of each of these deliveries that has one."""
    newest = (
        select(func.max(ATTEMPTS.c.id).label("id"))
        .where(ATTEMPTS.c.delivery_id.in_(ids))
        .group_by(ATTEMPTS.c.delivery_id)
        .subquery()
    )
    columns = (ATTEMPTS.c.delivery_id, ATTEMPTS.c.started_at, ATTEMPTS.c.status, ATTEMPTS.c.reason)
    query = select(*columns).join_from(newest, ATTEMPTS, newest.c.id == ATTEMPTS.c.id)
    return {row.delivery_id: row for row in session.execute(query)} if ids else {}


@dataclass(frozen=True, slots=True)
class Reach:
    """What a replay would send again."""

    # How many to each origin, most first.
    hosts: Mapping[str, int]
    # False: counting took too long, and there may be more.
    complete: bool

    @property
    def total(self) -> int:
        """How many deliveries."""
        return sum(self.hosts.values())


def reach(kernel: Kernel, wanted: DeliveryFilter, budget: Budget = COUNT_BUDGET) -> Reach:
    """Count what a replay of ``wanted`` would send again, as far as ``budget`` goes."""
    walk, _ = _plan(wanted)
    found: Counter[str] = Counter()
    by_host = select(DELIVERIES.c.origin, func.count()).group_by(DELIVERIES.c.origin)
    over = [*wanted.conditions(), DELIVERIES.c.state.in_(DeliveryState.over())]
    with kernel.read_session() as session:
        windows = Windows(session, walk, None, budget)
        for window in windows:
            query = by_host.join_from(window, DELIVERIES, window.c.id == DELIVERIES.c.id)
            found.update(dict(session.execute(query.where(*over)).all()))
    return Reach(dict(found.most_common()), windows.ended)
