"""The facts about one order's work and its callback, read from the rows in a few short questions.

What most orders have not is not asked for: an order that has succeeded, and whose callback was
delivered, costs nothing here. ``deep``: for operators, who are told of people, of processes and of
breakers.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from kernel.db.states import DeliveryState, OrderState
from kernel.db.tables.audit import ACTS
from kernel.db.tables.deliveries import ATTEMPTS, Delivery
from kernel.db.tables.gates import GATES, KEYS
from kernel.db.tables.operating.runs import RUNS
from kernel.db.tables.orders import NO_CALLBACK, ORDERS, Order
from kernel.db.tables.service import Worker
from kernel.delivery.breakers import OF_RECEIVER, ReceiverPath, Target
from kernel.insight.readiness import MISSED
from kernel.insight.standing.facts import CallbackFacts, Deed, Held, Named, OpenBreaker, WorkFacts
from kernel.orders.gates.keys import ORDERING_KEY
from kernel.orders.gates.waiting import gates_of
from kernel.pauses.adoption import ADOPT
from kernel.pauses.listing import PauseShown, holding_callback, holding_order, receiver_of
from kernel.pauses.orders import PREFIX as PAUSED
from kernel.runtime.kernel import Kernel

_LIVE = (DeliveryState.PENDING, DeliveryState.HELD)


@dataclass
class Look:
    """A look at one order in one session. ``gate``: what `kernel.orders.gates.shown` says of it.

    ``names_others``: whether another order of the same key is named.
    """

    kernel: Kernel
    session: Session
    order: Order
    gate: Mapping[str, Any]
    deep: bool = True
    names_others: bool = True

    @cached_property
    def now(self) -> datetime:
        """The time that the facts are of."""
        return self.kernel.clock.now()

    def work(self) -> WorkFacts:
        """Read the facts about the work."""
        order, gate = self.order, self.gate
        state = OrderState(order.state)
        waits = gates_of(self.session, [order]).get(order.id)
        waiting_for = None if waits is None else waits.waiting_for
        in_turn = self.names_others and waiting_for == ORDERING_KEY
        last = self._last_run() if state is OrderState.PENDING and order.run else None
        is_due = state is OrderState.PENDING and order.run_after <= self.now
        runs = state is OrderState.RUNNING and self.deep
        may_hold = (waiting_for or "").startswith(PAUSED) or (is_due and self.deep)
        return WorkFacts(
            now=self.now,
            state=state,
            run=order.run,
            run_after=order.run_after,
            not_before=order.not_before,
            started_at=order.started_at,
            finished_at=order.finished_at,
            lease_until=order.lease_until if runs else None,
            error_code=order.error_code,
            message=order.message,
            waiting_for=waiting_for,
            wakes_at=None if waits is None else waits.wakes_at,
            key=gate.get("ordering_key"),
            position=gate.get("position"),
            behind=self._holder() if in_turn else None,
            children=sum(
                number
                for name, number in gate.get("children", {}).items()
                if not OrderState(name).is_final
            ),
            held=self._held(holding_order(self.session, order)) if may_hold else None,
            process=self._process() if runs else "",
            last_end="" if last is None else last.how,
            last_reason="" if last is None else last.reason or "",
            workers=self._count("worker") if is_due and self.deep else None,
            cancel_requested_at=order.cancel_requested_at,
            cancelled=self._who_cancelled(state) if self.deep else None,
        )

    def callback(self, delivery: Delivery | None) -> CallbackFacts:
        """Read the facts about a callback; None: there is none, or not yet."""
        order = self.order
        wanted = order.callback_url != NO_CALLBACK
        ended = OrderState(order.state).is_final
        if delivery is None:
            return CallbackFacts(now=self.now, is_wanted=wanted, has_ended=ended)
        state, idle = DeliveryState(delivery.state), delivery.claim_token is None
        owed = state is DeliveryState.PENDING and idle
        asks = self.deep or state is not DeliveryState.DELIVERED
        last = self._last_attempt(delivery) if delivery.attempt and asks else None
        may_hold = state is DeliveryState.HELD or (owed and self.deep)
        return CallbackFacts(
            now=self.now,
            state=state,
            in_flight=state is DeliveryState.PENDING and not idle,
            next_attempt_at=delivery.next_attempt_at,
            tries=delivery.tries,
            attempt=delivery.attempt,
            finished_at=delivery.finished_at,
            died_of=delivery.died_of,
            reason=None if last is None else last.reason,
            status=None if last is None else last.status,
            held=self._held(holding_callback(self.session, delivery)) if may_hold else None,
            breaker=self._breaker(delivery) if owed and self.deep else None,
            senders=len(self._living) if owed and self.deep else None,
        )

    def _last_run(self) -> Any:
        ended = select(RUNS.c.how, RUNS.c.reason).where(
            RUNS.c.order_id == self.order.id, RUNS.c.run == self.order.run
        )
        return self.session.execute(ended).one_or_none()

    def _last_attempt(self, delivery: Delivery) -> Any:
        asked = select(ATTEMPTS.c.reason, ATTEMPTS.c.status)
        of = asked.where(ATTEMPTS.c.delivery_id == delivery.id)
        return self.session.execute(of.order_by(ATTEMPTS.c.id.desc()).limit(1)).one_or_none()

    def _holder(self) -> Named | None:
        """Return the order of the key whose turn it is."""
        asked = (
            select(ORDERS.c.id, ORDERS.c.reference)
            .join_from(GATES, KEYS, KEYS.c.ordering_key == GATES.c.ordering_key)
            .join(ORDERS, ORDERS.c.id == KEYS.c.holder)
            .where(GATES.c.order_id == self.order.id, KEYS.c.caller_id == self.order.caller_id)
        )
        found = self.session.execute(asked).one_or_none()
        return None if found is None else Named(found.id, found.reference)

    def _process(self) -> str:
        runner = self.order.runner
        found = self.session.get(Worker, runner) if runner else None
        return "" if found is None else f"{found.host}:{found.pid}"

    def _who_cancelled(self, state: OrderState) -> Deed | None:
        asked_for = self.order.cancel_requested_at is not None
        if state is not OrderState.CANCELLED and not asked_for:
            return None
        return last_act(self.session, f"order {self.order.id}", ["order.cancel"])

    def _held(self, pause: PauseShown | None) -> Held | None:
        """Return what is told of a pause; people are named to operators alone."""
        if pause is None:
            return None
        if pause.is_adoption:
            return Held(ADOPT, pause.name, pause.since)
        kind = "caller" if pause.orders_of is not None else pause.what.removesuffix("_id")
        who, why = (pause.by_whom, pause.why) if self.deep else (None, None)
        return Held(kind, pause.name, pause.since, who, why, pause.until)

    def _breaker(self, delivery: Delivery) -> OpenBreaker | None:
        """Return what the breakers for a callback's target say; None where one is closed."""
        targets = self._targets(delivery)
        is_open = [not targets.isdisjoint(one.broken.split()) for one in self._living]
        probes = [not targets.isdisjoint((one.probing or "").split()) for one in self._living]
        if not is_open or sum(is_open) + sum(probes) < len(self._living):
            return None
        return OpenBreaker(self.now if any(probes) else None)

    def _targets(self, delivery: Delivery) -> set[str]:
        """Return what the breakers that hold a callback up are called in rows of processes.

        Which receiver it goes to is asked only where a receiver's own breaker is not closed.
        """
        target = Target(delivery.caller_id, delivery.origin)
        found = {delivery.origin, str(target)}
        shut = " ".join(f"{one.broken} {one.probing or ''}" for one in self._living)
        if f"{delivery.origin}{OF_RECEIVER}" in shut:
            receiver = receiver_of(self.session, delivery)
            found |= set() if receiver is None else {str(ReceiverPath(target, receiver.id))}
        return found

    @cached_property
    def _living(self) -> Sequence[Any]:
        """The rows of the processes that count as alive; all of them send callbacks."""
        missed = timedelta(seconds=MISSED * self.kernel.settings.sweep_seconds)
        asked = select(Worker.kind, Worker.broken, Worker.probing)
        alive = asked.where(Worker.seen_at >= self.kernel.clock.sql(-missed))
        return self.session.execute(alive).all()

    def _count(self, kind: str) -> int:
        return sum(one.kind == kind for one in self._living)


def last_act(session: Session, target: str, verbs: Iterable[str]) -> Deed | None:
    """Return who did one of these to ``target`` last; None where no act is kept."""
    asked = select(ACTS.c.actor, ACTS.c.at, ACTS.c.reason, ACTS.c.via).where(
        ACTS.c.target == target, ACTS.c.verb.in_(list(verbs))
    )
    row = session.execute(asked.order_by(ACTS.c.id.desc()).limit(1)).one_or_none()
    return None if row is None else Deed(row.actor, row.at, row.reason, row.via)
