"""What every view needs of a request: who asks, the body within its limit, the order in it."""

import ipaddress
import logging
import re
from collections.abc import Mapping
from functools import partial
from typing import Any

from flask import Request, request
from gunicorn.http.errors import ParseException

from kernel.callers.identity import Identity, Scope, identify, identify_key, identity_of
from kernel.errors import (
    AddressRefused,
    BodyTooLarge,
    InvalidJson,
    InvalidOrder,
    NotJson,
    TooManyPending,
    Unauthenticated,
)
from kernel.formats.order_request import MAX_WORD, OrderRequest, fingerprint, order_request, problem
from kernel.formats.strictjson import parse_json
from kernel.orders.submit import Accepted, check_key, find_repeat, submit
from kernel.runtime.kernel import Kernel
from kernel.transport.addresses import check_url
from kernel.views.http.gate import gate
from kernel.views.http.tracking import trace_of_request

log = logging.getLogger(__name__)

# In this order: the draft standard's own, Zammad's, Jira's. Stable over a sender's retries.
KEY_HEADERS = ("Idempotency-Key", "X-Zammad-Delivery", "X-Atlassian-Webhook-Identifier")
# Any of them says that somebody stands between us and whoever asks.
PROXIED = ("forwarded", "x-forwarded", "x-real-ip", "x-original", "via", "cf-", "true-client-ip")


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
    except (OSError, ParseException):  # the server's words for a connection or chunk gone wrong
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
            _check(kernel, who)
    except InvalidOrder:
        _check(kernel, who)
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


def identity(kernel: Kernel, scope: Scope) -> Identity:
    """Return who asks. Raises Unauthenticated, TooManyRequests, or Forbidden without ``scope``.

    Bearer, or Basic with the key as password (ticketing systems offer one or the other). Without
    credentials: the anonymous caller when KERNEL_AUTH=off and the request comes straight from
    this host.
    """
    key = _credentials(request)
    if key is None and not (kernel.settings.auth == "off" and is_local(request)):
        raise Unauthenticated
    who = anonymous(kernel) if key is None else _known(kernel, key)
    if (found := gate()) is not None:
        found.count(who)
    who.require(scope)
    return who


def orderer(kernel: Kernel) -> Identity:
    """Return who orders, as `identity` does, or as it did for the same key within a second.

    For `accept` alone, which believes it no further than that.
    """
    key = _credentials(request)
    found = gate()
    if key is None or found is None:
        return identity(kernel, Scope.WRITE)
    who = found.remembered(key, partial(_known, kernel, key))
    found.count(who)
    who.require(Scope.WRITE)
    return who


def _check(kernel: Kernel, who: Identity) -> None:
    """Raise Unauthenticated when the key behind ``who`` was revoked, or expired, meanwhile."""
    if who.key_id is not None:
        with kernel.read() as connection:
            identify_key(connection, who.key_id, kernel.clock.now())


def _known(kernel: Kernel, key: str) -> Identity:
    now = kernel.clock.now()
    with kernel.read() as connection:
        who = identify(connection, key, now)
    kernel.key_uses.note(who.key_id, now)
    return who


def anonymous(kernel: Kernel) -> Identity:
    """Return the caller that needs no credentials."""
    with kernel.read_session() as session:
        return identity_of(session)


def _credentials(asked: Request) -> str | None:
    if "Authorization" not in asked.headers:
        return None
    authorization = asked.authorization
    if authorization is None:
        raise Unauthenticated
    if authorization.type == "bearer" and authorization.token:
        return authorization.token
    if authorization.type == "basic" and authorization.password:
        return str(authorization.password)
    raise Unauthenticated


def is_local(asked: Request) -> bool:
    """Tell whether a program on this host asks, and no web page in a browser on it.

    A page anywhere can make its visitor's browser POST to 127.0.0.1: then Origin says whose it is.
    """
    origin = asked.headers.get("Origin", f"http://{asked.host}")
    return origin.partition("://")[2] == asked.host and is_direct(asked)


def is_direct(asked: Request) -> bool:
    """Tell whether this host asks for this host, and no proxy for others.

    A page anywhere can give its visitor's browser a name of its own that leads to 127.0.0.1: then
    Host says so.
    """
    if any(name.lower().startswith(PROXIED) for name, _ in asked.headers):
        return False
    return is_loopback(asked.remote_addr or "") and is_loopback(name_of(asked.host))


def name_of(host: str) -> str:
    """Return the host of ``host:port``, the usual name of this one as its address."""
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return "127.0.0.1" if name == "localhost" else name


def is_loopback(address: str) -> bool:
    """Tell whether an address leads nowhere but to this host."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:  # a unix socket has no address; a name may be anybody's
        return False


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
