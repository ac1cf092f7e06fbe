"""The page of one order: what happened to it, what it holds, and what can be done about it."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flask import Response, request
from sqlalchemy.orm import Session, defer

from kernel.callers.identity import identity_of
from kernel.db.ids import ID
from kernel.db.states import DeliveryState, OrderState, Tone
from kernel.db.tables.callers import Caller
from kernel.db.tables.deliveries import Attempt, Delivery
from kernel.db.tables.orders import Order
from kernel.delivery.redeliver import list_attempts, list_deliveries, redeliver
from kernel.errors import InvalidOrder, NotFound
from kernel.formats.callback_headers import HeaderFacts, shown_headers
from kernel.formats.envelope import encode
from kernel.formats.signing import headers as signed_headers
from kernel.orders.cancel import cancel
from kernel.orders.pages import get_order
from kernel.orders.transitions import ending
from kernel.runtime.kernel import Kernel
from kernel.views.dashboard.frame import Frame
from kernel.views.html.rendering import beside, is_fragment
from kernel.views.http.requests import accept_again
from kernel.views.http.sessions import Visitor

# Longer texts are cut on the page; the rest is a page of its own.
SHOWN = 20_000
PLACEHOLDER = "YOUR_KEY"
# Parts of an order that can be long, by their names in addresses.
PARTS = {"arguments": Order.args, "result": Order.result}


@dataclass(frozen=True, slots=True)
class Event:
    """A line of the timeline; ``key`` is the end of its text's key."""

    at: datetime
    key: str
    tone: Tone = Tone.WAIT
    values: dict[str, Any] = field(default_factory=dict)
    said: str = ""


@dataclass(frozen=True, slots=True)
class TriedDelivery:
    """A delivery with its attempts, each with what was sent along."""

    delivery: Delivery
    attempts: list[tuple[Attempt, dict[str, float], list[tuple[str, str | None]]]]


class OrderDetails:
    """All that the page shows of an order, read at one moment."""

    def __init__(self, session: Session, order_id: str) -> None:
        late = (defer(Order.args), defer(Order.run_state))
        known = session.get(Order, order_id, options=late) if ID.fullmatch(order_id) else None
        if known is None:
            raise NotFound
        self.order = known
        self.caller = session.get_one(Caller, known.caller_id)
        deliveries = list_deliveries(session, order_id)
        attempts = list_attempts(session, [one.id for one in deliveries])
        names = sorted(json.loads(self.caller.headers))
        tried = {
            one: [(a, _phases(a), _headers(known, a, names)) for a in found]
            for one, found in attempts.items()
        }
        self.sent = [TriedDelivery(one, tried[one.id]) for one in deliveries]

    @property
    def over(self) -> bool:
        """Tell whether nothing will change any more by itself."""
        callbacks = all(DeliveryState(sent.delivery.state).is_over for sent in self.sent)
        return OrderState(self.order.state).is_final and bool(self.sent) and callbacks

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
            *(event for sent in self.sent for event in _attempts(sent)),
        ]
        return sorted((one for one in happened if one is not None), key=lambda one: one.at)


def _event(at: datetime | None, key: str, tone: Tone = Tone.WAIT, **more: Any) -> Event | None:
    """Make an event of a moment that an order may have."""
    return None if at is None else Event(at, key, tone, **more)


def _attempts(sent: TriedDelivery) -> list[Event]:
    events = []
    for attempt, _, _ in sent.attempts:
        said = " ".join(str(one) for one in (attempt.status, attempt.reason) if one is not None)
        tone = Tone.BAD if attempt.reason else Tone.GOOD
        events.append(Event(attempt.started_at, "attempt", tone, {"n": attempt.number}, said))
    if sent.delivery.state == DeliveryState.PENDING and sent.delivery.claim_token is None:
        events.append(Event(sent.delivery.next_attempt_at, "next"))
    return events


def _phases(attempt: Attempt) -> dict[str, float]:
    found = json.loads(attempt.phases)
    return {str(name): float(ms) for name, ms in found.items()}


