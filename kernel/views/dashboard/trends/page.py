"""The page of trends: charts with their marks, and the parts of the work side by side."""

from dataclasses import dataclass
from functools import partial

from flask import Response, request

from kernel.insight.trends import changes
from kernel.insight.trends.marks import Marked, marks
from kernel.insight.trends.parts import COUNTED, Row, rows_of
from kernel.insight.trends.series import Span, Trends, first_bin
from kernel.insight.trends.shown import FIELDS, part_of
from kernel.insight.trends.tallies import EVERYTHING, Kind, Part
from kernel.runtime.kernel import Kernel
from kernel.runtime.single_flight import SingleFlightCache
from kernel.views.dashboard.frame import LIVE_SECONDS, LIVE_SHARE, Frame
from kernel.views.http.sessions import Visitor


@dataclass(frozen=True, slots=True)
class Compared:
    """The parts of each kind over one time, and what is marked in it."""

    rows: dict[Kind, list[Row]]
    marked: list[Marked]

    def parts(self, chosen: Part) -> dict[Kind, list[str]]:
        """Return the names to choose from, the chosen one among them."""
        found = {
            kind: sorted({one.part.name for one in rows} - {""}) for kind, rows in self.rows.items()
        }
        if chosen.name and chosen.name not in found[chosen.kind]:
            found[chosen.kind].insert(0, chosen.name)
        return found


def trend_pages(frame: Frame) -> None:
    """Add the page to ``frame``."""
    kernel = frame.kernel
    trends = Trends(kernel)
    found = SingleFlightCache[Compared](LIVE_SECONDS, share=LIVE_SHARE)

    @frame.page("/trends")
    def trends_page(visitor: Visitor) -> Response:
        given = request.args.get("span", "")
        span = Span(given) if given in set(Span) else Span.HOUR
        part, wrong = _chosen()
        trend = trends.read(span, part)
        compared = found.get(partial(compare, kernel, trends, span), span)
        return frame.render(
            "dashboard/trends.html",
            422 if wrong else 200,
            trend=trend,
            counters=changes.counters(trend),
            said=changes.said,
            said_change=changes.said_change,
            part=part,
            wrong=wrong,
            spans=list(Span),
            rows=compared.rows,
            marked=compared.marked,
            choices=compared.parts(part),
            counted=COUNTED,
        )


def compare(kernel: Kernel, trends: Trends, span: Span) -> Compared:
    """Read the parts of every kind, and the marks. Raises the database's errors."""
    rows = {kind: rows_of(kernel, trends, span, kind) for kind in FIELDS.values()}
    with kernel.read_session() as session:
        return Compared(rows, marks(session, first_bin(span, kernel.clock.now())))


def _chosen() -> tuple[Part, str]:
    """Read the part from `tag`, `caller`, `receiver`, `host`, or the form's `by`: KIND:NAME.

    Returns also what is wrong with it, in words.
    """
    kind, _, name = request.args.get("by", "").partition(":")
    fields = {kind: name} if kind in FIELDS else dict(request.args)
    try:
        return part_of(fields), ""
    except ValueError as error:
        return EVERYTHING, str(error)
