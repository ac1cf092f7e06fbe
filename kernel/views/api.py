"""The API under /v1: orders and their deliveries.

``celery -A kernel.views.api worker`` finds its application here, as in the original system.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from flask import Blueprint, Response, request
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session
from werkzeug.exceptions import MethodNotAllowed

from kernel.callers.identity import Identity, Scope
from kernel.db.states import OrderState
from kernel.db.tables.orders import Order
from kernel.delivery.redeliver import get_delivery, list_attempts, list_deliveries, redeliver
from kernel.errors import NotFound
from kernel.formats.envelope import envelope
from kernel.formats.representations import (
    attempt_data,
    delivery_data,
    order_envelope,
)
from kernel.formats.texts import text
from kernel.insight.standing.described import explain
from kernel.insight.standing.look import Look
from kernel.insight.standing.sentences import why_callback
from kernel.insight.standing.words import Words, said
from kernel.orders.cancel import cancel
from kernel.orders.ends.outbox import ending
from kernel.orders.gates.shown import gate_shown
from kernel.orders.pages import get_order
from kernel.orders.transitions import RunEnd
from kernel.runs.recorded import list_steps, rerun_of
from kernel.runtime.hints import Hints
from kernel.runtime.kernel import Kernel
from kernel.views.http.acting import by_request
from kernel.views.http.credentials import identity, orderer, recheck
from kernel.views.http.errors import REFUSES, json_response
from kernel.views.http.long_polls import MAX_WAIT, LongPolls
from kernel.views.http.requests import accept, read_members, read_query
from kernel.views.http.slashes import meant_address
from kernel.views.operating.errors import ErrorViews
from kernel.views.operating.notices import NoticeViews
from kernel.views.operating.trends import TrendViews
from kernel.views.operating.workers import WorkerViews
from kernel.views.order_page import OrderPage
from kernel.views.orders.batches import BatchViews
from kernel.views.orders.bulk import BulkViews
from kernel.views.orders.events import EventViews
from kernel.views.orders.lists import ListViews
from kernel.views.pauses import PauseViews
from kernel.views.receivers import ReceiverViews
from kernel.worker.celery_app import make_worker

RETRY_AFTER = {"Retry-After": "1"}
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})


class ShowQuery(BaseModel):
    """The query string of GET /v1/orders/{id}."""

    wait: int = Field(0, ge=0, le=MAX_WAIT)


class RedeliverQuery(BaseModel):
    """The query string of POST /v1/deliveries/{id}/redeliver."""

    with_current_shape: bool = False


class Api:
    """The views, bound to one kernel; hints and results go out after the commit."""

    def __init__(self, kernel: Kernel, hints: Hints, pages: OrderPage) -> None:
        self.kernel = kernel
        self.hints = hints
        self.pages = pages
        self.language = kernel.settings.language
        self.words = Words(self.language)
        self.polls = LongPolls()

    def submit_order(self) -> Response:
        """POST /v1/orders: 202 and the order's place, once its row is committed."""
        who = orderer(self.kernel)
        members = read_members(self.kernel.settings.max_body_bytes)
        self.pages.prepare()
        accepted = accept(self.kernel, who, members)
        self.hints.hint(accepted.hints)
        # Below the address that it was sent to: `show_order`, and `url_for` takes its time.
        place = {"Location": f"{request.script_root}{request.path}/{accepted.order_id}"}
        if accepted.replayed:
            answer = self._order(who, accepted.order_id)
            answer.headers.update(place | {"Idempotency-Replayed": "true"})
            return answer
        state = OrderState.PENDING
        named = {"order_id": accepted.order_id, "reference": accepted.reference}
        data = named | {"select_tag": members["select_tag"], "state": state}
        data |= accepted.turn | self.pages.named(accepted.order_id)
        body = envelope(state.wire_status, text(state, self.language), data)
        return json_response(202, body, place | RETRY_AFTER)

    def show_order(self, order_id: str) -> Response:
        """GET /v1/orders/{id}: 202 while unfinished, 200 with the outcome when finished.

        With ``?wait=SECONDS`` the answer is held back until then, or until the order has ended.
        """
        who, seconds = identity(self.kernel, Scope.READ), read_query(ShowQuery).wait
        answer = self._order(who, order_id)
        if not seconds or answer.status_code == 200:
            return answer
        self.polls.wait(self.kernel, order_id, seconds)
        recheck(self.kernel, who)
        return self._order(who, order_id)

    def cancel_order(self, order_id: str) -> Response:
        """POST /v1/orders/{id}/cancel: 200 when cancelled, 202 when the handler must see it."""
        who = identity(self.kernel, Scope.WRITE)
        by = by_request(self.kernel, who)
        ends: list[RunEnd] = []
        state = cancel(self.kernel, who.sees, order_id, who.tags, by=by, ends=ends)
        if state is OrderState.CANCELLED:
            self.hints.finished(order_id, ending(self.kernel, "cancelled"))
        self.hints.hint([one for end in ends for one in end.woken])
        return self._order(who, order_id)

    def show_deliveries(self, order_id: str) -> Response:
        """GET /v1/orders/{id}/deliveries: with every attempt inside."""
        who = identity(self.kernel, Scope.READ)
        with self.kernel.read_session() as session:
            order = get_order(session, who.sees, order_id, who.tags)
            deliveries = list_deliveries(session, order_id)
            attempts = list_attempts(session, [one.id for one in deliveries])
            look = self._look(who, session, order, {})
            items = [
                delivery_data(one)
                | {"why": said(self.words, why_callback(look.callback(one)))}
                | {"attempts": list(map(attempt_data, attempts[one.id]))}
                for one in deliveries
            ]
        return self._success({"deliveries": items})

    def redeliver_delivery(self, delivery_id: str) -> Response:
        """POST /v1/deliveries/{id}/redeliver: due now, unless an attempt is in flight."""
        who = identity(self.kernel, Scope.WRITE)
        reshaped = read_query(RedeliverQuery).with_current_shape
        asked, by = (self.kernel, who.sees, delivery_id), by_request(self.kernel, who)
        changed = redeliver(*asked, with_current_shape=reshaped, tags=who.tags, by=by)
        with self.kernel.read_session() as session:
            delivery = get_delivery(session, who.sees, delivery_id)
            data = delivery_data(delivery) | {"redelivered": changed}
        return self._success(data, status=202)

    def refuse(self, **_: str) -> Response:
        """Any other address below ours: 404, for callers alone to know."""
        identity(self.kernel, Scope.READ)
        raise NotFound(meant_address())

    def _order(self, who: Identity, order_id: str) -> Response:
        with self.kernel.read_session() as session:
            order = get_order(session, who.sees, order_id, who.tags)
            deliveries = list_deliveries(session, order_id)
            gate, steps = gate_shown(session, order), list_steps(session, order)
            body = order_envelope(order, self.language, deliveries, gate, steps)
            explain(self._look(who, session, order, gate), body["data"], deliveries, self.words)
            earlier = rerun_of(session, order)
        body["data"] |= self.pages.named(order_id)
        if earlier is not None:
            body["data"]["rerun_of"] = earlier
        if OrderState(order.state).is_final:
            return json_response(200, body)
        return json_response(202, body, RETRY_AFTER)

    def _look(self, who: Identity, session: Session, order: Order, gate: Mapping[str, Any]) -> Look:
        """Return a look at an order as deep as these credentials may see."""
        sees_all = who.sees is None and who.tags is None
        return Look(self.kernel, session, order, gate, sees_all, names_others=who.tags is None)

    def _success(self, data: dict[str, Any], status: int = 200) -> Response:
        return json_response(status, envelope(0, text("success", self.language), data))


