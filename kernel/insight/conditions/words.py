"""Conditions in words: the same sentence on the overview, in `kernel status` and in a message."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, ClassVar

from kernel.formats import durations
from kernel.formats.durations import Spans, plain
from kernel.insight.conditions.look import LIMIT
from kernel.insight.conditions.rules import Condition
from kernel.insight.conditions.texts import TEXTS

Values = dict[str, Any]


class Words(Spans):
    """The texts of conditions alone, for a process without pages."""

    texts: ClassVar = {**durations.TEXTS, **TEXTS}


def sentence(t: Spans, one: Condition, now: datetime) -> str:
    """Say what is wrong and why, in one line, as of ``now``. Hostile text is escaped."""
    made = _MADE.get(one.key, _as_they_are)(t, one, now)
    said = t(f"condition_{one.key}", **{name: plain(value) for name, value in made.items()})
    cause = f"cause_{one.key}_{one.cause}"
    gap = "" if t.language == "zh" else " "
    return f"{said}{gap}{t(cause)}" if one.cause and t.has(cause) else said


def mend(t: Spans, one: Condition) -> str:
    """Say what to do about it."""
    return t(f"mend_{one.key}")


def _as_they_are(_t: Spans, one: Condition, _now: datetime) -> Values:
    return {"subject": one.subject, **one.values}


def _due(t: Spans, one: Condition, _now: datetime) -> Values:
    found = one.values
    said = {"due": t.count(found["due"], LIMIT), "seconds": t.span(found["seconds"])}
    if one.key != "orders_wait":
        return said
    named = {name: found.get(name, "") for name in ("reference", "tag", "caller")}
    return said | {"first": t("orders_wait_first", **named) if "order_id" in found else ""}


def _failing(t: Spans, one: Condition, _now: datetime) -> Values:
    key, why = f"cause_{one.cause}", ""
    if one.cause:
        status = one.values["status"]
        cause = t(key, **({"status": status} if status else {})) if t.has(key) else one.cause
        why = t("receiver_failing_why", cause=cause, attempts=one.values["attempts"])
    return {"subject": one.subject, "why": why}


def _dead(t: Spans, one: Condition, _now: datetime) -> Values:
    key, why = f"died_{one.cause}", ""
    if one.cause:
        why = t("dead_callbacks_why", cause=t(key) if t.has(key) else one.cause)
    number = t.count(one.values["number"], LIMIT)
    return {"number": number, "origin": one.values["origin"], "why": why}


def _new_error(t: Spans, one: Condition, _now: datetime) -> Values:
    found = one.values
    where = t("new_error_place", place=found["place"]) if found["place"] else ""
    return {"tag": found["tag"], "what": found["what"], "where": where}


def _ending(t: Spans, one: Condition, now: datetime) -> Values:
    when = t.ago(one.values["ends_at"], now)
    named = {name: one.values[name] for name in ("name", "caller")}
    return named | {"ends": t(f"expiry_{one.cause}", when=when)}


def _paused(t: Spans, one: Condition, _now: datetime) -> Values:
    key, name = f"paused_{one.cause}", one.values["name"]
    by, until, why = (one.values.get(part) for part in ("by", "until", "why"))
    more = t("paused_by", name=by) if by else ""
    # The time itself, so that a page that is asked for again is the same.
    more += "" if until is None else t("paused_until", when=f"{until:%Y-%m-%d %H:%M} UTC")
    more += t("paused_why", why=why) if why else ""
    return {"what": t(key, name=name) if t.has(key) else one.subject, "more": more}


def _no_worker(t: Spans, one: Condition, _now: datetime) -> Values:
    return {"waiting": t.count(one.values["waiting"], LIMIT)}


_MADE: dict[str, Callable[[Spans, Condition, datetime], Values]] = {
    "orders_wait": _due,
    "callbacks_wait": _due,
    "receiver_failing": _failing,
    "dead_callbacks": _dead,
    "new_error": _new_error,
    "key_expires": _ending,
    "certificate_expires": _ending,
    "paused": _paused,
    "no_worker": _no_worker,
}
