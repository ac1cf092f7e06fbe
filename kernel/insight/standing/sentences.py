"""One sentence why work, or a callback, stands as it does. Pure: no I/O, no clock of its own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from kernel.db.states import DeliveryState, OrderState
from kernel.delivery.breakers import LONGEST_PAUSE_SECONDS
from kernel.handlers.events import CHILDREN, EVENT
from kernel.insight.standing.facts import CallbackFacts, Deed, Held, WorkFacts
from kernel.orders.gates.keys import ORDERING_KEY
from kernel.orders.gates.limits.known import PREFIX, place_of
from kernel.pauses.orders import PREFIX as PAUSED


@dataclass(frozen=True, slots=True)
class Sentence:
    """A text by its key, and what stands at its places.

    A moment is shown as such, a `Named` order leads to its page, another sentence is a part of this
    one, and "" leaves its place empty.
    """

    key: str
    values: Mapping[str, Any] = field(default_factory=dict)


def _say(key: str, /, **values: Any) -> Sentence:
    return Sentence(key, values)


def _part(key: str, /, **values: Any) -> "Sentence | str":
    """Return a part of a sentence; nothing where one of its values is missing."""
    return Sentence(key, values) if all(one not in (None, "") for one in values.values()) else ""


# ---- Work --------------------------------------------------------------------------------------


def why_work(facts: WorkFacts) -> Sentence:
    """Say why an order's work stands as it does."""
    return _WORK[OrderState(facts.state)](facts)


def _pending(facts: WorkFacts) -> Sentence:
    due = facts.run_after
    if facts.held is not None:
        return _paused_work(facts, f"{facts.held.kind}:")
    if due <= facts.now:
        return _say("why_no_worker" if facts.workers == 0 else "why_due", since=due)
    if facts.run == 0 and facts.not_before == due:
        return _say("why_not_before", opens=due)
    if facts.last_end not in _AGAIN:
        return _say("why_later", next=due)
    said = _part("why_said", said=facts.last_reason)
    return _say("why_again", cause=_say(f"why_how_{facts.last_end}", said=said), next=due)


# How runs end that are followed by another one after a while.
_AGAIN = frozenset({"retry", "died", "terminated", "broken", "timed_out", "stopping", "not_begun"})


def _waiting(facts: WorkFacts) -> Sentence:
    what = facts.waiting_for or ""
    if what == CHILDREN:
        key = "why_child" if facts.children == 1 else "why_children"
        return _say(key, n=facts.children, until=_until(facts.wakes_at))
    if what.startswith(EVENT):
        names = what.removeprefix(EVENT)
        return _say("why_event", name=names, until=_until(facts.wakes_at))
    if what.startswith(PAUSED):
        return _paused_work(facts, what.removeprefix(PAUSED))
    return _in_line(facts, what)


def _in_line(facts: WorkFacts, what: str) -> Sentence:
    """Say behind what an order lines up; of what a newer release knows, its name."""
    if what.startswith(PREFIX):
        at = place_of(what)
        return _say("why_slot", tag=at.tag, value=_part("why_value", value=at.value))
    if what != ORDERING_KEY:
        return _say("why_waits", what=what or "?")
    place = "" if facts.position in (None, 1) else _say("why_place", n=facts.position)
    if facts.behind is None:
        return _say("why_turn", key=facts.key or "", place=place)
    return _say("why_behind", order=facts.behind, key=facts.key or "", place=place)


def _paused_work(facts: WorkFacts, what: str) -> Sentence:
    """Say what is paused; ``what``: ``tag:NAME`` or ``caller:ID``."""
    kind, _, name = what.partition(":")
    name = name if facts.held is None else facts.held.name
    key = f"why_paused_{kind}"
    if key not in ("why_paused_tag", "why_paused_caller"):
        return _say("why_waits", what=PAUSED + what)
    return _say(key, name=name, told=_told(facts.held))


def _running(facts: WorkFacts) -> Sentence:
    if facts.cancel_requested_at is not None:
        return _say("why_cancel_asked", at=facts.cancel_requested_at, told=_done(facts.cancelled))
    if facts.lease_until is not None and facts.lease_until < facts.now:
        return _say("why_silent", since=facts.started_at or facts.now, lease=facts.lease_until)
    where = _part("why_process", process=facts.process)
    run = _say("why_run", n=facts.run) if facts.run > 1 else ""
    return _say("why_running", since=facts.started_at or facts.now, run=run, process=where)


def _ended(facts: WorkFacts) -> Sentence:
    at = facts.finished_at or facts.now
    if facts.state == OrderState.CANCELLED:
        return _say("why_cancelled", at=at, told=_done(facts.cancelled))
    if facts.state == OrderState.SUCCESS:
        return _say("why_success", at=at)
    said = _part("why_said", said=facts.message)
    if facts.state == OrderState.WARNING:
        return _say("why_warning", at=at, said=said)
    return _say("why_failed", at=at, code=facts.error_code or "?", said=said)


_WORK: Mapping[OrderState, Callable[[WorkFacts], Sentence]] = {
    OrderState.PENDING: _pending,
    OrderState.WAITING: _waiting,
    OrderState.RUNNING: _running,
    OrderState.SUCCESS: _ended,
    OrderState.WARNING: _ended,
    OrderState.FAILED: _ended,
    OrderState.CANCELLED: _ended,
}


