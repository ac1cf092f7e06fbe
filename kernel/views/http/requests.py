"""What views read of a request: the body within its limit, and the order in it."""

import logging
import re
from collections.abc import Mapping
from typing import Any

from flask import request
from gunicorn.http.errors import ParseException

from kernel.callers.identity import Identity
from kernel.errors import (
    AddressRefused,
    BodyTooLarge,
    InvalidJson,
    InvalidOrder,
    NotJson,
    TooManyPending,
)
from kernel.formats.order_request import MAX_WORD, OrderRequest, fingerprint, order_request, problem
from kernel.formats.strictjson import parse_json
from kernel.orders.submit import Accepted, check_key, find_repeat, submit
from kernel.runtime.kernel import Kernel
from kernel.transport.addresses import check_url
from kernel.views.http.credentials import recheck
from kernel.views.http.gate import gate
from kernel.views.http.tracking import trace_of_request

log = logging.getLogger(__name__)

# In this order: the draft standard's, Zammad's, Jira's. A sender's retries repeat the value.
KEY_HEADERS = ("Idempotency-Key", "X-Zammad-Delivery", "X-Atlassian-Webhook-Identifier")


def read_body(limit: int) -> bytes:
    """Read the body, at most ``limit`` bytes, however it is framed.

    Raises BodyTooLarge, and InvalidJson for a body that ends early or cannot be read. Werkzeug
    cuts a chunked body at the limit in silence: one byte more shows it.
    """
    request.max_content_length = limit + 1
    if (request.content_length or 0) > limit:
        raise BodyTooLarge(limit=limit)
    try:
        body = request.get_data(cache=False)
    except (OSError, ParseException):  # how the server reports a broken connection or chunk
        raise InvalidJson("the body could not be read to its end") from None
    if len(body) > limit:
        raise BodyTooLarge(limit=limit)
    if request.content_length is not None and len(body) < request.content_length:
        raise InvalidJson("the body is shorter than its Content-Length")
    return body


def read_members(limit: int) -> dict[str, Any]:
    """Read the body as one JSON object. Raises NotJson, BodyTooLarge, InvalidJson."""
    if request.mimetype != "application/json" and not request.mimetype.endswith("+json"):
        raise NotJson
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise NotJson("send the body as it is, without a Content-Encoding")
    return parse_json(read_body(limit))


def accept(kernel: Kernel, who: Identity, members: Mapping[str, Any]) -> Accepted:
    """Validate and store the submitted order, or find what an earlier try has stored.

    A repeat is answered as such even when handlers or rules have changed meanwhile and would
    refuse the order today. Raises RequestRefused of every kind, and Unavailable. ``who`` may be a
    second old (`orderer`): storing an order asks for the key again, and so does any other answer.
    """
    try:
        accepted = _accepted(kernel, who, members)
        if accepted.replayed:
            recheck(kernel, who)
    except InvalidOrder:
        recheck(kernel, who)
        raise
    log.info(
        "order repeated" if accepted.replayed else "order accepted",
        extra={"order_id": accepted.order_id, "caller": who.name},
    )
    return accepted


def accept_again(kernel: Kernel, who: Identity, members: Mapping[str, Any]) -> Accepted:
    """Validate and store an order that an operator repeats for its caller; always a new one.

    Raises InvalidOrder when it would be refused today, TooManyPending, Unavailable.
    """
    accepted = _submit_below_pressure(kernel, who, checked_order(kernel, who, members), None)
    log.info("order submitted again", extra={"order_id": accepted.order_id, "caller": who.name})
    return accepted


def _accepted(kernel: Kernel, who: Identity, members: Mapping[str, Any]) -> Accepted:
    key = idempotency_key()
    try:
        order = checked_order(kernel, who, members)
    except InvalidOrder:
        first = key and find_repeat(kernel, who.caller_id, key, fingerprint(members))
        if not first:
            raise
        return first
    return _submit_below_pressure(kernel, who, order, key)


def _submit_below_pressure(
    kernel: Kernel, who: Identity, order: OrderRequest, key: str | None
) -> Accepted:
    """Store an order unless too many of the caller's wait; a repeat is answered all the same."""
    if (found := gate()) is None:
        return submit(kernel, who, order, key, trace_of_request())
    try:
        found.pressure.check(who.caller_id)
    except TooManyPending:
        first = key and find_repeat(kernel, who.caller_id, key, order.fingerprint)
        if not first:
            raise
        return first
    accepted = submit(kernel, who, order, key, trace_of_request())
    if not accepted.replayed:
        found.pressure.accepted(who.caller_id)
    return accepted


def checked_order(kernel: Kernel, identity: Identity, members: Mapping[str, Any]) -> OrderRequest:
    """Validate an order's members, callback address included; list every problem at once."""
    problems = _callback_problems(kernel, identity, members.get("callback_url"))
    try:
        found = order_request(members, kernel.handlers)
    except InvalidOrder as invalid:
        raise InvalidOrder(errors=[*invalid.data["errors"], *problems]) from None
    if problems:
        raise InvalidOrder(errors=problems)
    return found


def _callback_problems(kernel: Kernel, identity: Identity, url: Any) -> list[dict[str, Any]]:
    """Judge the callback address. Which setting would open it is the operator's to know."""
    if not isinstance(url, str) or len(url) > MAX_WORD:
        return []
    try:
        check_url(url, kernel.callback_policy.merge(identity.grants))
    except AddressRefused as refused:
        log.warning(
            "callback_url refused: %s (would be allowed by %s)",
            refused.message,
            refused.setting or "nothing",
            extra={"caller": identity.name},
        )
        return [problem("/callback_url", refused.code, refused.message, rule=refused.rule)]
    return []


def idempotency_key() -> str | None:
    """Return the request's idempotency key, quoted or bare (draft-ietf-httpapi-idempotency-key).

    Raises InvalidOrder for a malformed one.
    """
    name = next((name for name in KEY_HEADERS if name in request.headers), None)
    if name is None:
        return None
    key = request.headers[name].strip()
    if len(key) > 1 and key[0] == key[-1] == '"':
        key = re.sub(r"\\(.)", r"\1", key[1:-1])
    check_key(key)
    return key
