"""Static headers: each that is accepted arrives at a real receiver, each other is refused."""

from collections.abc import Iterator, Mapping

import pytest
from hypothesis import HealthCheck, assume, given, settings, strategies

from kernel.callers.credentials import HEADER_NAME, HEADER_VALUE, check_header
from kernel.formats.callback_headers import CALLBACK_HEADERS, HeaderFacts, callback_headers
from kernel.formats.signing import headers as signed_headers
from kernel.formats.signing import new_secret
from kernel.transport.addresses import CallbackPolicy
from kernel.transport.client import Request, Transport
from kernel.transport.headers import TRANSPORT_HEADERS
from tests.support.receiver import Receiver

LOOPBACK = CallbackPolicy.from_strings(("127.0.0.1/32",))
# What an operator may think of, beside the names of both tables.
OTHER_NAMES = {
    "Accept", "Accept-Charset", "Accept-Language", "Authorization", "Baggage", "Cache-Control",
    "Cookie2", "Date", "DNT", "Forwarded", "From", "HTTP2-Settings", "If-Match", "If-None-Match",
    "Idempotency-Key", "Link", "Max-Forwards", "Origin", "Pragma", "Prefer", "Priority", "Range",
    "Referer", "Sec-Fetch-Mode", "Set-Cookie", "Trace-Id", "Via", "Warning", "X-Api-Key",
    "X-Forwarded-For", "X-Http-Method-Override", "X-Snow-Token", "x_under", "!#$%&'*+.^_`|~",
}  # fmt: skip
RESERVED_TOO = {
    "Content-Encoding", "Content-Location", "Proxy-Authorization", "Proxy-Connection",
    "Proxy-Anything", "Tracestate", "Webhook-Anything",
}  # fmt: skip


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture(scope="module")
def transport() -> Iterator[Transport]:
    made = Transport(timeout=5)
    yield made
    made.close()


def is_accepted(name: str, value: str = "x") -> bool:
    """Say whether an operator may set a header; a refusal has to name it."""
    try:
        check_header(name, value)
    except ValueError as error:
        assert name in str(error)  # noqa: PT017 - where there is none, it is accepted
        return False
    return True


def arrived(
    receiver: Receiver, transport: Transport, static: Mapping[str, str]
) -> Mapping[str, str]:
    """Send a callback with these static headers; return what the receiver got."""
    signed = signed_headers((new_secret(),), "d1", 1_700_000_000, b"{}")
    headers = callback_headers(HeaderFacts(None, None, signed), static)
    transport.send(Request(receiver.url, headers, b"{}"), LOOPBACK)
    return receiver.requests[-1].headers


def test_accepted_headers_arrive_and_others_are_refused(
    receiver: Receiver, transport: Transport
) -> None:
    ours = {row.name for row in CALLBACK_HEADERS if not row.replaceable} | TRANSPORT_HEADERS
    names = OTHER_NAMES | RESERVED_TOO | ours | {name.title() for name in ours} | {"User-Agent"}
    static = {name: f"value of {name}" for name in names if is_accepted(name)}
    assert static.keys() == OTHER_NAMES | {"User-Agent"}
    got = arrived(receiver, transport, static)
    assert {name: got[name.lower()] for name in static} == static


@given(
    name=strategies.from_regex(HEADER_NAME, fullmatch=True),
    value=strategies.from_regex(HEADER_VALUE, fullmatch=True),
)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None)
def test_any_header_arrives_unchanged_when_it_is_accepted(
    receiver: Receiver, transport: Transport, name: str, value: str
) -> None:
    assume(is_accepted(name, value))
    assert arrived(receiver, transport, {name: value})[name.lower()] == value


@pytest.mark.parametrize("stored", ["Cookie", "Webhook-Id", "Content-Type"])
def test_reserved_header_changes_nothing_when_a_row_holds_one(
    receiver: Receiver, transport: Transport, stored: str
) -> None:
    plain = arrived(receiver, transport, {})
    got = arrived(receiver, transport, {stored: "forged"})
    assert got.keys() == plain.keys()
    assert "forged" not in got.values()
