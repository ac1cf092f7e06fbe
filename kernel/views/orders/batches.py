"""POST /v1/orders/batch: many orders in one request and one commit."""

from collections.abc import Iterator
from typing import Any

from flask import Response

from kernel.db.states import OrderState
from kernel.errors import InvalidOrder
from kernel.formats.envelope import envelope
from kernel.formats.texts import text
from kernel.orders.batches.accept import AcceptedBatch
from kernel.runtime.hints import Hints
from kernel.runtime.kernel import Kernel
from kernel.views.http.credentials import orderer
from kernel.views.http.errors import json_response
from kernel.views.http.requests import accept_many, read_members
from kernel.views.order_page import OrderPage

RETRY_AFTER = {"Retry-After": "1"}


class BatchViews:
    """The view, bound to one kernel; hints go out after the commit."""

    def __init__(self, kernel: Kernel, hints: Hints, pages: OrderPage) -> None:
        self.kernel = kernel
        self.hints = hints
        self.pages = pages

    def submit_batch(self) -> Response:
        """POST /v1/orders/batch: 202 once all good orders are committed, with what each became."""
        who = orderer(self.kernel)
        members = read_members(self.kernel.settings.max_batch_bytes)
        self.pages.prepare()
        accepted = accept_many(self.kernel, who, members)
        self.hints.hint(accepted.due)
        state = OrderState.PENDING
        told = envelope(
            state.wire_status, text(state, self.kernel.settings.language), self._data(accepted)
        )
        headers = {"Idempotency-Replayed": "true"} if accepted.replayed else {}
        return json_response(202, told, RETRY_AFTER | headers)

    def _data(self, accepted: AcceptedBatch) -> dict[str, Any]:
        items = accepted.items
        refused = sum(one.order_id is None for one in items)
        replayed = sum(one.replayed for one in items)
        batch = accepted.batch_id
        return {
            "batch": None if batch is None else {"order_id": batch} | self.pages.named(batch),
            "accepted": len(items) - refused - replayed,
            "replayed": replayed,
            "refused": refused,
            "orders": list(self._items(accepted)),
        }

    def _items(self, accepted: AcceptedBatch) -> Iterator[dict[str, Any]]:
        pages = iter(
            self.pages.named_each([one.order_id for one in accepted.items if one.order_id])
        )
        for one in accepted.items:
            if one.order_id is None:
                yield {"code": InvalidOrder.code, "errors": one.errors}
            else:
                yield {"order_id": one.order_id, "replayed": one.replayed} | next(pages)
