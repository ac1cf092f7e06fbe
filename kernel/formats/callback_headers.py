"""The headers that kernel sets on a callback: one table, a row for each.

Read by the attempt, the order's page, the API document, and by what refuses a caller's static
header. To add a header, add a row. Pure.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from kernel.transport.headers import USER_AGENT

# Beside the names of the table: families and names that a caller's static headers cannot have.
_RESERVED_PREFIXES = ("content-", "webhook-")
_RESERVED = frozenset({"tracestate"})


@dataclass(frozen=True, slots=True)
class HeaderFacts:
    """What the values are made of: ``signed`` as `kernel.formats.signing.headers` returns it."""

    request_id: str | None
    traceparent: str | None
    signed: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class CallbackHeader:
    """A row of the table. A value of None means that the header is left out.

    ``always``: sent with every callback. ``secret``: the value is never shown to people.
    ``replaceable``: a caller's static header of the same name is sent instead.
    """

    name: str
    value: Callable[[HeaderFacts], str | None]
    always: bool = True
    secret: bool = False
    replaceable: bool = False


CALLBACK_HEADERS = (
    CallbackHeader("content-type", lambda _: "application/json"),
    CallbackHeader("user-agent", lambda _: USER_AGENT, replaceable=True),
    CallbackHeader("x-request-id", lambda facts: facts.request_id, always=False),
    CallbackHeader("traceparent", lambda facts: facts.traceparent, always=False),
    CallbackHeader("webhook-id", lambda facts: facts.signed["webhook-id"]),
    CallbackHeader("webhook-timestamp", lambda facts: facts.signed["webhook-timestamp"]),
    CallbackHeader(
        "webhook-signature", lambda facts: facts.signed.get("webhook-signature"), secret=True
    ),
)
_FIXED = frozenset(row.name for row in CALLBACK_HEADERS if not row.replaceable)


def is_callback_header(name: str) -> bool:
    """Tell whether a header, in any case, is kernel's to set on a callback, now or later."""
    lower = name.lower()
    return lower in _FIXED or lower in _RESERVED or lower.startswith(_RESERVED_PREFIXES)


def callback_headers(facts: HeaderFacts, static: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of one attempt: the caller's static ones, and those of the table."""
    found = {row.name: row.value(facts) for row in _rows(static)}
    return {**static, **{name: value for name, value in found.items() if value is not None}}


def without_replaced(headers: Mapping[str, str], static: Collection[str]) -> dict[str, str]:
    """Return headers without those of the table in whose place a static one is sent."""
    kept = {row.name for row in _rows(static)}
    gone = {row.name for row in CALLBACK_HEADERS} - kept
    return {name: value for name, value in headers.items() if name.lower() not in gone}


def shown_headers(facts: HeaderFacts, static: Collection[str]) -> list[tuple[str, str | None]]:
    """Return names and values for people, secret values as None; ``static``: names alone."""
    known = [(row.name, None if row.secret else row.value(facts), row) for row in _rows(static)]
    shown = [(name, value) for name, value, row in known if row.secret or value is not None]
    return shown + [(name.lower(), None) for name in static]


def _rows(static: Collection[str]) -> list[CallbackHeader]:
    replaced = {name.lower() for name in static}
    return [row for row in CALLBACK_HEADERS if not (row.replaceable and row.name in replaced)]
