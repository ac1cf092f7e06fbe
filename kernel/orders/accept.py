"""Accept an order: check its members and its callback address, and store it or find its first try.

Knows nothing of HTTP. What a view has read of a request comes in as a `Submission`.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from kernel.callers.identity import Identity
from kernel.callers.matching import NAMED, is_named
from kernel.callers.profile import CallbackProfile
from kernel.callers.receivers import receivers_of
from kernel.errors import AddressRefused, Forbidden, InvalidOrder, TooManyPending
from kernel.formats.order_request import MAX_WORD, OrderRequest, fingerprint, order_request, problem
from kernel.formats.tracecontext import UNTRACED, Trace
from kernel.orders.backpressure import Pressure
from kernel.orders.submit import Accepted, Along, find_repeat, submit
from kernel.runtime.kernel import Kernel
from kernel.transport.addresses import check_url

log = logging.getLogger(__name__)

# What is wrong with a callback address.
Judge = Callable[[Any], list[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Submission:
    """One submit as it was sent: by whom, the members of its body, its key, what it is traced by.

    ``reference`` came beside the body, and serves where the body has none.

    ``pressure`` counts the caller's waiting orders; None takes any number of them.
    """

    caller: Identity
    members: Mapping[str, Any]
    idempotency_key: str | None = None
    trace: Trace = UNTRACED
    pressure: Pressure | None = None
    reference: str | None = None
    # It came by the original system's address, and its callback says what that one's said.
    is_original: bool | None = None
    # Writes an act in the transaction of the new order.
    along: Along | None = None


def accept(kernel: Kernel, submission: Submission) -> Accepted:
    """Validate and store the submitted order, or find what an earlier try has stored.

    A repeat is answered as such even when handlers or rules have changed meanwhile and would
    refuse the order today. Raises RequestRefused of every kind, TooManyPending and Unavailable;
    Forbidden first, for a tag that is not among those of the caller's key.
    """
    refuse_tag(submission.caller, submission.members.get("select_tag"))
    try:
        order = checked_order(kernel, submission.caller, submission.members, submission.reference)
    except InvalidOrder:
        if first := _first_try(kernel, submission, fingerprint(submission.members)):
            return first
        raise
    return _below_pressure(kernel, submission, replace(order, is_original=submission.is_original))


def refuse_tag(caller: Identity, tag: Any) -> None:
    """Raise Forbidden for another tag than the key's. Whether there is such a tag is not told."""
    if caller.tags is None or not isinstance(tag, str) or tag in caller.tags:
        return
    allowed = ", ".join(sorted(caller.tags))
    raise Forbidden(f"this key is for orders of other tags than {tag[:100]!r}: {allowed}")


def checked_order(
    kernel: Kernel,
    caller: Identity,
    members: Mapping[str, Any],
    reference: str | None = None,
    judge: Judge | None = None,
) -> OrderRequest:
    """Validate an order's members, callback address included; list every problem at once.

    ``reference`` serves where the members have none; ``judge`` knows what is wrong with a callback
    address, else it is found out. Raises InvalidOrder.
    """
    problems = (judge or partial(callback_problems, kernel, caller))(members.get("callback_url"))
    try:
        found = order_request(members, kernel.handlers, reference)
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
            pressure.check(caller.caller_id, order.not_before)
    except TooManyPending:
        if first := _first_try(kernel, submission, order.fingerprint):
            return first
        raise
    given = (submission.idempotency_key, submission.trace, submission.along)
    accepted = submit(kernel, caller, order, *given)
    if pressure is not None and not accepted.replayed:
        pressure.accepted(caller.caller_id, order.not_before, waits=not accepted.hints)
    return accepted


def _first_try(kernel: Kernel, submission: Submission, fingerprint: str) -> Accepted | None:
    key = submission.idempotency_key
    if key is None:
        return None
    return find_repeat(kernel, submission.caller.caller_id, key, fingerprint)


def callback_problems(kernel: Kernel, caller: Identity, url: Any) -> list[dict[str, Any]]:
    """Judge the callback address. Which setting would open it is the operator's to know."""
    if not isinstance(url, str) or len(url) > MAX_WORD:
        return []
    if is_named(url):
        return _name_problems(kernel, caller, url)
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
    if caller.is_listed and _profile(kernel, caller).receiver_for(url) is None:
        detail = "none of your receivers matches this URL"
        return [problem("/callback_url", "receiver_required", detail)]
    return []


def _name_problems(kernel: Kernel, caller: Identity, url: str) -> list[dict[str, Any]]:
    if _profile(kernel, caller).receiver_for(url) is not None:
        return []
    detail = f"you have no receiver named {url.removeprefix(NAMED)}"
    return [problem("/callback_url", "unknown_receiver", detail)]


def _profile(kernel: Kernel, caller: Identity) -> CallbackProfile:
    """Return the caller's receivers as they are now; orders to plain URLs do not ask for them."""
    with kernel.read() as connection:
        found = receivers_of(connection, [caller.caller_id])
    return CallbackProfile(receivers=found[caller.caller_id])
