"""The request id and the W3C traceparent that accompany an order from submit to callback.

Both come from the client and go into rows, log lines and headers. So a malformed request id is
replaced and a malformed traceparent dropped, never passed on.
"""

import re
import secrets
from dataclasses import dataclass

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# https://www.w3.org/TR/trace-context/#traceparent-header; a later version may say more at its end.
_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED = 0x01


@dataclass(frozen=True, slots=True)
class Trace:
    """An order's request id and traceparent; either may be missing."""

    request_id: str | None = None
    traceparent: str | None = None


UNTRACED = Trace()


def request_id_from(given: str | None) -> str:
    """Return ``given`` if it is 1 to 64 letters, digits and ``. _ -``, else a new id."""
    if given is not None and REQUEST_ID.fullmatch(given):
        return given
    return secrets.token_hex(16)


def traceparent_from(given: str | None) -> str | None:
    """Return a traceparent as version 00 writes it; None if the standard refuses ``given``."""
    found = _TRACEPARENT.fullmatch(given or "")
    if found is None:
        return None
    version, trace_id, parent_id, flags, more = found.groups()
    if version == "ff" or (version == "00" and more is not None):
        return None
    if set(trace_id) == {"0"} or set(parent_id) == {"0"}:
        return None
    return f"00-{trace_id}-{parent_id}-{int(flags, 16) & _SAMPLED:02x}"


def child_of(traceparent: str | None) -> str | None:
    """Return the same trace with a new parent id, for a request that kernel makes; None stays
    None.
    """
    if traceparent is None:
        return None
    version, trace_id, _, flags = traceparent.split("-")
    return f"{version}-{trace_id}-{secrets.token_hex(8)}-{flags}"