# ---- The callback ------------------------------------------------------------------------------


def why_callback(facts: CallbackFacts) -> Sentence:
    """Say why an order's callback stands as it does."""
    if facts.state is None:
        if not facts.is_wanted:
            return _say("why_callback_none")
        return _say("why_callback_missing" if facts.has_ended else "why_callback_later")
    return _CALLBACK[DeliveryState(facts.state)](facts)


LONGEST_PAUSE = timedelta(seconds=LONGEST_PAUSE_SECONDS)


def next_attempt(facts: CallbackFacts) -> datetime | None:
    """Return when the next attempt can be made at the earliest; None where that is not known.

    Never a moment that is past: what is due is made as soon as nothing stands in its way. A pause
    has no end that is known, and a breaker that is open lets nothing through before it probes.
    """
    due = facts.next_attempt_at
    if facts.state != DeliveryState.PENDING or due is None or facts.held is not None:
        return None
    probes = facts.now if facts.breaker is None else facts.breaker.probes_at
    if probes is None:  # it does within its longest pause, so what is due later waits for no probe
        return due if due > facts.now + LONGEST_PAUSE else None
    return max(due, probes, facts.now)


def _owed(facts: CallbackFacts) -> Sentence:
    due = facts.next_attempt_at or facts.now
    if facts.in_flight:
        key = "why_callback_in_flight" if due > facts.now else "why_callback_lost"
        return _say(key, n=facts.attempt)
    if facts.held is not None:
        return _held(facts)
    if facts.senders == 0:
        return _say("why_callback_no_sender")
    if facts.tries == 0 and facts.breaker is None:
        put_off = due > facts.now
        return _say("why_callback_put_off", next=due) if put_off else _say("why_callback_due")
    return _failing(facts, due)


def _failing(facts: CallbackFacts, due: datetime) -> Sentence:
    key = "why_attempt" if facts.tries == 1 else "why_attempts"
    values = {"cause": _cause(facts), "attempts": _say(key, n=facts.tries)}
    following = next_attempt(facts)
    if facts.breaker is None:
        if due <= facts.now:
            return _say("why_callback_again", **values)
        return _say("why_callback_failing", **values, next=due)
    if following is None:
        return _say("why_callback_open", **values)
    if following <= facts.now:
        return _say("why_callback_probing", **values)
    probes = facts.breaker.probes_at
    key = "why_callback_breaker" if following == probes else "why_callback_failing"
    return _say(key, **values, next=following)


def _held(facts: CallbackFacts) -> Sentence:
    held = facts.held
    if held is None:
        return _say("why_callback_released")
    key = f"why_held_{held.kind}"
    return _say(key if key in _HELD else "why_held_other", name=held.name, told=_told(held))


_HELD = frozenset({"why_held_host", "why_held_caller", "why_held_receiver", "why_held_adopt"})


def _delivered(facts: CallbackFacts) -> Sentence:
    answer = _part("why_answered", status=facts.status)
    at = facts.finished_at or facts.now
    return _say("why_callback_delivered", at=at, n=facts.attempt, answer=answer)


def _dead(facts: CallbackFacts) -> Sentence:
    died = _say(f"died_{facts.died_of}") if facts.died_of else _say("why_died_unknown")
    last = _say("why_last_answer", cause=_cause(facts)) if facts.reason else ""
    return _say("why_callback_dead", at=facts.finished_at or facts.now, died=died, last=last)


_CALLBACK: Mapping[DeliveryState, Callable[[CallbackFacts], Sentence]] = {
    DeliveryState.PENDING: _owed,
    DeliveryState.HELD: _held,
    DeliveryState.DELIVERED: _delivered,
    DeliveryState.DEAD: _dead,
}


# ---- Parts -------------------------------------------------------------------------------------


def how_attempt_ended(reason: str | None, status: int | None) -> Sentence:
    """Say what an attempt ended with."""
    if reason is None:
        return _say("why_took", status=_part("why_status", status=status))
    # A reason of the status says it; any other one stands beside it.
    beside = "" if reason.startswith("http_") else _part("why_status", status=status)
    return _say("why_reason", cause=_say(f"cause_{reason}", status=status or "?"), status=beside)


def _cause(facts: CallbackFacts) -> Sentence | str:
    if facts.reason is None:
        return _say("why_cause_unknown")
    return _say(f"cause_{facts.reason}", status=facts.status or "?")


def _until(moment: datetime | None) -> Sentence | str:
    return _part("why_until", until=moment)


def _told(held: Held | None) -> Sentence | str:
    """Return since when something is paused, by whom, why, and until when."""
    if held is None:
        return ""
    by, said = _part("why_by", who=held.who), _part("why_said", said=held.reason)
    return _say("why_since", since=held.since, by=by, said=said, until=_until(held.until))


def _done(deed: Deed | None) -> Sentence | str:
    """Return who did something, and why."""
    if deed is None:
        return ""
    said = _part("why_said", said=deed.reason)
    if deed.via == "system":
        return _say("why_with_parent", said=said)
    return _say("why_by_and_why", by=_say("why_by", who=deed.who), said=said)