def api_blueprint(kernel: Kernel, hints: Hints, pages: OrderPage) -> Blueprint:
    """Build the blueprint of the API for ``kernel``; ``pages`` makes the links to orders' pages.

    What lies below its addresses, and methods they do not have, are its own too: an application
    that mounts it would otherwise answer those in words of its own.
    """
    api, pauses = Api(kernel, hints, pages), PauseViews(kernel, hints)
    receivers, batches = ReceiverViews(kernel), BatchViews(kernel, hints, pages)
    events, lists = EventViews(kernel, hints), ListViews(kernel)
    trends = TrendViews(kernel)
    blueprint = Blueprint("api", __name__, url_prefix="/v1")
    views: dict[str, dict[str, Callable[..., Response]]] = {
        "/orders": {"POST": api.submit_order, "GET": lists.show_orders},
        "/orders/counts": {"GET": lists.count_orders},
        "/orders/export": {"GET": lists.export_orders},
        "/orders/batch": {"POST": batches.submit_batch},
        "/orders/<order_id>": {"GET": api.show_order},
        "/orders/<order_id>/cancel": {"POST": api.cancel_order},
        "/orders/<order_id>/events": {"POST": events.tell_event, "GET": events.show_events},
        "/orders/<order_id>/deliveries": {"GET": api.show_deliveries},
        "/deliveries/<delivery_id>/redeliver": {"POST": api.redeliver_delivery},
        "/deliveries": {"GET": lists.show_callbacks},
        "/deliveries/counts": {"GET": lists.count_callbacks},
        "/deliveries/export": {"GET": lists.export_callbacks},
        "/pauses": {"GET": pauses.show_pauses, "POST": pauses.pause},
        "/pauses/<pause_id>": {"DELETE": pauses.resume},
        "/receivers": {"GET": receivers.show_receivers, "POST": receivers.add_receiver},
        "/receivers/<caller>/<name>": {
            "GET": receivers.show_receiver,
            "PATCH": receivers.change_receiver,
            "DELETE": receivers.remove_receiver,
        },
    }
    views |= trends.routes() | BulkViews(kernel).routes() | WorkerViews(kernel).routes()
    views |= ErrorViews(kernel).routes() | NoticeViews(kernel).routes()
    ours = ("orders", "deliveries", "bulk", "pauses", "receivers", "trends", "workers")
    for name in (*ours, "errors", "notifications"):
        views[f"/{name}/<path:below>"] = dict.fromkeys(METHODS, api.refuse)
    for rule, by_method in views.items():
        _add(blueprint, rule, by_method)
    return blueprint


def _add(blueprint: Blueprint, rule: str, views: dict[str, Callable[..., Response]]) -> None:
    """Route ``rule`` by method, and answer the methods it does not have."""
    add = partial(blueprint.add_url_rule, rule, provide_automatic_options=False)
    for method, view in views.items():
        add(view_func=view, methods=[method])
    others = METHODS - set(views) - ({"HEAD"} if "GET" in views else set())
    if others:

        def refuse_method(**_: str) -> Response:
            raise MethodNotAllowed(sorted(METHODS - others))

        add(f"{REFUSES} other methods of {rule}", refuse_method, methods=others)


def __getattr__(name: str) -> Any:
    """Make ``celery``, the worker's application of KERNEL_* and kernel.toml, on first use."""
    if name != "celery":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()["celery"] = make_worker(Kernel.from_env())
    return globals()["celery"]
