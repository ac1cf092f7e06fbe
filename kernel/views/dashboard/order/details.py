"""What the page of one order shows: its timeline, its steps, its callbacks and where they go."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session, defer

from kernel.callers.profile import CallbackProfile, profiles_of
from kernel.callers.receivers import Receiver, ShapeVersion, shape_at
from kernel.db.ids import ID
from kernel.db.states import DeliveryState, OrderState, Tone
from kernel.db.tables.callers import Caller
from kernel.db.tables.deliveries import Attempt, Delivery
from kernel.db.tables.gates import Has
from kernel.db.tables.orders import Order
from kernel.delivery.redeliver import list_attempts, list_deliveries
from kernel.errors import NotFound
from kernel.insight.failures.runs import runs_of
from kernel.insight.standing.as_sent import Replica, Request
from kernel.insight.standing.described import acts_of, acts_on
from kernel.insight.standing.facts import CallbackFacts
from kernel.insight.standing.look import Look
from kernel.insight.standing.sentences import Sentence, next_attempt, why_callback, why_work
from kernel.orders.gates.children import count_ended
from kernel.orders.gates.events import events_of
from kernel.orders.gates.shown import gate_shown
from kernel.orders.gates.waiting import gates_of
from kernel.orders.pages import LaneFilter, list_orders, orders_by_id
from kernel.runs.recorded import list_steps, rerun_of
from kernel.runtime.kernel import Kernel


@dataclass(frozen=True, slots=True)
class Event:
    """A line of the timeline; ``key`` is the end of its text's key."""

    at: datetime
    key: str
    tone: Tone = Tone.WAIT
    values: dict[str, Any] = field(default_factory=dict)
    said: str = ""
    # Why an attempt did not deliver.
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a delivery goes, and what it looks like there.

    ``receiver``: the one that matches now. ``version``: of the shape that was in force at the
    outcome, ``current`` of the one in force now; None is the default shape.
    """

    receiver: Receiver | None = None
    version: ShapeVersion | None = None
    current: ShapeVersion | None = None

    @property
    def is_current(self) -> bool:
        """Tell whether sending it again with the current shape would change nothing."""
        return self.version == self.current


@dataclass(frozen=True, slots=True)
class TriedDelivery:
    """A delivery with its attempts: how long the parts of each took, and what it sent.

    ``facts``: from which its sentence is made. ``request``: what the next attempt sends.
    """

    delivery: Delivery
    attempts: list[tuple[Attempt, dict[str, float], Request]]
    to: Destination
    facts: CallbackFacts
    request: Request

    @property
    def why(self) -> Sentence:
        """Why it stands as it does."""
        return why_callback(self.facts)


class Family:
    """An order's parent and children. Asks nothing of an order that has neither.

    ``counts``: of the children by their states; ``newest``: the rows of up to a page of them.
    """

    def __init__(self, session: Session, order: Order, gate: Mapping[str, Any]) -> None:
        self.parent_id: str | None = gate.get("parent")
        self.counts: Mapping[str, int] = gate.get("children", {})
        above = [] if self.parent_id is None else [self.parent_id]
        # None as well when it is no longer kept.
        self.parent = next(iter(orders_by_id(session, above)), None)
        below = LaneFilter(batch=order.id)
        self.newest = list_orders(session, None, below) if self.counts else []

    @property
    def total(self) -> int:
        """How many children there are."""
        return sum(self.counts.values())

    @property
    def ended(self) -> int:
        """How many of them have ended."""
        return count_ended(self.counts)


class OrderDetails:
    """All that the page shows of an order, read at one moment."""

    def __init__(self, kernel: Kernel, session: Session, order_id: str) -> None:
        late = (defer(Order.args), defer(Order.run_state))
        known = session.get(Order, order_id, options=late) if ID.fullmatch(order_id) else None
        if known is None:
            raise NotFound
        self.order = known
        self.gate = gate_shown(session, known)
        self.family = Family(session, known, self.gate)
        self.caller = session.get_one(Caller, known.caller_id)
        deliveries = list_deliveries(session, order_id)
        attempts = list_attempts(session, [one.id for one in deliveries])
        self.acts = acts_on(session, order_id)
        self.steps = list_steps(session, known)
        self.runs = runs_of(session, known)
        self.rerun_of = rerun_of(session, known)
        self.waits = gates_of(session, [known]).get(order_id)
        told = (known.gates or 0) & Has.EVENTS
        self.told = events_of(session, order_id) if told else []
        look = Look(kernel, session, known, self.gate)
        work = look.work()
        # Why its work stands as it does, and the pause that holds it.
        self.why, self.held = why_work(work), work.held
        profile = _profile(kernel, session, self.caller, deliveries)
        self.sent = []
        for one in deliveries:
            replica = Replica(known, one, profile, acts_of(self.acts, one.id))
            tried = [(each, _phases(each), replica.of(each)) for each in attempts[one.id]]
            to = _destination(profile, one)
            facts = look.callback(one)
            self.sent.append(TriedDelivery(one, tried, to, facts, replica.of()))
        self.why_callback = why_callback(look.callback(None))

    @property
    def over(self) -> bool:
        """Tell whether nothing will change any more by itself."""
        callbacks = all(DeliveryState(sent.delivery.state).is_over for sent in self.sent)
        ended = OrderState(self.order.state).is_final and self.family.ended == self.family.total
        return ended and bool(self.sent) and callbacks

    def timeline(self) -> list[Event]:
        """Return what happened, and what will, in the order of time."""
        order, state = self.order, OrderState(self.order.state)
        run, said = {"n": order.run}, order.message or ""
        is_due = order.run_after if state is OrderState.PENDING else None
        happened = [
            _event(order.created_at, "accepted"),
            _event(order.started_at, "started", Tone.RUN, values=run),
            _event(is_due, "due", values=run),
            _event(order.cancel_requested_at, "cancel"),
            _event(order.finished_at, "finished", state.tone, said=said),
            _event(None if self.waits is None else self.waits.waiting_since, "waits"),
            *(Event(one.told_at, "told", said=f"{one.name}, {one.told_by}") for one in self.told),
            *(event for sent in self.sent for event in _attempts(sent)),
            *(_act(one) for one in self.acts),
        ]
        return sorted((one for one in happened if one is not None), key=lambda one: one.at)


def _event(at: datetime | None, key: str, tone: Tone = Tone.WAIT, **more: Any) -> Event | None:
    """Make an event of a moment that an order may have."""
    return None if at is None else Event(at, key, tone, **more)


def _attempts(sent: TriedDelivery) -> list[Event]:
    events = []
    for attempt, _, _ in sent.attempts:
        said = "" if attempt.status is None else str(attempt.status)
        tone, number = Tone.BAD if attempt.reason else Tone.GOOD, {"n": attempt.number}
        happened = Event(attempt.started_at, "attempt", tone, number, said, attempt.reason)
        events.append(happened)
    following = next_attempt(sent.facts)
    if following is not None and not sent.facts.in_flight and following > sent.facts.now:
        events.append(Event(following, "next"))
    return events


def _act(act: Mapping[str, Any]) -> Event:
    """Return what a person did to the order, as a line of the timeline."""
    said = act["actor"] if act["reason"] is None else f"{act['actor']}: {act['reason']}"
    return Event(act["at"], "act", values={"verb": act["verb"]}, said=said)


def _phases(attempt: Attempt) -> dict[str, float]:
    found = json.loads(attempt.phases)
    return {str(name): float(ms) for name, ms in found.items()}


def _profile(
    kernel: Kernel, session: Session, caller: Caller, deliveries: Sequence[Delivery]
) -> CallbackProfile:
    """Return what the caller's callbacks are sent with now; nothing is asked where none is owed."""
    if not deliveries:
        return CallbackProfile()
    return profiles_of(session.connection(), [caller.id], kernel.clock.now())[caller.id]


def _destination(profile: CallbackProfile, delivery: Delivery) -> Destination:
    versions, url = profile.versions, delivery.url
    return Destination(
        profile.receiver_for(url),
        shape_at(versions, url, delivery.shapes_until),
        shape_at(versions, url, profile.shapes_until),
    )
