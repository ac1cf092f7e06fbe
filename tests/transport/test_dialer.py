"""Names: every answer is vetted, the connection goes to a vetted one, all within its time."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from kernel.errors import TransportError
from kernel.transport.addresses import CallbackPolicy
from kernel.transport.client import Limits, Request, Transport
from kernel.transport.connecting.connect import MAX_TRIES, in_turn
from kernel.transport.connecting.sockets import PlainSocket
from tests.support.receiver import Receiver

LOOPBACK = CallbackPolicy.from_strings(("127.0.0.1/32",))
CLOSED = CallbackPolicy()
PUBLIC = "8.8.8.8"


def test_import_fails_when_what_pinning_leans_on_is_gone() -> None:
    program = (
        "import urllib3.connection as c; del c.HTTPConnection._new_conn; "
        "import kernel.transport.connections"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert "_new_conn is gone: callbacks would not be pinned" in done.stderr


@contextmanager
def resolving(*answers: list[str], **limits: float) -> Iterator[tuple[Transport, list[str]]]:
    """Open a transport whose resolver gives these answers in turn; and the names it was asked."""
    asked: list[str] = []

    def resolver(name: str) -> list[str]:
        asked.append(name)
        return answers[min(len(asked), len(answers)) - 1]

    yield from opened(resolver, asked, limits)


def opened(
    resolver: Callable[[str], list[str]], asked: list[str], limits: dict[str, Any]
) -> Iterator[tuple[Transport, list[str]]]:
    transport = Transport(timeout=5, limits=Limits(**limits), resolver=resolver)
    try:
        yield transport, asked
    finally:
        transport.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


def url(receiver: Receiver, host: str = "hooks.example") -> str:
    return f"http://{host}:{receiver.port}/"


def failure(transport: Transport, address: str, policy: CallbackPolicy) -> TransportError:
    with pytest.raises(TransportError) as caught:
        transport.send(Request(address, {}, b"{}"), policy)
    return caught.value


@pytest.mark.parametrize(
    "answers",
    [
        ["127.0.0.1"],
        [PUBLIC, "127.0.0.1"],
        [PUBLIC, "::1"],
        [PUBLIC, "10.0.0.1", PUBLIC],
        [*[f"8.8.{n // 250}.{n % 250 + 1}" for n in range(499)], "169.254.169.254"],
        ["::ffff:127.0.0.1"],
        ["fe80::1%lo"],
        ["0.0.0.0"],
        ["nonsense"],
    ],
    ids=["private", "mixed", "mixed 6", "middle", "last of 500", "mapped", "scope", "zero", "none"],
)
def test_post_is_refused_when_any_answer_is_not_allowed(
    receiver: Receiver, answers: list[str]
) -> None:
    with resolving(answers) as (transport, _):
        assert failure(transport, url(receiver), CLOSED).reason == "refused"
    assert receiver.connections == 0


def test_refusal_says_what_would_allow_it_for_the_operator(receiver: Receiver) -> None:
    with resolving(["10.0.0.1"]) as (transport, _):
        detail = failure(transport, url(receiver), CLOSED).detail
    assert "hooks.example resolves to 10.0.0.1" in detail
    assert "KERNEL_CALLBACK_ALLOW_NETS or --callback-net: 10.0.0.1/32" in detail


def test_name_is_resolved_once_when_the_second_answer_would_rebind(receiver: Receiver) -> None:
    with resolving(["127.0.0.1"], ["10.0.0.1"]) as (transport, asked):
        assert transport.send(Request(url(receiver), {}, b"{}"), LOOPBACK).status == 200
        assert asked == ["hooks.example."]


def test_rebound_name_is_refused_when_it_is_resolved_again(receiver: Receiver) -> None:
    with resolving(["127.0.0.1"], ["10.0.0.1"]) as (transport, _):
        transport.send(Request(url(receiver), {}, b"{}"), LOOPBACK)
        receiver.disconnect()
        receiver.wait_closed(1)
        assert failure(transport, url(receiver), LOOPBACK).reason == "refused"


def test_kept_connection_is_not_used_when_another_policy_does_not_allow_it(
    receiver: Receiver,
) -> None:
    with resolving(["127.0.0.1"]) as (transport, _):
        transport.send(Request(url(receiver), {}, b"{}"), LOOPBACK)
        assert failure(transport, url(receiver), CLOSED).reason == "refused"
    assert len(receiver.requests) == 1


def test_kept_connection_is_used_when_another_policy_allows_it_too(receiver: Receiver) -> None:
    wider = LOOPBACK.merge(CallbackPolicy.from_strings(("10.0.0.0/8",)))
    with resolving(["127.0.0.1"]) as (transport, _):
        transport.send(Request(url(receiver), {}, b"{}"), LOOPBACK)
        transport.send(Request(url(receiver), {}, b"{}"), wider)
    assert receiver.connections == 1


def test_connection_goes_to_the_next_address_when_one_does_not_answer(receiver: Receiver) -> None:
    policy = CallbackPolicy.from_strings(("127.0.0.1/32", "127.0.0.9/32", "::1/128"))
    with resolving(["::1", "127.0.0.9", "127.0.0.1"]) as (transport, _):
        assert transport.send(Request(url(receiver), {}, b"{}"), policy).status == 200


@contextmanager
def silent(host: str) -> Iterator[int]:
    """A port that takes no more connections, and does not say so: its queue is full."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with (
        socket.create_server((host, 0), family=family, backlog=0) as full,
        socket.create_connection(full.getsockname()[:2]),
    ):
        yield full.getsockname()[1]


