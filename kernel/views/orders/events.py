"""Events of an order, by API: tell one, and list them."""

from typing import Any

from flask import Response
from pydantic import BaseModel, Field

from kernel.callers.identity import Scope
from kernel.errors import InvalidOrder
from kernel.formats.envelope import envelope
from kernel.formats.order_request import problem
from kernel.formats.representations import event_data
from kernel.formats.texts import text
from kernel.handlers.events import EVENT_NAME
from kernel.orders.gates.events import BY_KEY, MAX_DATA_BYTES, Told, as_data, events_of, tell
from kernel.orders.pages import get_order
from kernel.runtime.hints import Hints
from kernel.runtime.kernel import Kernel
from kernel.views.http.acting import by_request
from kernel.views.http.credentials import identity
from kernel.views.http.errors import json_response
from kernel.views.http.requests import idempotency_key, read_as


class EventRequest(BaseModel, extra="forbid"):
    """The body of POST /v1/orders/{id}/events."""

    name: str = Field(pattern=f"^{EVENT_NAME.pattern}$")
    data: dict[str, Any] = Field({}, description=f"at most {MAX_DATA_BYTES} bytes of JSON")
    event_id: str | None = Field(
        None,
        pattern=r"^[!-~]([ -~]{0,253}[!-~])?$",
        description="what makes telling it again a repeat, as Idempotency-Key does",
    )


class EventViews:
    """The views, bound to one kernel; ``hints`` is told of the orders that go on."""

    def __init__(self, kernel: Kernel, hints: Hints) -> None:
        self._kernel = kernel
        self._hints = hints

    def tell_event(self, order_id: str) -> Response:
        """POST /v1/orders/{id}/events: store it; an order that waits for it goes on."""
        who = identity(self._kernel, Scope.WRITE)
        told = self._read()
        by = by_request(self._kernel, who)
        telling = tell(self._kernel, order_id, told, caller_id=who.sees, tags=who.tags, by=by)
        self._hints.hint(telling.hints)
        answer = self._success({"order_id": order_id, **event_data(telling.event)}, 202)
        if telling.replayed:
            answer.headers["Idempotency-Replayed"] = "true"
        return answer

    def show_events(self, order_id: str) -> Response:
        """GET /v1/orders/{id}/events: what the order was told, in the order of telling."""
        who = identity(self._kernel, Scope.READ)
        with self._kernel.read_session() as session:
            get_order(session, who.sees, order_id, who.tags)
            items = [event_data(one) for one in events_of(session, order_id)]
        return self._success({"events": items})

    def _read(self) -> Told:
        """Read the event that the request tells. Raises InvalidOrder, and as `read_as`."""
        asked = read_as(EventRequest, self._kernel.settings.max_body_bytes)
        key = idempotency_key()
        data = as_data(asked.data)
        if key is not None and asked.event_id not in (None, key):
            detail = "the Idempotency-Key is another; give one of the two"
            raise InvalidOrder(errors=[problem("/event_id", "two_keys", detail)])
        key = asked.event_id if key is None else key
        return Told(asked.name, data, None if key is None else BY_KEY + key)

    def _success(self, data: dict[str, Any], status: int = 200) -> Response:
        language = self._kernel.settings.language
        return json_response(status, envelope(0, text("success", language), data))
