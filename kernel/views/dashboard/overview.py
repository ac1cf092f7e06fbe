"""The overview: how everything is right now, and how it went."""

from dataclasses import dataclass
from functools import partial

from flask import Response, request
from sqlalchemy import select

from kernel.db.states import OrderState
from kernel.db.tables.callers import Caller
from kernel.delivery.pauses import list_pauses
from kernel.insight import hosts as receivers
from kernel.insight.backlog import LIMIT
from kernel.insight.hosts import Host, hosts
from kernel.insight.state_counts import COUNTED, Counts, counts
from kernel.insight.trends import Span, Trends
from kernel.insight.workers import Process, processes
from kernel.runtime.kernel import Kernel
from kernel.runtime.single_flight import SingleFlightCache
from kernel.views.dashboard.frame import LIVE_SECONDS, LIVE_SHARE, Frame
from kernel.views.http.sessions import Visitor


@dataclass(frozen=True, slots=True)
class Overview:
    """How everything is at one moment."""

    counts: Counts
    processes: list[Process]
    hosts: list[Host]
    more_hosts: int
    # The names of callers for whom nothing is sent, by their ids.
    paused_callers: dict[int, str]

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
        wanted = request.args.get("span")
        span = Span.DAY if wanted == Span.DAY else Span.HOUR
        if "done" in request.args:  # what a person has just changed is to be seen at once
            found.forget()
        return frame.render(
            "dashboard/overview.html",
            overview=found.get(partial(read_overview, frame.kernel)),
            trend=trends.read(span),
            states=list(OrderState),
            counted=COUNTED,
            limit=LIMIT,
            host_limit=receivers.LIMIT,
        )


def read_overview(kernel: Kernel) -> Overview:
    """Look at everything, by two dozen short queries."""
    at_work = processes(kernel)
    found, more = hosts(kernel, [one for one in at_work if one.alive])
    with kernel.read_session() as session:
        paused = {one.caller_id for one in list_pauses(session)} - {None}
        names = session.execute(select(Caller.id, Caller.name).where(Caller.id.in_(paused)))
        callers = {row.id: row.name for row in names} if paused else {}
    return Overview(counts(kernel), at_work, found, more, callers)
