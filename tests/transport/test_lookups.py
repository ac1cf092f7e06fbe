"""Looking names up: in time, in few threads, and fairly among callers."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from kernel.errors import TransportError
from kernel.transport.client import Limits, Request, Transport
from tests.support.receiver import Receiver
from tests.transport.test_dialer import LOOPBACK, failure, resolving, url

# How many lookups there are at once, and how many of them one caller alone may hold.
SLOTS, SHARE = 6, 3


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def stalled() -> Iterator[tuple[Transport, list[str], threading.Event]]:
    """A transport whose resolver does not return until told, save for ``fast.example``."""
    asked: list[str] = []
    go_on = threading.Event()

    def resolver(name: str) -> list[str]:
        asked.append(name)
        if name != "fast.example.":
            go_on.wait()
        return ["127.0.0.1"]

    limits = Limits(dns_timeout=0.2, max_lookups=SLOTS)
    transport = Transport(timeout=5, limits=limits, resolver=resolver)
    yield transport, asked, go_on
    go_on.set()
    transport.close()


def test_lookup_ends_in_time_when_the_resolver_stalls(stalled: Any) -> None:
    started = time.monotonic()
    assert failure(stalled[0], "http://slow.example/", LOOPBACK).reason == "dns"
    assert time.monotonic() - started < 1.2


def test_stalled_name_costs_one_thread_however_many_posts_wait_for_it(stalled: Any) -> None:
    transport, asked, _ = stalled

    def reason(_: int) -> str:
        return failure(transport, "http://slow.example/", LOOPBACK).reason

    with ThreadPoolExecutor(50) as pool:
        assert set(pool.map(reason, range(50))) == {"dns"}
    assert asked == ["slow.example."]


def stall(stalled: Any, caller: int, count: int) -> list[str]:
    """Post to names of this caller that do not resolve; return the reasons."""
    reasons = []
    for number in range(count):
        address = f"http://slow{number}.of{caller}.example/"
        with pytest.raises(TransportError) as caught:
            stalled[0].send(Request(address, {}, b"{}"), LOOPBACK, caller)
        reasons.append(caught.value.reason)
    return reasons


def test_names_of_other_callers_resolve_when_one_callers_stall(
    stalled: Any, receiver: Receiver
) -> None:
    stall(stalled, 1, SLOTS + 2)
    fast = url(receiver, "fast.example")
    assert stalled[0].send(Request(fast, {}, b"{}"), LOOPBACK, 2).status == 200


def test_it_is_not_held_against_a_receiver_when_a_caller_has_no_lookup_left(stalled: Any) -> None:
    assert stall(stalled, 1, SHARE + 1) == [*["dns"] * SHARE, "no_room"]


def test_lookups_are_bounded_and_recover_when_all_have_stalled(
    stalled: Any, receiver: Receiver
) -> None:
    for caller in range(SLOTS):
        stall(stalled, caller, SHARE + 1)
    assert len(stalled[1]) == SLOTS
    stalled[2].set()
    fast = url(receiver, "fast.example")
    assert stalled[0].send(Request(fast, {}, b"{}"), LOOPBACK).status == 200


def test_name_resolves_when_no_thread_can_be_started_for_it(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name == "lookup":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with resolving(["127.0.0.1"], max_lookups=1) as (transport, asked):
        for host in ("a.example", "b.example", "c.example"):
            assert transport.send(Request(url(receiver, host), {}, b"{}"), LOOPBACK).status == 200
    assert len(asked) == 3
