"""Trends as fields ask for them, and as programs are told of them: the same by API and command."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from kernel.formats.envelope import rfc3339
from kernel.formats.hosts import read_host
from kernel.insight.trends.durations import Durations
from kernel.insight.trends.marks import Marked
from kernel.insight.trends.parts import Row
from kernel.insight.trends.series import Span, Trend
from kernel.insight.trends.tallies import DURATIONS, EVERYTHING, Kind, Part, Tally
from kernel.transport.addresses import origin_of

# The fields that name a part, by its kind.
FIELDS = {"tag": Kind.TAG, "caller": Kind.CALLER, "receiver": Kind.RECEIVER, "host": Kind.HOST}
# By how lists of parts are asked for.
LISTS = {f"{name}s": kind for name, kind in FIELDS.items()}
COUNTED = ("accepted", "finished", "states", "attempts", "delivered", "dead", "reasons")


def part_of(fields: Mapping[str, str | None]) -> Part:
    """Return the part that one of the fields names; everything without one.

    A host may be written as ``name``, ``name:port`` or an origin; https is meant where none is
    said. Raises ValueError, in words, for two fields, and for what is no host or no name.
    """
    given = {name: value for name in FIELDS if (value := fields.get(name))}
    if not given:
        return EVERYTHING
    if len(given) > 1:
        raise ValueError(f"give one of {', '.join(given)}: each is counted by itself")
    ((name, value),) = given.items()
    if name != "host":
        # Others are not asked for: databases refuse to compare them with such a column.
        if not (value.isascii() and value.isprintable()):
            raise ValueError(f"no {name} has such a name: it is of visible ASCII characters")
        return Part(FIELDS[name], value)
    scheme, named, _ = value.strip().partition("://")
    found = origin_of(f"{scheme.lower() if named else 'https'}://{read_host(value)}")
    return Part(Kind.HOST, found)


def trend_data(trend: Trend, marked: list[Marked]) -> dict[str, Any]:
    """Return a series as JSON members; durations are in seconds."""
    return {
        "span": trend.span,
        "part": part_data(trend.part),
        "points": [asdict(one) | {"began_at": rfc3339(one.began_at)} for one in trend.points],
        "total": tally_data(trend.total),
        "before": tally_data(trend.before),
        "marks": [mark_data(one) for one in marked],
    }


def part_data(part: Part) -> dict[str, str]:
    """Return a part as JSON members; a name that is empty stands for the rest of its kind."""
    return {"kind": part.kind, "name": part.name}


def row_data(row: Row) -> dict[str, Any]:
    """Return a part over a time, and now, as JSON members."""
    at_once = None
    if row.now is not None:
        at_once = {
            "pending": row.now.pending,
            "running": row.now.running,
            "oldest_due_at": rfc3339(row.now.oldest),
        }
    growth = {"growth": round(row.growth, 2)}
    return part_data(row.part) | tally_data(row.total) | growth | {"now": at_once}


def tally_data(one: Tally) -> dict[str, Any]:
    """Return counts, and of each duration in seconds half and 95 %."""
    counts = {name: getattr(one, name) for name in COUNTED}
    return counts | {name: quantiles(getattr(one, name)) for name in DURATIONS}


def quantiles(found: Durations) -> dict[str, float | None]:
    """Return within how many seconds half and 95 % were; None where there was nothing."""
    shares = {"p50": found.percentile(0.5), "p95": found.percentile(0.95)}
    return {name: seconds and round(seconds, 4) for name, seconds in shares.items()}


def mark_data(one: Marked) -> dict[str, Any]:
    """Return a mark as JSON members."""
    return {
        "kind": one.sign,
        "at": rfc3339(one.at),
        "until": rfc3339(one.until),
        "subject": one.subject,
        "caller": one.caller,
        "by": one.by,
        "reason": one.reason,
    }


__all__ = [
    "FIELDS",
    "LISTS",
    "Span",
    "mark_data",
    "part_of",
    "row_data",
    "tally_data",
    "trend_data",
]
