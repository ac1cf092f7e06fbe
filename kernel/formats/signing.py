"""Standard Webhooks 1.0 signatures: pure, no clock, no I/O.

With the three headers made here a receiver checks who sent a callback, and that it was not changed
or replayed. Reference: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/
standard-webhooks.md, sections "Webhook headers" and "Signature scheme" (symmetric, ``v1``).
"""

import base64
import binascii
import hashlib
import hmac
import re
import secrets as random_source
from collections.abc import Mapping, Sequence

PREFIX = "whsec_"
# The standard's section "Signature scheme": keys hold between 24 and 64 bytes.
MIN_KEY_BYTES, MAX_KEY_BYTES = 24, 64
# Seconds by which a timestamp may differ from the receiver's clock, as in the reference libraries.
TOLERANCE = 300
_TIMESTAMP = re.compile(r"[0-9]{1,12}", re.ASCII)


class SignatureInvalid(Exception):
    """A callback has no valid signature, or a wrong timestamp. ``reason`` is a short sentence."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def new_secret() -> str:
    """Return a fresh signing secret: ``whsec_`` and 32 random bytes in base64."""
    return PREFIX + base64.b64encode(random_source.token_bytes(32)).decode("ascii")


def decode_secret(secret: str) -> bytes:
    """Return the key bytes of a ``whsec_`` secret; ValueError when it is malformed.

    The message never repeats the secret, so it may be logged.
    """
    if not secret.startswith(PREFIX):
        raise ValueError(f"a signing secret starts with {PREFIX}")
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"a signing secret is {PREFIX} and base64") from None
    if not MIN_KEY_BYTES <= len(key) <= MAX_KEY_BYTES:
        raise ValueError(f"a signing secret holds {MIN_KEY_BYTES} to {MAX_KEY_BYTES} bytes")
    return key


def sign(secrets: Sequence[str], message_id: str, timestamp: int, body: bytes) -> str:
    """Return the ``webhook-signature`` value: one ``v1,<base64>`` per secret, space separated.

    ``timestamp`` is in whole seconds since 1970 and must be the one sent beside it. During a
    rotation both secrets sign, so that a receiver can change over at any moment. Raises
    ValueError for a malformed secret.
    """
    stamp = str(timestamp)
    return " ".join(_signature(decode_secret(s), message_id, stamp, body) for s in secrets)


def headers(secrets: Sequence[str], message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the standard's three headers; without secrets, two: no signature."""
    named = {"webhook-id": message_id, "webhook-timestamp": str(timestamp)}
    if secrets:
        named["webhook-signature"] = sign(secrets, message_id, timestamp, body)
    return named


def verify(
    secrets: Sequence[str],
    headers: Mapping[str, str],
    body: bytes,
    now: int,
    tolerance: int = TOLERANCE,
) -> None:
    """Return if one of the signatures was made with one of ``secrets``.

    Raises SignatureInvalid otherwise, for malformed headers too, and ValueError for a malformed
    secret. ``now`` and ``tolerance`` are in seconds. Header names may be in any case.
    """
    message_id, stamp, signatures = _required(headers)
    _check_age(stamp, now, tolerance)
    # Compares every pair, each in constant time: the duration does not tell which one matched.
    expected = [_signature(decode_secret(s), message_id, stamp, body) for s in secrets]
    offered = signatures.split(" ")
    matches = [hmac.compare_digest(_bytes(e), _bytes(o)) for e in expected for o in offered]
    if not any(matches):
        raise SignatureInvalid("no signature matches")


def _signature(key: bytes, message_id: str, stamp: str, body: bytes) -> str:
    content = _bytes(f"{message_id}.{stamp}.") + body
    digest = hmac.new(key, content, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode("ascii")


def _bytes(text: str) -> bytes:
    # A header value may hold lone surrogates: it must not match, and encoding it must not raise.
    return text.encode("utf-8", "surrogatepass")


def _required(headers: Mapping[str, str]) -> tuple[str, str, str]:
    found = {name.lower(): value for name, value in headers.items()}
    for name in ("webhook-id", "webhook-timestamp", "webhook-signature"):
        if not found.get(name):
            raise SignatureInvalid(f"{name} is missing")
    return found["webhook-id"], found["webhook-timestamp"], found["webhook-signature"]


def _check_age(stamp: str, now: int, tolerance: int) -> None:
    if not _TIMESTAMP.fullmatch(stamp):
        raise SignatureInvalid("webhook-timestamp is not a number of seconds")
    age = now - int(stamp)
    if age > tolerance:
        raise SignatureInvalid(f"the message is {age} s old")
    if age < -tolerance:
        raise SignatureInvalid(f"the message is from {-age} s ahead")
