"""Counters of an hour, a day or a week, and how they have changed against the time before it.

The same for the overview, `kernel status` and `kernel top`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kernel.db.states import OrderState, Tone
from kernel.formats.durations import Spans
from kernel.formats.texts import Language
from kernel.insight.trends.series import Trend
from kernel.insight.trends.tallies import Tally

# From this on a growth is said as a multiple.
TIMES = 10
TEXTS: dict[str, dict[Language, str]] = {
    "window_hour": {"en": "last hour", "zh": "最近一小时"},
    "window_day": {"en": "last 24 h", "zh": "最近 24 小时"},
    "window_week": {"en": "last 7 days", "zh": "最近 7 天"},
    "counter_accepted": {"en": "accepted", "zh": "受理"},
    "counter_success": {"en": "success", "zh": "成功"},
    "counter_warning": {"en": "warning", "zh": "部分成功"},
    "counter_failed": {"en": "failed", "zh": "失败"},
    "counter_cancelled": {"en": "cancelled", "zh": "已取消"},
    "counter_p95": {"en": "p95 to outcome", "zh": "完成耗时 p95"},
    "counter_delivered": {"en": "callbacks delivered", "zh": "已送达回调"},
    "counter_dead": {"en": "callbacks dead", "zh": "已放弃回调"},
    "changed": {"en": "{change} from {before}", "zh": "{change}（此前 {before}）"},
    "changed_from_none": {"en": "from {before}", "zh": "此前 {before}"},
    "unchanged": {"en": "no change", "zh": "无变化"},
}


@dataclass(frozen=True, slots=True)
class Counter:
    """One number of a window.

    ``before``: the same of the window before; None where no row reaches back to its beginning, or
    nothing was there to measure. ``seconds``: whether it is a duration.
    """

    key: str
    now: float | None
    before: float | None
    tone: Tone
    seconds: bool = False

    @property
    def change(self) -> float | None:
        """The growth: 0.5 for half as much again; None where there is nothing to grow from."""
        return self.now / self.before - 1 if self.now is not None and self.before else None


def counters(trend: Trend) -> list[Counter]:
    """Return the counters of a series, in the order in which they are shown."""
    found = []
    for key, (tone, read) in _READ.items():
        before = read(trend.before) if trend.is_compared else None
        found.append(Counter(key, read(trend.total), before, tone, seconds=key == "p95"))
    return found


def said(t: Spans, one: Counter) -> str:
    """Say the number itself."""
    return _written(t, one, one.now)


def said_change(t: Spans, one: Counter) -> str:
    """Say how it has changed; "" where that is not known."""
    if one.now is None or one.before is None:
        return ""
    before = _written(t, one, one.before)
    if one.now == one.before:
        return t("unchanged")
    if one.change is None:
        return t("changed_from_none", before=before)
    return t("changed", change=_grown(one.change), before=before)


def in_brief(t: Spans, one: Counter) -> str:
    """Say the number and by how much it has grown, for a line with many of them."""
    grown = "" if one.change is None or one.now == one.before else f" ({_grown(one.change)})"
    return f"{t(f'counter_{one.key}')} {said(t, one)}{grown}"


def as_data(trend: Trend) -> dict[str, Any]:
    """Return the counters as JSON members; durations are in seconds."""
    return {"span": trend.span} | {
        one.key: {"now": one.now, "before": one.before} for one in counters(trend)
    }


def _grown(change: float) -> str:
    grown = f"×{change + 1:.0f}" if change >= TIMES else f"{change:+.0%}"
    return grown.replace("-", "−")


def _written(t: Spans, one: Counter, value: float | None) -> str:
    if value is None:
        return "–"
    return t.span(value) if one.seconds else f"{value:,}"


def _ended(state: OrderState) -> Callable[[Tally], float]:
    return lambda tally: tally.states.get(state, 0)


_READ: dict[str, tuple[Tone, Callable[[Tally], float | None]]] = {
    "accepted": (Tone.RUN, lambda tally: tally.accepted),
    **{state: (state.tone, _ended(state)) for state in OrderState if state.is_final},
    "p95": (Tone.WAIT, lambda tally: tally.took.percentile(0.95)),
    "delivered": (Tone.GOOD, lambda tally: tally.delivered),
    "dead": (Tone.BAD, lambda tally: tally.dead),
}
