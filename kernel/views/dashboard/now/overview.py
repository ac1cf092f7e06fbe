"""The overview: what is wrong, how everything is right now, and how it went."""

from dataclasses import dataclass
from datetime import datetime
from functools import partial

from flask import Response, request
from sqlalchemy import select

from kernel.db.states import OrderState
from kernel.db.tables.callers import Caller
from kernel.insight.conditions import words as condition_words
from kernel.insight.conditions.expiring import forget_slow_facts
from kernel.insight.conditions.judge import troubles
from kernel.insight.conditions.look import Asking
from kernel.insight.conditions.now import wrong_now
from kernel.insight.conditions.rules import Condition
from kernel.insight.hosts import LIMIT as HOST_LIMIT
from kernel.insight.hosts import Host, hosts
from kernel.insight.state_counts import COUNTED, Counts, counts
from kernel.insight.trends import changes
from kernel.insight.trends.series import Span, Trends
from kernel.insight.workers import Process, processes
from kernel.pauses.listing import list_pauses
from kernel.runtime.kernel import Kernel
from kernel.runtime.single_flight import SingleFlightCache
from kernel.views.dashboard import flash
from kernel.views.dashboard.frame import LIVE_SECONDS, LIVE_SHARE, Frame
from kernel.views.http.sessions import Visitor


@dataclass(frozen=True, slots=True)
class Overview:
    """How everything is at one moment."""

    # What is wrong, the worst first, and what it was read at.
    wrong: list[Condition]
    at: datetime
    counts: Counts
    processes: list[Process]
    hosts: list[Host]
    more_hosts: int
    # The names of callers for whom nothing is sent, by their ids.
    paused_callers: dict[int, str]
    # Those of them whose callbacks are held until drafts of receivers are adopted or removed.
    adopting: frozenset[int | None]
    # The names of callers whose breaker for a host is open, by their ids.
    broken_callers: dict[int, str]

    @property
    def workers(self) -> int:
        """How many processes that run handlers are alive."""
        return sum(one.alive and one.kind == "worker" for one in self.processes)


def overview_pages(frame: Frame) -> None:
    """Add the page to ``frame``."""
    trends = Trends(frame.kernel)
    found = SingleFlightCache[Overview](LIVE_SECONDS, share=LIVE_SHARE)

    @frame.page("/")
    def overview(visitor: Visitor) -> Response:
        given = request.args.get("span", "")
        span = Span(given) if given in set(Span) else Span.HOUR
        if flash.said(visitor):  # what a person has just changed is to be seen at once
            found.forget()
            forget_slow_facts(frame.kernel)
        seen = found.get(partial(read_overview, frame.kernel, frame.hints.backlog))
        trend = trends.read(span)
        return frame.render(
            "dashboard/overview.html",
            overview=seen,
            trouble=troubles(seen.wrong),
            sentence=condition_words.sentence,
            mend=condition_words.mend,
            trend=trend,
            spans=list(Span),
            counters=changes.counters(trend),
            counter_links=_links(span),
            said=changes.said,
            said_change=changes.said_change,
            states=[one for one in OrderState if not one.is_final],
            counted=COUNTED,
            limit=COUNTED,
            host_limit=HOST_LIMIT,
        )


def _links(span: Span) -> dict[str, tuple[str, dict[str, str]]]:
    """Return which list each counter leads to: an endpoint and its fields."""
    reach = {Span.HOUR: "1h", Span.DAY: "1d", Span.WEEK: "7d"}[span]
    ended = {
        one: ("orders", {"state": one, "ended_since": reach}) for one in OrderState if one.is_final
    }
    callbacks = {one: ("deliveries", {"state": one}) for one in ("delivered", "dead")}
    return {"accepted": ("orders", {"since": reach})} | ended | callbacks


def read_overview(kernel: Kernel, asking: Asking = None) -> Overview:
    """Look at everything, by three dozen short queries. ``asking``: whether the broker answers."""
    counted, at_work = counts(kernel), processes(kernel)
    wrong, facts = wrong_now(kernel, asking, lambda: counted.backlog)
    found, more = hosts(kernel, [one for one in at_work if one.alive])
    with kernel.read_session() as session:
        pauses = [one for one in list_pauses(session) if one.caller_id is not None]
        paused = {one.caller_id for one in pauses}
        adopting = frozenset(one.caller_id for one in pauses if one.is_adoption)
        broken = {one for host in found for one in host.open_for}
        wanted = select(Caller.id, Caller.name).where(Caller.id.in_(paused | broken))
        found_names = session.execute(wanted).all() if paused | broken else []
        names = {row.id: row.name for row in found_names}
    stopped, failing = ({i: name for i, name in names.items() if i in s} for s in (paused, broken))
    return Overview(
        wrong=wrong,
        at=facts.now,
        counts=counted,
        processes=at_work,
        hosts=found,
        more_hosts=more,
        paused_callers=stopped,
        adopting=adopting,
        broken_callers=failing,
    )
