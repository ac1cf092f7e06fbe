"""Accept an order: check its members and its callback address, and store it or find its first try.

Knows nothing of HTTP. What a view has read of a request comes in as a `Submission`.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kernel.callers.identity import Identity
from kernel.errors import AddressRefused, InvalidOrder, TooManyPending
from kernel.formats.order_request import MAX_WORD, OrderRequest, fingerprint, order_request, problem
from kernel.formats.tracecontext import UNTRACED, Trace
from kernel.orders.backpressure import Pressure
from kernel.orders.submit import Accepted, find_repeat, submit
from kernel.runtime.kernel import Kernel
from kernel.transport.addresses import check_url

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Submission:
    """One submit as it was sent: by whom, the members of its body, its key, what it is traced by.

    ``pressure`` counts the caller's waiting orders; None takes any number of them.
    """

    caller: Identity
    members: Mapping[str, Any]
    idempotency_key: str | None = None
    trace: Trace = UNTRACED
    pressure: Pressure | None = None


def accept(kernel: Kernel, submission: Submission) -> Accepted:
    """Validate and store the submitted order, or find what an earlier try has stored.

    A repeat is answered as such even when handlers or rules have changed meanwhile and would
    refuse the order today. Raises RequestRefused of every kind, TooManyPending and Unavailable.
    """
    try:
        order = checked_order(kernel, submission.caller, submission.members)
    except InvalidOrder:
        if first := _first_try(kernel, submission, fingerprint(submission.members)):
            return first
        raise
    return _below_pressure(kernel, submission, order)


def checked_order(kernel: Kernel, caller: Identity, members: Mapping[str, Any]) -> OrderRequest:
    """Validate an order's members, callback address included; list every problem at once.

    Raises InvalidOrder.
    """
    problems = _callback_problems(kernel, caller, members.get("callback_url"))
    try:
        found = order_request(members, kernel.handlers)
    except InvalidOrder as invalid:
        raise InvalidOrder(errors=[*invalid.data["errors"], *problems]) from None
    if problems:
        raise InvalidOrder(errors=problems)
    return found


def _below_pressure(kernel: Kernel, submission: Submission, order: OrderRequest) -> Accepted:
    """Store an order unless too many of the caller's wait; a repeat is answered all the same."""
    caller, pressure = submission.caller, submission.pressure
    try:
        if pressure is not None:
            pressure.check(caller.caller_id)
    except TooManyPending:
        if first := _first_try(kernel, submission, order.fingerprint):
            return first
        raise
    accepted = submit(kernel, caller, order, submission.idempotency_key, submission.trace)
    if pressure is not None and not accepted.replayed:
        pressure.accepted(caller.caller_id)
    return accepted


def _first_try(kernel: Kernel, submission: Submission, fingerprint: str) -> Accepted | None:
    key = submission.idempotency_key
    if key is None:
        return None
    return find_repeat(kernel, submission.caller.caller_id, key, fingerprint)


def _callback_problems(kernel: Kernel, caller: Identity, url: Any) -> list[dict[str, Any]]:
    """Judge the callback address. Which setting would open it is the operator's to know."""
    if not isinstance(url, str) or len(url) > MAX_WORD:
        return []
    try:
        check_url(url, kernel.callback_policy.merge(caller.grants))
    except AddressRefused as refused:
        log.warning(
            "callback_url refused: %s (would be allowed by %s)",
            refused.message,
            refused.setting or "nothing",
            extra={"caller": caller.name},
        )
        return [problem("/callback_url", refused.code, refused.message, rule=refused.rule)]
    return []
