"""Which runs take longer than they should: a process that hangs looks like one that works."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from kernel.insight.trends.series import Span, Trends
from kernel.insight.trends.tallies import Kind
from kernel.insight.workers.heartbeat import Running
from kernel.insight.workers.processes import Process

# A run hangs that takes this many times as long as 95 % of its tag's runs of the last day, and at
# least this many seconds: a few times nothing is nothing.
TIMES, LEAST_SECONDS = 3.0, 60.0
# And one that has used up this share of its time limit, also where nothing is known of others.
NEAR_LIMIT = 0.8


class Hangs(StrEnum):
    """Why a run is taken to hang. The names are on the wire."""

    # Its process has missed three heartbeats: its orders are taken over when their leases end.
    SILENT = "silent"
    LIMIT = "limit"
    LONG = "long"


def hangs(
    one: Running, process: Process, usual: Mapping[str, float], now: datetime
) -> Hangs | None:
    """Tell whether a run of ``process`` hangs, and why. ``usual``: see `usual_seconds`."""
    if not process.alive:
        return Hangs.SILENT
    if one.since is None:
        return None
    lasted = (now - one.since).total_seconds()
    if one.limit is not None and lasted > NEAR_LIMIT * one.limit:
        return Hangs.LIMIT
    expected = usual.get(one.tag)
    if expected is not None and lasted > max(LEAST_SECONDS, TIMES * expected):
        return Hangs.LONG
    return None


def usual_seconds(trends: Trends) -> dict[str, float]:
    """Return, by tag, within how many seconds 95 % of the last day's runs ended.

    Raises the database's errors.
    """
    parts = trends.by_part(Span.DAY, Kind.TAG)
    found = {part.name: tally.ran.percentile(0.95) for part, tally in parts.items() if part.name}
    return {tag: seconds for tag, seconds in found.items() if seconds is not None}
