"""One marked callback to a receiver: sent as a delivery is, told step by step, and leaving no row.

Its order and its delivery have ids that stand in no table. It takes no turn among callbacks, so
that no breaker, rate or concurrency of the receiver hears of it.
"""

import json
import time
from collections.abc import Callable
from dataclasses import replace

from kernel.callers.matching import NAMED
from kernel.callers.profile import profiles_of
from kernel.callers.receivers import Receiver
from kernel.db.ids import new_id
from kernel.db.states import OrderState, Outcome
from kernel.db.tables.orders import OrderSnapshot
from kernel.delivery.attempt import FinishedAttempt, finish
from kernel.delivery.claim import DueDelivery
from kernel.delivery.outgoing.conversation import Conversation
from kernel.delivery.outgoing.exchange import budget, converse, find_way
from kernel.delivery.outgoing.heard import Heard
from kernel.delivery.outgoing.telling import Line, Telling
from kernel.formats.envelope import callback_body
from kernel.runtime.kernel import Kernel

# What marks a callback as a test, for people and for programs.
MESSAGE, TAG = "kernel receivers test", "test"


def try_out(
    kernel: Kernel,
    receiver: Receiver,
    state: OrderState,
    reference: str | None,
    told: Callable[[Line], None],
) -> FinishedAttempt:
    """Send a marked callback to a receiver, a draft too; return what it would have ended as.

    ``told`` is called with each line of what happens, as it happens; no secret is in them.
    """
    due = _due(kernel, receiver, state, reference)
    started_at, started = kernel.clock.now(), time.monotonic()
    way = find_way(due)
    telling = Telling(told)
    if isinstance(way, Heard):
        result = way
    else:
        seconds, requests = budget(kernel, way)
        telling.way(way, seconds)
        conversation = Conversation(
            kernel, due, way.receiver, seconds, requests, observer=telling.step
        )
        telling.hide = conversation.hide
        result = replace(converse(conversation, due, way, None, started_at), receiver=way.receiver)
    duration_ms = round((time.monotonic() - started) * 1000)
    finished = finish(kernel, due, started_at, duration_ms, result)
    telling.end(finished, not isinstance(way, Heard) and bool(way.shape.answer))
    return finished


def _due(
    kernel: Kernel, receiver: Receiver, state: OrderState, reference: str | None
) -> DueDelivery:
    now, caller_id = kernel.clock.now(), receiver.caller_id
    with kernel.read() as connection:
        profile = profiles_of(connection, [caller_id], now)[caller_id]
    url, order_id = f"{NAMED}{receiver.name}", new_id(now)
    order = OrderSnapshot(order_id, caller_id, TAG, url, now, OrderState.RUNNING, 1, 0, reference)
    return DueDelivery(
        id=new_id(now),
        order_id=order_id,
        caller_id=caller_id,
        origin=receiver.origin,
        url=url,
        body=callback_body(order, _outcome(state), now, kernel.settings.language),
        created_at=now,
        attempt=1,
        tries=1,
        token="",
        shapes_until=profile.shapes_until,
        reference=reference,
        profile=replace(profile, receivers=(replace(receiver, is_draft=False),)),
    )


def _outcome(state: OrderState) -> Outcome:
    if state in (OrderState.SUCCESS, OrderState.WARNING):
        return Outcome(state, MESSAGE, result=json.dumps({}))
    # A cancelled order has its state for its code.
    return Outcome(state, MESSAGE, error_code=state if state == OrderState.CANCELLED else TAG)
