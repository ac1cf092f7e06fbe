"""What every view needs of a request: who asks, the body within its limit, an idempotency key."""

import ipaddress
from collections.abc import Mapping
from typing import Any

from flask import Request, request

from kernel.addresses import check_url
from kernel.auth import Identity, anonymous, identify
from kernel.errors import (
    AddressRefused,
    BodyTooLarge,
    InvalidJson,
    InvalidOrder,
    NotJson,
    Unauthenticated,
)
from kernel.runtime import Kernel
from kernel.schemas import OrderRequest, order_request, parse_json, problem

# In this order: the draft standard's own, Zammad's, Jira's. Stable over a sender's retries.
KEY_HEADERS = ("Idempotency-Key", "X-Zammad-Delivery", "X-Atlassian-Webhook-Identifier")
FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-Ip")


def read_body(limit: int) -> bytes:
    """Read the body, at most ``limit`` bytes, however it is framed.

    Raises BodyTooLarge, and InvalidJson for a body shorter than its Content-Length. Werkzeug
    cuts a chunked body at the limit in silence: one byte more shows it.
    """
    request.max_content_length = limit + 1
    if (request.content_length or 0) > limit:
        raise BodyTooLarge(limit=limit)
    body = request.get_data(cache=False)
    if len(body) > limit:
        raise BodyTooLarge(limit=limit)
    if request.content_length is not None and len(body) < request.content_length:
        raise InvalidJson("the body is shorter than its Content-Length")
    return body


def read_order(kernel: Kernel, identity: Identity) -> OrderRequest:
    """Read and validate the submitted order. Raises RequestRefused of every kind."""
    if request.mimetype != "application/json" and not request.mimetype.endswith("+json"):
        raise NotJson
    members = parse_json(read_body(kernel.settings.max_body_bytes))
    return checked_order(kernel, identity, members)


def checked_order(kernel: Kernel, identity: Identity, members: Mapping[str, Any]) -> OrderRequest:
    """Validate an order's members, callback address included; list every problem at once."""
    problems: list[dict[str, Any]] = []
    url = members.get("callback_url")
    if isinstance(url, str) and len(url) <= 2048:
        try:
            check_url(url, identity.policy(kernel.callback_policy))
        except AddressRefused as refused:
            problems.append(problem("/callback_url", refused.code, refused.message, **refused.data))
    try:
        found = order_request(members, kernel.handlers)
    except InvalidOrder as invalid:
        raise InvalidOrder(errors=[*invalid.data["errors"], *problems]) from None
    if problems:
        raise InvalidOrder(errors=problems)
    return found


def identity(kernel: Kernel) -> Identity:
    """Return who asks. Raises Unauthenticated.

    Bearer, or Basic with the key as password (ticketing systems offer one or the other). Without
    credentials: the anonymous caller when KERNEL_AUTH=off and the request comes straight from
    this host.
    """
    key = _credentials(request)
    if key is None and not (kernel.settings.auth == "off" and _is_local(request)):
        raise Unauthenticated
    with kernel.reading() as session:
        return anonymous(session) if key is None else identify(session, key)


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


def _is_local(asked: Request) -> bool:
    if any(name in asked.headers for name in FORWARDED):
        return False
    try:
        return ipaddress.ip_address(asked.remote_addr or "").is_loopback
    except ValueError:  # a unix socket has no address; its proxy would have said who asks
        return False


def idempotency_key() -> str | None:
    """Return the request's idempotency key, quoted or bare (draft-ietf-httpapi-idempotency-key).

    Raises InvalidOrder for one that is empty, longer than 255 or not printable ASCII.
    """
    name = next((name for name in KEY_HEADERS if name in request.headers), None)
    if name is None:
        return None
    key = request.headers[name].strip()
    if len(key) > 1 and key[0] == key[-1] == '"':
        key = key[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    if not (0 < len(key) <= 255 and key.isascii() and key.isprintable() and key == key.strip()):
        detail = f"{name} must be 1 to 255 printable ASCII characters"
        raise InvalidOrder(errors=[problem("", "invalid_idempotency_key", detail)])
    return key
