"""`kernel trends`: how it went over an hour, a day or a week, of all work or of a part of it."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import click

from kernel.cli.opening import opened
from kernel.cli.terminal.output import as_json, print_json, print_table, utc
from kernel.insight.trends.durations import Durations
from kernel.insight.trends.marks import Marked, Sign, marks
from kernel.insight.trends.parts import COUNTED, Row, rows_of
from kernel.insight.trends.series import Span, Trend, Trends, first_bin
from kernel.insight.trends.shown import FIELDS, part_of, row_data, trend_data
from kernel.insight.trends.tallies import Kind, Tally
from kernel.views.html.wording import Wording

words = Wording("en")
with_span = click.option(
    "--span", type=click.Choice([str(one) for one in Span]), default="hour", show_default=True
)
# What a person did with what is marked.
_DONE = {
    Sign.PAUSE: "paused",
    Sign.RESUME: "resumed",
    Sign.DRAIN: "drained",
    Sign.TERMINATE: "terminated",
}
# Lines of a table: the newest points.
LINES = 24


@click.command()
@with_span
@click.option("--tag", help="Orders with this select_tag alone, and their callbacks.")
@click.option("--caller", help="Of this caller alone.")
@click.option("--receiver", metavar="CALLER/NAME", help="Callbacks to this receiver alone.")
@click.option("--host", help="Callbacks to this host alone: name, name:port or an origin.")
@click.option(
    "--by", type=click.Choice(list(FIELDS)), help="Compare tags, callers, receivers or hosts."
)
@as_json
def trends(span: str, by: str | None, machine: bool, **part: str | None) -> None:
    """Show orders, times and callbacks over the last hour, day or week.

    \b
    kernel trends --span day --tag create_project
    kernel trends --by tag            which tag grows the queue
    kernel trends --by receiver --span week --json
    """
    try:
        of = part_of(part)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if by and of.kind is not Kind.ALL:
        raise click.UsageError("--by compares all of a kind: leave the other options out")
    with opened() as kernel:
        series, over = Trends(kernel), Span(span)
        if by:
            print_parts(rows_of(kernel, series, over, FIELDS[by]), machine)
            return
        trend = series.read(over, of)
        with kernel.read_session() as session:
            marked = marks(session, first_bin(over, kernel.clock.now()))
    if machine:
        print_json(trend_data(trend, marked))
    else:
        _print_trend(trend, marked)


def print_parts(found: list[Row], machine: bool) -> None:
    """Print parts side by side: those with most pending orders first."""
    if machine:
        print_json([row_data(one) for one in found])
        return
    has_orders = any(one.now is not None for one in found)
    print_table([_orders(one) if has_orders else _callbacks(one) for one in found], "no data yet")


def _orders(row: Row) -> dict[str, Any]:
    at_once = row.now
    return {
        row.part.kind: row.part.name or "(others)",
        "pending": None if at_once is None else words.count(at_once.pending, COUNTED),
        "due since": _time(None if at_once is None else at_once.oldest),
        "running": None if at_once is None else at_once.running,
        "growth/min": f"{row.growth:+.1f}",
        "accepted": row.total.accepted,
        "failed": row.total.failed,
        "queue p50/p95": _within(row.total.queued),
        "run p50/p95": _within(row.total.ran),
    }


def _callbacks(row: Row) -> dict[str, Any]:
    reasons = sorted(row.total.reasons.items(), key=lambda one: -one[1])
    return {
        row.part.kind: row.part.name or "(others)",
        "attempts": row.total.attempts,
        "delivered": _share(row.total),
        "dead": row.total.dead,
        "delivered in p50/p95": _within(row.total.delivered_in),
        "answered in p50/p95": _within(row.total.answered_in),
        "failed by": ", ".join(f"{reason} {count}" for reason, count in reasons) or None,
    }


def _print_trend(trend: Trend, marked: list[Marked]) -> None:
    print_table(list(_lines(trend)), "no data yet")
    click.echo(f"the newest {LINES} of {len(trend.points)} points; --json has all")
    total, before = trend.total, trend.before
    click.echo(
        f"accepted {total.accepted} (before: {before.accepted}), finished {total.finished}"
        f" ({before.finished}), failed {total.failed} ({before.failed}), callbacks dead"
        f" {total.dead} ({before.dead})"
    )
    for one in marked:
        click.echo(f"{utc(one.at)}  {_said(one)}")


def _lines(trend: Trend) -> Iterator[dict[str, Any]]:
    """Yield the newest points; minutes are UTC."""
    written = "%m-%d %H:%M" if trend.span is not Span.HOUR else "%H:%M"
    for one in trend.points[-LINES:]:
        yield {
            "UTC": one.began_at.strftime(written),
            "accepted/min": f"{one.accepted:.1f}",
            "finished/min": f"{one.finished:.1f}",
            "failed/min": f"{one.failed:.1f}",
            "queue p50/p95": _pair(one.queued_p50, one.queued_p95),
            "run p50/p95": _pair(one.ran_p50, one.ran_p95),
            "attempts": one.attempts,
            "delivered": None if one.success is None else f"{one.success:.0%}",
        }


def _said(one: Marked) -> str:
    """Say what is marked in a line."""
    if one.sign is Sign.START:
        return f"kernel {one.subject} started"
    if one.sign is Sign.BREAKER:
        ended = "failing still" if one.until is None else f"failing until {utc(one.until)}"
        return f"{one.subject}{f' for {one.caller}' if one.caller else ''}: {ended}"
    done = _DONE[one.sign]
    return f"{one.subject} {done} by {one.by}{f': {one.reason}' if one.reason else ''}"


def _share(total: Tally) -> str | None:
    return None if total.success is None else f"{total.success:.1%}"


def _within(found: Durations) -> str | None:
    return _pair(found.percentile(0.5), found.percentile(0.95))


def _pair(half: float | None, most: float | None) -> str | None:
    return None if half is None or most is None else f"{words.span(half)} / {words.span(most)}"


def _time(at: datetime | None) -> str | None:
    return None if at is None else utc(at)
