"""The page of an order, its long parts, and its buttons."""

import json
import shlex
from collections.abc import Callable, Mapping
from typing import Any

from flask import Response, request
from sqlalchemy import Connection

from kernel.callers.identity import identity_of
from kernel.callers.people.roles import Role
from kernel.db.states import OrderState
from kernel.db.tables.orders import Order
from kernel.delivery.redeliver import redeliver
from kernel.errors import InvalidOrder, NotFound
from kernel.formats.envelope import encode
from kernel.formats.representations import step_state
from kernel.insight.search.spans import queue_seconds, run_seconds
from kernel.insight.standing.described import described
from kernel.insight.standing.sentences import how_attempt_ended
from kernel.insight.standing.words import parts
from kernel.orders.cancel import cancel
from kernel.orders.ends.outbox import ending
from kernel.orders.pages import get_order
from kernel.orders.secrets.arguments import as_submitted
from kernel.orders.submit import Along
from kernel.orders.transitions import RunEnd
from kernel.runs.recorded import members_of, run_live_again, taking_over
from kernel.runs.reruns import note_rerun
from kernel.runtime.kernel import Kernel
from kernel.views.dashboard.frame import Frame
from kernel.views.dashboard.order.details import OrderDetails
from kernel.views.html.rendering import beside, is_fragment, published
from kernel.views.http.requests import REFERENCE_HEADER, accept_again
from kernel.views.http.sessions import Visitor

# Longer texts are cut on the page; the rest is a page of its own.
SHOWN = 20_000
# How much is shown of a step's result.
STEP_SHOWN = 500
PLACEHOLDER = "YOUR_KEY"
# Parts of an order that can be long, by their names in addresses.
PARTS = {"arguments": Order.args, "result": Order.result}