def _headers(order: Order, attempt: Attempt, names: list[str]) -> list[tuple[str, str | None]]:
    """Return the headers an attempt was sent with; None for a value that is a secret.

    A caller's own headers are those it has now: their values were never stored with an attempt.
    Nor was the attempt's place in its trace.
    """
    signed = signed_headers((), attempt.delivery_id, int(attempt.started_at.timestamp()), b"")
    return shown_headers(HeaderFacts(order.request_id, None, signed), names)


class OrderViews:
    """The page of an order, its long parts and its buttons, of one dashboard."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._kernel = frame.kernel

    def order(self, visitor: Visitor, order_id: str) -> Response:
        """GET an order: all of it, or its live part."""
        with self._kernel.read_session() as session:
            page = OrderDetails(session, order_id)
            args = "" if is_fragment() else page.order.args
            members = _members(page.order, args) if 0 < len(args) <= SHOWN else None
            return self._frame.render(
                "dashboard/order.html",
                page=page,
                order=page.order,
                final=OrderState(page.order.state).is_final,
                args=args,
                shown=SHOWN,
                curl=None if members is None else _curl(self._kernel, members),
            )

    def order_part(self, visitor: Visitor, order_id: str, part: str) -> Response:
        """GET a long part of an order, as plain text."""
        with self._kernel.read_session() as session:
            found = getattr(get_order(session, None, order_id), PARTS[part].key)
        return Response(found or "", mimetype="text/plain")

    def cancel_order(self, visitor: Visitor, order_id: str) -> Response:
        """POST: cancel it, at once or at its next checkpoint."""
        if cancel(self._kernel, None, order_id) is not OrderState.CANCELLED:
            return self._frame.back("order", "done_cancel_asked", order_id=order_id)
        self._frame.hints.finished(order_id, ending(self._kernel, "cancelled"))
        return self._frame.back("order", "done_cancelled", order_id=order_id)

    def submit_again(self, visitor: Visitor, order_id: str) -> Response:
        """POST: a new order with the same body, of the same caller."""
        with self._kernel.read_session() as session:
            page = OrderDetails(session, order_id)
            who = identity_of(session, page.caller.name)
            members = _members(page.order, page.order.args)
        try:
            accepted = accept_again(self._kernel, who, members)
        except InvalidOrder as refused:
            refused.data["page"] = "order_invalid"
            raise
        self._frame.hints.hint([accepted.order_id])
        return self._frame.back("order", "done_submitted", order_id=accepted.order_id)

    def redeliver_callback(self, visitor: Visitor, order_id: str, delivery_id: str) -> Response:
        """POST: make a callback due now."""
        changed = redeliver(self._kernel, None, delivery_id)
        done = "done_redelivered" if changed else "done_in_flight"
        return self._frame.back("order", done, order_id=order_id)


def one_order_pages(frame: Frame) -> None:
    """Add the page of an order to ``frame``."""
    views = OrderViews(frame)
    frame.page("/orders/<order_id>")(views.order)
    frame.page("/orders/<order_id>/<any(arguments, result):part>")(views.order_part)
    frame.change("/orders/<order_id>/cancel")(views.cancel_order)
    frame.change("/orders/<order_id>/again")(views.submit_again)
    redelivery = "/orders/<order_id>/deliveries/<delivery_id>/redeliver"
    frame.change(redelivery)(views.redeliver_callback)


def _members(order: Order, args: str) -> dict[str, Any]:
    """Return the body that an order was submitted with."""
    named = {"select_tag": order.select_tag, "callback_url": order.callback_url}
    return {**named, **json.loads(args)}


def _curl(kernel: Kernel, members: Mapping[str, Any]) -> str:
    """Write an order as a line for a shell; the person who pastes it fills in the key."""
    path = beside("api.submit_order")
    base = kernel.settings.public_url or request.host_url
    words = [
        "curl",
        base.rstrip("/") + path,
        "-H",
        f"Authorization: Bearer {PLACEHOLDER}",
        "-H",
        "Content-Type: application/json",
        "-d",
        encode(members).decode(),
    ]
    return shlex.join(words)
