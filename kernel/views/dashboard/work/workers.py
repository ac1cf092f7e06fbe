"""The page of the work: tags and callers side by side, and what each process runs.

From here a host is drained and resumed, and a process terminated.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from flask import Response, request
from sqlalchemy import select

from kernel.db.tables.service import SelectTag
from kernel.insight.backlog import LIMIT
from kernel.insight.limits import Standing, standings
from kernel.insight.trends.parts import COUNTED, Now, Row, rows_of
from kernel.insight.trends.series import Span, Trends, first_bin
from kernel.insight.trends.tallies import Kind, Part, Tally
from kernel.insight.workers import is_silent
from kernel.insight.workers.asking import drain, resume, terminate
from kernel.insight.workers.hanging import TIMES
from kernel.insight.workers.shown import ShownProcess, ShownRun, Workers, read_workers
from kernel.pauses.listing import PauseShown, list_pauses
from kernel.runtime.kernel import Kernel
from kernel.runtime.single_flight import SingleFlightCache
from kernel.views.dashboard import flash
from kernel.views.dashboard.frame import LIVE_SECONDS, LIVE_SHARE, FormRefused, Frame
from kernel.views.http.sessions import Visitor

# Where a button leads back to.
BACK = ("work_page", "overview")


@dataclass(frozen=True, slots=True)
class Work:
    """The work at a moment: tags and callers over a time, limits by tag, and the processes."""

    tags: list[Row]
    callers: list[Row]
    limits: Mapping[str, Standing]
    # Of orders: by what is paused (tag or caller), and its name.
    paused: Mapping[tuple[str, str], PauseShown]
    workers: Workers

    @property
    def hanging(self) -> list[tuple[ShownProcess, ShownRun]]:
        """The runs that hang, with their processes."""
        return [
            (process, run)
            for process in self.workers.processes
            for run in process.runs
            if run.hangs is not None
        ]


def worker_pages(frame: Frame) -> None:
    """Add the page, and its buttons, to ``frame``."""
    kernel = frame.kernel
    trends = Trends(kernel)
    found = SingleFlightCache[Work](LIVE_SECONDS, share=LIVE_SHARE)

    @frame.page("/work")
    def work_page(visitor: Visitor) -> Response:
        span = chosen_span()
        if flash.said(visitor):  # what a person has just asked for is to be seen at once
            found.forget(span)
        return frame.render(
            "dashboard/workers/page.html",
            work=found.get(partial(read_work, kernel, trends, span), span),
            span=span,
            spans=list(Span),
            counted=COUNTED,
            limit=LIMIT,
            times=TIMES,
        )

    @frame.change("/workers/drain")
    def drain_workers(visitor: Visitor) -> Response:
        seen = drain(kernel, _host(), frame.by(visitor))
        return frame.back(_back(), "done_drained" if seen else "done_drained_unknown")

    @frame.change("/workers/resume")
    def resume_workers(visitor: Visitor) -> Response:
        resume(kernel, _host(), frame.by(visitor))
        return frame.back(_back(), "done_host_resumed")

    @frame.change("/workers/<process_id>/terminate")
    def terminate_process(visitor: Visitor, process_id: str) -> Response:
        silent = is_silent(kernel, process_id)
        terminate(kernel, process_id, frame.by(visitor))
        said = "done_terminated_silent" if silent else "done_terminated"
        return frame.back("work_page", said)


def read_work(kernel: Kernel, trends: Trends, span: Span) -> Work:
    """Read it all. Raises the database's errors."""
    limits = {one.tag: one for one in standings(kernel)}
    tags = rows_of(kernel, trends, span, Kind.TAG)
    known = {one.part.name for one in tags}
    with kernel.read_session() as session:
        others = {*limits, *session.scalars(select(SelectTag.tag))} - known
    began_at = first_bin(span, kernel.clock.now())
    tags += [Row(Part(Kind.TAG, one), Tally(began_at), Now(), 1.0) for one in sorted(others)]
    callers = rows_of(kernel, trends, span, Kind.CALLER)
    return Work(tags, callers, limits, paused_orders(kernel), read_workers(kernel, trends))


def paused_orders(kernel: Kernel) -> dict[tuple[str, str], PauseShown]:
    """Return the pauses of orders, by what is paused (tag or caller) and its name."""
    with kernel.read_session() as session:
        found = [one for one in list_pauses(session) if one.is_of_orders]
    return {("tag" if one.tag is not None else "caller", one.name): one for one in found}


def chosen_span() -> Span:
    """Read the time that figures are of."""
    given = request.args.get("span", "")
    return Span(given) if given in set(Span) else Span.HOUR


def _host() -> str:
    host = request.form.get("host", "")
    if not 0 < len(host) <= 255:
        raise FormRefused.by_field({"host": "1 to 255 characters"})
    return host


def _back() -> str:
    asked = request.args.get("back", "")
    return asked if asked in BACK else "work_page"