class OrderViews:
    """The page of an order, its long parts and its buttons, of one dashboard."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._kernel = frame.kernel

    def order(self, visitor: Visitor, order_id: str) -> Response:
        """GET an order: all of it, or its live part."""
        with self._kernel.read_session() as session:
            page = OrderDetails(self._kernel, session, order_id)
            args = "" if is_fragment() else page.order.args
            now = self._kernel.clock.now()
            curl = self._curl(page, args) if 0 < len(args) <= SHOWN else None
            return self._frame.render(
                "dashboard/order.html",
                page=page,
                order=page.order,
                final=OrderState(page.order.state).is_final,
                args=args,
                shown=SHOWN,
                step_shown=STEP_SHOWN,
                step_state=step_state,
                parts=parts,
                how_attempt_ended=how_attempt_ended,
                queued=queue_seconds(page.order, now),
                ran=run_seconds(page.order, now),
                tells_errors=visitor.role.includes(Role.OPERATOR),
                curl=curl,
            )

    def _members(self, page: OrderDetails, args: str) -> dict[str, Any]:
        handler = self._kernel.handlers.get(page.order.select_tag)
        return members_of(page.order, args, page.gate, handler)

    def _curl(self, page: OrderDetails, args: str) -> str:
        members, named = self._members(page, args), page.order.reference
        is_beside = named is not None and members.get("reference") != named
        return _curl(self._kernel, members, named if is_beside else None)

    def order_part(self, visitor: Visitor, order_id: str, part: str) -> Response:
        """GET a long part of an order, as plain text."""
        with self._kernel.read_session() as session:
            found = getattr(get_order(session, None, order_id), PARTS[part].key)
        return Response(found or "", mimetype="text/plain")

    def order_json(self, visitor: Visitor, order_id: str) -> Response:
        """GET an order as JSON, with what was sent and who did what: to keep, or to send on."""
        with self._kernel.read_session() as session:
            found = described(
                *(self._kernel, session, order_id),
                tells_errors=visitor.role.includes(Role.OPERATOR),
            )
        text = json.dumps(found, ensure_ascii=False, indent=2)
        answer = Response(text, mimetype="application/json")
        answer.headers["Content-Disposition"] = (
            f'attachment; filename="order-{found["order_id"]}.json"'
        )
        return answer

    def callback_body(self, visitor: Visitor, order_id: str, delivery_id: str) -> Response:
        """GET the body of a callback, as plain text."""
        with self._kernel.read_session() as session:
            sent = OrderDetails(self._kernel, session, order_id).sent
            found = next((one for one in sent if one.delivery.id == delivery_id), None)
        if found is None:
            raise NotFound
        return Response(found.request.text, mimetype="text/plain")

    def cancel_order(self, visitor: Visitor, order_id: str) -> Response:
        """POST: cancel it, at once or at its next checkpoint."""
        ends: list[RunEnd] = []
        state = cancel(self._kernel, None, order_id, by=self._frame.by(visitor), ends=ends)
        self._frame.hints.hint([one for end in ends for one in end.woken])
        if state is not OrderState.CANCELLED:
            return self._frame.back("order", "done_cancel_asked", order_id=order_id)
        self._frame.hints.finished(order_id, ending(self._kernel, "cancelled"))
        return self._frame.back("order", "done_cancelled", order_id=order_id)

    def submit_again(self, visitor: Visitor, order_id: str) -> Response:
        """POST: a new order with the same body, of the same caller."""
        by, now = self._frame.by(visitor), self._kernel.clock.sql()

        def along(connection: Connection, new_id: str) -> None:
            note_rerun(connection, order_id, new_id, now)
            by.record(connection, "order.rerun", f"order {order_id}", after={"order": new_id})

        return self._again(order_id, lambda _: along)

    def run_from_step(self, visitor: Visitor, order_id: str, number: int) -> Response:
        """POST: the order again from a step on: a new one if it has ended."""
        by = self._frame.by(visitor)
        if run_live_again(self._kernel, order_id, number, by):
            self._frame.hints.hint([order_id])
            return self._frame.back("order", "done_run_again", order_id=order_id)

        def taking(page: OrderDetails) -> Along:
            step = next(one for one in page.steps if one.number == number)
            return taking_over(self._kernel, page.order, page.steps, step, by)

        return self._again(order_id, taking)

    def _again(self, order_id: str, along: Callable[[OrderDetails], Along]) -> Response:
        """Submit an order once more; ``along`` says what goes into the commit."""
        with self._kernel.read_session() as session:
            page = OrderDetails(self._kernel, session, order_id)
            who = identity_of(session, page.caller.name)
            members = self._members(page, as_submitted(self._kernel, page.order))
        given = (self._kernel, who, members, page.order, along(page))
        try:
            accepted = accept_again(*given)
        except InvalidOrder as refused:
            refused.data["page"] = "order_invalid"
            raise
        self._frame.hints.hint(accepted.hints)
        return self._frame.back("order", "done_submitted", order_id=accepted.order_id)

    def redeliver_callback(self, visitor: Visitor, order_id: str, delivery_id: str) -> Response:
        """POST: make a callback due now, as it was or with the shape of now."""
        reshaped = "current_shape" in request.args
        by = self._frame.by(visitor)
        changed = redeliver(self._kernel, None, delivery_id, with_current_shape=reshaped, by=by)
        done = "done_redelivered" if changed else "done_in_flight"
        return self._frame.back("order", done, order_id=order_id)


def one_order_pages(frame: Frame) -> None:
    """Add the page of an order to ``frame``."""
    views = OrderViews(frame)
    frame.page("/orders/<order_id>")(views.order)
    frame.page("/orders/<order_id>/<any(arguments, result):part>")(views.order_part)
    frame.page("/orders/<order_id>/json")(views.order_json)
    frame.page("/orders/<order_id>/deliveries/<delivery_id>/body")(views.callback_body)
    frame.change("/orders/<order_id>/cancel")(views.cancel_order)
    frame.change("/orders/<order_id>/again")(views.submit_again)
    frame.change("/orders/<order_id>/steps/<int:number>/again")(views.run_from_step)
    redelivery = "/orders/<order_id>/deliveries/<delivery_id>/redeliver"
    frame.change(redelivery)(views.redeliver_callback)


def _curl(kernel: Kernel, members: Mapping[str, Any], reference: str | None) -> str:
    """Write an order as a line for a shell; the person who pastes it fills in the key.

    ``reference``: where the members do not have it.
    """
    path = beside("api.submit_order")
    public_url = kernel.settings.public_url
    words = [
        "curl",
        published(public_url, path) if public_url else request.host_url.rstrip("/") + path,
        "-H",
        f"Authorization: Bearer {PLACEHOLDER}",
        "-H",
        "Content-Type: application/json",
        *([] if reference is None else ["-H", f"{REFERENCE_HEADER}: {reference}"]),
        "-d",
        encode(members).decode(),
    ]
    return shlex.join(words)