def test_families_take_turns_and_the_first_answers_goes_first() -> None:
    six, four = [f"2001:db8::{n}" for n in range(9)], ["192.0.2.1", "192.0.2.2"]
    assert in_turn([*six, *four])[:5] == [six[0], four[0], six[1], four[1], six[2]]
    assert in_turn([*four, *six])[:4] == [four[0], six[0], four[1], six[1]]
    assert in_turn(four) == four
    assert len(in_turn(six)) == MAX_TRIES


def test_post_arrives_when_many_dead_addresses_of_one_family_come_first() -> None:
    # Both families on one port: [::1] is silent, 127.0.0.1 receives.
    with silent("::1") as port, Receiver(port=port) as receiver:
        policy = CallbackPolicy.from_strings(("127.0.0.1/32", "::1/128"))
        with resolving([*["::1"] * 9, "127.0.0.1"]) as (transport, _):
            started = time.monotonic()
            assert transport.send(Request(url(receiver), {}, b"{}"), policy).status == 200
        assert time.monotonic() - started < 2.0  # a try's turn, not the time for all


def test_connecting_ends_in_time_when_no_address_answers() -> None:
    with (
        silent("127.0.0.1") as port,
        resolving(["127.0.0.1"] * 500, connect_timeout=1.0) as (transport, _),
    ):
        started = time.monotonic()
        error = failure(transport, f"http://hooks.example:{port}/", LOOPBACK)
    # A busy machine may not come to the last of them in that time.
    assert error.reason == "connect"
    assert MAX_TRIES // 2 < error.detail.count("127.0.0.1") <= MAX_TRIES
    assert 0.9 < time.monotonic() - started < 2.0


def test_post_is_not_repeated_at_another_address_once_it_was_sent() -> None:
    with Receiver() as receiver:
        receiver.default = lambda exchange: None
        with resolving(["127.0.0.1", "127.0.0.1"]) as (transport, _):
            assert failure(transport, url(receiver), LOOPBACK).reason == "protocol"
        assert (len(receiver.requests), receiver.connections) == (1, 1)


@pytest.mark.parametrize("answers", [[], None])
def test_reason_is_dns_when_there_is_no_address(answers: list[str] | None) -> None:
    def resolver(name: str) -> list[str]:
        if answers is None:
            raise socket.gaierror(socket.EAI_NONAME, "not known")
        return answers

    transport = Transport(resolver=resolver)
    assert failure(transport, "http://hooks.example/", CLOSED).reason == "dns"
    transport.close()


def test_literal_address_is_not_looked_up(receiver: Receiver) -> None:
    with resolving([]) as (transport, asked):
        assert transport.send(Request(receiver.url, {}, b"{}"), LOOPBACK).status == 200
        assert asked == []


def test_named_host_is_looked_up_as_the_system_does(receiver: Receiver) -> None:
    # Without the closing dot: search domains and the hosts file count for what is named.
    policy = LOOPBACK.merge(CallbackPolicy.from_strings(hosts=("tickets",)))
    with resolving(["127.0.0.1"]) as (transport, asked):
        assert transport.send(Request(url(receiver, "tickets"), {}, b"{}"), policy).status == 200
        assert asked == ["tickets"]


def test_system_resolver_is_the_default(receiver: Receiver) -> None:
    policy = LOOPBACK.merge(CallbackPolicy.from_strings(("::1/128",), ("localhost",)))
    transport = Transport(timeout=5)
    assert transport.send(Request(url(receiver, "localhost"), {}, b"{}"), policy).status == 200
    transport.close()


def test_connection_is_refused_when_the_peer_is_not_the_vetted_address(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PlainSocket, "getpeername", lambda _: ("127.0.0.2", 80))
    with resolving(["127.0.0.1"]) as (transport, _):
        error = failure(transport, url(receiver), LOOPBACK)
    assert (error.reason, receiver.requests) == ("refused", [])
