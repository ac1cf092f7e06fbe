"""The page of a tag, and of a caller: what waits, what runs, how it went, what failed."""

from dataclasses import dataclass
from functools import partial

from flask import Response
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.exceptions import NotFound

from kernel.db.statements.keyset import Budget
from kernel.db.states import OrderState
from kernel.db.tables.callers import Caller
from kernel.db.tables.orders import ORDERS
from kernel.db.tables.service import SelectTag
from kernel.filters.counts import Counts, count_orders
from kernel.filters.orders import OrderFilter
from kernel.insight.backlog import LIMIT
from kernel.insight.limits import Standing, standings
from kernel.insight.trends.parts import COUNTED, Now, Row, rows_of
from kernel.insight.trends.series import Span, Trends, first_bin
from kernel.insight.trends.tallies import Kind, Part, Tally
from kernel.insight.workers.hanging import TIMES
from kernel.insight.workers.shown import ShownProcess, ShownRun, read_workers
from kernel.pauses.listing import PauseShown, list_pauses
from kernel.runtime.kernel import Kernel
from kernel.runtime.single_flight import SingleFlightCache
from kernel.views.dashboard.frame import LIVE_SECONDS, LIVE_SHARE, Frame
from kernel.views.dashboard.work.workers import chosen_span
from kernel.views.http.sessions import Visitor

# How long orders are counted for the page: it is loaded again while it is looked at.
BRIEF = Budget(first=500, largest=2000, seconds=0.01)
# What is counted in the address of a list: by the span of the page.
SINCE = {Span.HOUR: "1h", Span.DAY: "24h", Span.WEEK: "7d"}


@dataclass(frozen=True, slots=True)
class PartPage:
    """A tag or a caller. ``limit``: of a tag that has one."""

    row: Row
    pending: Counts
    failed: Counts
    runs: list[tuple[ShownProcess, ShownRun]]
    limit: Standing | None
    # The names of callers, by their ids.
    names: dict[int, str]


def _holds(pause: PauseShown, part: Part) -> bool:
    """Tell whether a pause holds the orders of a tag or of a caller."""
    if part.kind == Kind.TAG:
        return pause.tag == part.name
    return pause.orders_of is not None and pause.caller == part.name


def part_pages(frame: Frame) -> None:
    """Add the pages to ``frame``."""
    kernel = frame.kernel
    trends = Trends(kernel)
    found = SingleFlightCache[PartPage | None](LIVE_SECONDS, share=LIVE_SHARE)

    def show(part: Part) -> Response:
        span = chosen_span()
        seen = found.get(partial(read_part, kernel, trends, span, part), (part, span))
        if seen is None:
            raise NotFound
        with kernel.read_session() as session:
            is_paused = any(_holds(one, part) for one in list_pauses(session))
        return frame.render(
            "dashboard/workers/part.html",
            part=part,
            is_paused=is_paused,
            found=seen,
            span=span,
            spans=list(Span),
            since=SINCE[span],
            counted=COUNTED,
            limit=LIMIT,
            times=TIMES,
        )

    @frame.page("/tags/<tag>")
    def tag_page(visitor: Visitor, tag: str) -> Response:
        return show(Part(Kind.TAG, tag))

    @frame.page("/callers/<caller>")
    def caller_page(visitor: Visitor, caller: str) -> Response:
        return show(Part(Kind.CALLER, caller))


def read_part(kernel: Kernel, trends: Trends, span: Span, part: Part) -> PartPage | None:
    """Read what there is of a part; None when nothing was ever heard of it.

    Raises the database's errors.
    """
    began_at = first_bin(span, kernel.clock.now())
    with kernel.read_session() as session:
        names = {row.id: row.name for row in session.execute(select(Caller.id, Caller.name))}
        caller_id = next((one for one, name in names.items() if name == part.name), None)
        is_tag = part.kind is Kind.TAG
        rows = rows_of(kernel, trends, span, part.kind)
        row = next((one for one in rows if one.part == part), None)
        if row is None:
            if not (_is_known(session, part.name) if is_tag else caller_id):
                return None
            row = Row(part, Tally(began_at), Now(), 1.0)
        of = {"select_tag": part.name} if is_tag else {"caller_id": caller_id}
        pending = OrderFilter(state=OrderState.PENDING, **of)
        failed = OrderFilter(
            state=OrderState.FAILED,
            ended_since=began_at,
            **of,
        )
        counted = [count_orders(session, one, BRIEF) for one in (pending, failed)]
        runs = _runs(kernel, trends, session, part, caller_id)
    limits = {one.tag: one for one in standings(kernel)} if is_tag else {}
    return PartPage(row, counted[0], counted[1], runs, limits.get(part.name), names)


def _is_known(session: Session, tag: str) -> bool:
    """Tell whether a worker knows a tag, or an order has it."""
    ordered = select(ORDERS.c.id).where(
        ORDERS.c.state.in_(list(OrderState)), ORDERS.c.select_tag == tag
    )
    known = select(SelectTag.tag).where(SelectTag.tag == tag)
    return any(session.scalar(one.limit(1)) is not None for one in (known, ordered))


def _runs(
    kernel: Kernel, trends: Trends, session: Session, part: Part, caller_id: int | None
) -> list[tuple[ShownProcess, ShownRun]]:
    """Return what processes run of this part, what hangs first."""
    found = [
        (process, run) for process in read_workers(kernel, trends).processes for run in process.runs
    ]
    if part.kind is Kind.TAG:
        mine = [(process, run) for process, run in found if run.run.tag == part.name]
    else:
        ids = [run.run.order_id for _, run in found]
        asked = select(ORDERS.c.id).where(ORDERS.c.id.in_(ids), ORDERS.c.caller_id == caller_id)
        own = set(session.scalars(asked)) if ids else set()
        mine = [(process, run) for process, run in found if run.run.order_id in own]
    return sorted(mine, key=lambda one: one[1].hangs is None)
