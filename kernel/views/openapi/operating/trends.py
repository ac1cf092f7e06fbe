"""The operations of `/v1/trends`, and the shapes of their answers."""

from typing import Annotated, Any, Literal

from pydantic import Field
from typing_extensions import TypedDict

from kernel.insight.trends.marks import Sign
from kernel.insight.trends.series import Span
from kernel.insight.trends.shown import FIELDS, LISTS
from kernel.views.openapi.answers import CLOSED, Moment
from kernel.views.openapi.parts import DONE, answer, operation

SpanWord = Literal["hour", "day", "week"]
KindWord = Literal["all", "tag", "caller", "receiver", "host"]
Seconds = Annotated[float | None, Field(description="seconds; null: there was nothing")]
PerMinute = Annotated[float, Field(description="per minute")]


@CLOSED
class Quantiles(TypedDict):
    """Within how many seconds half and 95 % were."""

    p50: Seconds
    p95: Seconds


@CLOSED
class TrendPart(TypedDict):
    """All work (kind `all`), or a tag, caller, receiver or host; an empty name: the others."""

    kind: KindWord
    name: str


class TrendCounts(TypedDict):
    """What was counted over a time. Durations and parts may be estimated from a sample."""

    accepted: int
    finished: int
    states: Annotated[dict[str, int], Field(description="orders that ended, by state")]
    attempts: int
    delivered: int
    dead: Annotated[int, Field(description="callbacks given up")]
    reasons: Annotated[dict[str, int], Field(description="attempts that failed, by reason")]
    took: Annotated[Quantiles, Field(description="from acceptance to the end")]
    queued: Annotated[Quantiles, Field(description="from due to the beginning of the last run")]
    ran: Annotated[Quantiles, Field(description="from there to the end")]
    delivered_in: Annotated[Quantiles, Field(description="from owed to delivered")]
    answered_in: Annotated[Quantiles, Field(description="of each attempt")]


@CLOSED
class TrendTotal(TrendCounts):
    """What was counted over a time."""


@CLOSED
class TrendPoint(TypedDict):
    """A minute, a quarter of an hour or an hour."""

    began_at: Moment
    accepted: PerMinute
    finished: PerMinute
    failed: PerMinute
    p50: Seconds
    p95: Seconds
    queued_p50: Seconds
    queued_p95: Seconds
    ran_p50: Seconds
    ran_p95: Seconds
    delivered_p50: Seconds
    delivered_p95: Seconds
    attempts: int
    success: Annotated[float | None, Field(description="share of attempts that delivered")]


@CLOSED
class TrendMark(TypedDict):
    """A start with its version, what people paused or drained, or a breaker that was open."""

    kind: Sign
    at: Moment
    until: Moment | None
    subject: str
    caller: str | None
    by: str | None
    reason: str | None


@CLOSED
class Trend(TypedDict):
    """A series, oldest point first; `before`: the time as long before it."""

    span: SpanWord
    part: TrendPart
    points: list[TrendPoint]
    total: TrendTotal
    before: TrendTotal
    marks: list[TrendMark]


@CLOSED
class PartNow(TypedDict):
    """What a tag or a caller has now; pending up to 1,000."""

    pending: int
    running: int
    oldest_due_at: Moment | None


@CLOSED
class TrendRow(TrendCounts):
    """A part over a time, and now; `growth`: orders a minute accepted beyond those that ended."""

    kind: KindWord
    name: str
    growth: float
    now: PartNow | None


@CLOSED
class TrendParts(TypedDict):
    """The parts of a kind, those with most pending orders first."""

    span: SpanWord
    parts: list[TrendRow]


TREND_ANSWERS = (Trend, TrendParts)


def trend_operations() -> dict[str, Any]:
    """Return the paths, with their methods."""
    span = _query("span", "what time it covers", {"enum": list(Span), "default": Span.HOUR})
    named = [_query(name, f"of this {name} alone", {"type": "string"}) for name in FIELDS]
    kinds = {"name": "kinds", "in": "path", "required": True, "schema": {"enum": list(LISTS)}}
    return {
        "/v1/trends": {
            "get": operation(
                *("showTrend", "How it went over an hour, a day or a week (operator)"),
                {200: answer("a series, and marks", DONE, "Trend")},
                (422,),
                parameters=[span, *named],
            ),
        },
        "/v1/trends/{kinds}": {
            "get": operation(
                *("showTrendParts", "Tags, callers, receivers or hosts compared (operator)"),
                {200: answer("all that has a row", DONE, "TrendParts")},
                (404, 422),
                parameters=[kinds, span],
            ),
        },
    }


def _query(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema}
