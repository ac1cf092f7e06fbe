"""What views read of a request: the body within its limit, and the order in it."""

import logging
import re
from collections.abc import Mapping
from typing import Any

from flask import request
from gunicorn.http.errors import ParseException

from kernel.callers.identity import Identity
from kernel.errors import BodyTooLarge, InvalidJson, InvalidOrder, NotJson
from kernel.formats.strictjson import parse_json
from kernel.orders import accept as orders
from kernel.orders.accept import Submission
from kernel.orders.submit import Accepted, check_key
from kernel.runtime.kernel import Kernel
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
    """Have the submitted order accepted, with the key, the trace and the limits of the request.

    Raises what `kernel.orders.accept` raises. ``who`` may be a second old (`orderer`): storing an
    order asks for the key again, and so does any other answer.
    """
    try:
        accepted = orders.accept(kernel, _submission(who, members, idempotency_key()))
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
    """Have an order accepted that an operator repeats for its caller; always a new one.

    Raises InvalidOrder when it would be refused today, TooManyPending, Unavailable.
    """
    accepted = orders.accept(kernel, _submission(who, members, None))
    log.info("order submitted again", extra={"order_id": accepted.order_id, "caller": who.name})
    return accepted


def _submission(who: Identity, members: Mapping[str, Any], key: str | None) -> Submission:
    found = gate()
    pressure = None if found is None else found.pressure
    return Submission(who, members, key, trace_of_request(), pressure)


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
