"""Static headers: each that is accepted arrives at a real receiver, each other is refused."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, assume, given, settings, strategies

from kernel.callers.callback_rules import HEADER_NAME, HEADER_VALUE, CallerRules, check_header
from kernel.callers.profile import CallbackProfile
from kernel.db.tables.callers import Caller
from kernel.delivery.claim import DueDelivery
from kernel.delivery.headers import delivery_headers
from kernel.formats.callback_headers import CALLBACK_HEADERS
from kernel.formats.signing import new_secret
from kernel.transport.addresses import CallbackPolicy
from kernel.transport.client import Transport
from kernel.transport.headers import TRANSPORT_HEADERS
from tests.support.receiver import Receiver

LOOPBACK = CallbackPolicy.from_strings(("127.0.0.1/32",))
NOW = datetime(2026, 11, 21, tzinfo=UTC)
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
    fields = dict.fromkeys(DueDelivery.__dataclass_fields__)
    known = {"id": "d1", "body": b"{}", "profile": CallbackProfile((new_secret(),), static)}
    headers = delivery_headers(DueDelivery(**fields | known), None, NOW)  # type: ignore[arg-type]
    transport.post(receiver.url, headers, b"{}", LOOPBACK)
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


def test_header_is_replaced_when_it_is_given_again_in_another_case() -> None:
    caller = Caller(allow_nets="[]", allow_hosts="[]", headers="{}")
    CallerRules(headers={"X-Api-Key": "old", "X-B": "b"}).apply(caller)
    CallerRules(headers={"x-api-key": "new", "x-b": ""}).apply(caller)
    assert json.loads(caller.headers) == {"x-api-key": "new"}
