"""Receivers that mean harm, or are broken: each ends with the right reason, inside its budget."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from kernel.errors import TransportError
from kernel.transport.addresses import CallbackPolicy
from kernel.transport.client import Limits, Request, Response, Transport
from tests.support import receiver as r
from tests.support.receiver import Receiver, Script

LOOPBACK = CallbackPolicy.from_strings(("127.0.0.1/32",))
NAMES = {"hooks.example.": ["127.0.0.1"]}
BUDGET = 0.5
# A busy machine may take a while to wake a thread whose time is over.
SLACK = 1.0
MIB = 1 << 20

SAY_200 = b"HTTP/1.1 200 OK\r\n"
FAILURES: dict[str, tuple[Script, str]] = {
    "hang": (r.hang, "timeout"),
    "slow answer": (r.Answer(200, delay=2 * BUDGET), "timeout"),
    "dripped headers": (r.drip_headers, "timeout"),
    "dripped status": (lambda e: e.drip(b"HTTP/1.1" + b" " * 9999), "timeout"),
    "dripped continues": (lambda e: e.drip(b"HTTP/1.1 100 C\r\n\r\n" * 99, 0.01), "timeout"),
    "endless headers": (r.endless_headers, "too_large"),
    "endless continues": (r.endless_continue, "too_large"),
    "endless header": (lambda e: e.flood(SAY_200 + b"A: ", b"z" * 65536), "too_large"),
    "reset": (r.reset, "protocol"),
    "hang up": (r.hang_up, "protocol"),
    "hang up in the headers": (r.say(b"HTTP/1.1 2"), "protocol"),
    "not HTTP": (r.say(b"SSH-2.0-OpenSSH_9.2\r\n"), "protocol"),
    "HTTP/2": (r.say(b"HTTP/2 200\r\n\r\n"), "protocol"),
    "only an interim answer": (r.say(b"HTTP/1.1 103 Early Hints\r\n\r\n"), "protocol"),
    "endless hints": (
        lambda e: e.flood(b"", b"HTTP/1.1 103 H\r\nLink: </a>\r\n\r\n" * 500),
        "too_large",
    ),
    "dripped hints": (lambda e: e.drip(b"HTTP/1.1 102 P\r\n\r\n" * 99, 0.01), "timeout"),
    "switching protocols": (r.say(b"HTTP/1.1 101 Switching\r\n\r\n"), "protocol"),
    "impossible status": (r.say(b"HTTP/1.1 999 No\r\n\r\n"), "protocol"),
    "a thousand headers": (r.say(SAY_200 + b"A: b\r\n" * 1000 + b"\r\n"), "protocol"),
    "two lengths": (r.say(SAY_200 + b"Content-Length: 1, 2\r\n\r\nzz"), "protocol"),
    "redirect": (r.Answer(302, {"Location": "/"}), "redirect"),
    "redirect without place": (r.Answer(308), "redirect"),
    "not modified": (r.say(b"HTTP/1.1 304 Same\r\n\r\n"), "redirect"),
    "redirect and bomb": (r.gzip_bomb(302), "redirect"),
    "redirect and endless body": (
        lambda e: e.flood(b"HTTP/1.1 302 F\r\nLocation: /\r\n\r\n", bytes(65536)),
        "redirect",
    ),
}

# The status is the receiver's word, even if the body is cut.
CUTS: dict[str, tuple[Script, str | None]] = {
    "dripped body": (r.drip_body, "timeout"),
    "dripped chunks": (
        lambda e: e.drip(
            SAY_200 + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nz\r\n" * 99, 0.01
        ),
        "timeout",
    ),
    "endless body": (r.endless_body, "too_large"),
    "endless chunks": (
        lambda e: e.flood(
            SAY_200 + b"Transfer-Encoding: chunked\r\n\r\n", b"fff\r\n" + b"z" * 4097
        ),
        "too_large",
    ),
    "large body": (r.Answer(200, body=bytes(MIB)), "too_large"),
    "gzip bomb": (r.gzip_bomb(200), None),
    "body cut off": (r.say(SAY_200 + b"Content-Length: 9\r\n\r\nz"), "protocol"),
    "wrong chunks": (r.say(SAY_200 + b"Transfer-Encoding: chunked\r\n\r\nzz"), "protocol"),
}


@pytest.fixture
def transport(tmp_path: Path) -> Iterator[Transport]:
    r.authority().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    made = Transport(BUDGET, str(tmp_path / "ca.pem"), resolver=NAMES.__getitem__)
    yield made
    made.close()


@contextmanager
def bounded(seconds: float = BUDGET) -> Iterator[None]:
    """Fail when the block takes much longer than ``seconds`` or 16 MiB of memory."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    before, started = memory("VmRSS"), time.monotonic()
    yield
    assert time.monotonic() - started < seconds + SLACK
    assert memory("VmHWM") - before < 16 * MIB


def memory(which: str) -> int:
    found = re.search(rf"{which}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * 1024


def post(transport: Transport, receiver: Receiver) -> Response:
    return transport.send(Request(receiver.url, {}, b"{}"), LOOPBACK)


@pytest.mark.parametrize(("script", "reason"), FAILURES.values(), ids=FAILURES)
def test_post_fails_within_its_budgets_when_the_answer_is(
    transport: Transport, script: Script, reason: str
) -> None:
    with Receiver() as receiver:
        receiver.script(script)
        with bounded(), pytest.raises(TransportError) as caught:
            post(transport, receiver)
        assert (caught.value.reason, len(receiver.requests)) == (reason, 1)
        assert "send" in caught.value.data["phases"]


@pytest.mark.parametrize("status", [100, 102, 103, 110, 199])
def test_post_has_the_final_status_when_interim_answers_come_first(
    transport: Transport, status: int
) -> None:
    interim = b"HTTP/1.1 %d Interim\r\nLink: </a>\r\n\r\n" % status
    with Receiver() as receiver:
        receiver.script(r.say(interim * 3 + SAY_200 + b"Content-Length: 1\r\n\r\nz"))
        response = post(transport, receiver)
    assert (response.status, response.body, response.cut) == (200, b"z", None)


@pytest.mark.parametrize(("script", "cut"), CUTS.values(), ids=CUTS)
def test_post_has_its_status_within_its_budgets_when_the_body_is(
    transport: Transport, script: Script, cut: str | None
) -> None:
    with Receiver() as receiver:
        receiver.script(script)
        with bounded():
            response = post(transport, receiver)
        assert (response.status, response.cut) == (200, cut)
        assert len(response.body) <= 1024


@pytest.mark.parametrize("cut", [r.endless_body, r.drip_body, r.redirect("/")])
def test_connection_is_not_used_again_when_its_body_was_not_read(
    transport: Transport, cut: Script
) -> None:
    with Receiver() as receiver:
        receiver.script(cut)
        with suppress(TransportError):
            post(transport, receiver)
        assert post(transport, receiver).status == 200
        assert receiver.connections == 2


def test_redirect_leads_nowhere_when_it_points_to_an_internal_listener(
    transport: Transport,
) -> None:
    with Receiver() as internal, Receiver() as receiver:
        for status in (301, 302, 303, 307, 308):
            receiver.script(r.redirect(internal.url, status))
            with pytest.raises(TransportError) as caught:
                post(transport, receiver)
            assert caught.value.data["status"] == status
        assert internal.connections == 0


@pytest.mark.parametrize(
    ("before_tls", "reason"),
    [
        (r.drip_handshake, "timeout"),
        (lambda sock, stopped: stopped.wait(), "timeout"),
        (r.not_tls, "tls"),
        (lambda sock, stopped: sock.close(), "tls"),
    ],
    ids=["drip", "hang", "not tls", "hang up"],
)
def test_post_fails_within_its_budgets_when_the_handshake_is(
    transport: Transport, before_tls: Callable[..., None], reason: str
) -> None:
    with Receiver(tls=("hooks.example",), before_tls=before_tls) as receiver:
        with bounded(), pytest.raises(TransportError) as caught:
            post(transport, receiver)
        assert (caught.value.reason, receiver.requests) == (reason, [])


@pytest.mark.parametrize(
    "script", [r.hang, r.drip_headers, r.endless_headers, r.reset], ids=lambda s: s.__name__
)
def test_budgets_hold_when_over_tls(transport: Transport, script: Script) -> None:
    reasons = {r.reset: "protocol", r.endless_headers: "too_large"}
    with Receiver(tls=("hooks.example",)) as receiver:
        receiver.script(script)
        with bounded(), pytest.raises(TransportError) as caught:
            post(transport, receiver)
        assert caught.value.reason == reasons.get(script, "timeout")


def test_budgets_start_anew_when_a_connection_is_kept(transport: Transport) -> None:
    with Receiver() as receiver:
        receiver.default = r.Answer(200, body=bytes(50_000), delay=BUDGET / 2)
        statuses = [post(transport, receiver).status for _ in range(4)]
        assert (statuses, receiver.connections) == ([200] * 4, 1)


def test_post_fails_in_time_when_the_receiver_does_not_read(transport: Transport) -> None:
    body, started = bytes(16 * MIB), time.monotonic()
    with Receiver(before_tls=lambda sock, stopped: stopped.wait()) as receiver:
        with pytest.raises(TransportError) as caught:
            transport.send(Request(receiver.url, {}, body), LOOPBACK)
        assert time.monotonic() - started < BUDGET + SLACK
        assert caught.value.reason == "timeout"


def test_request_ends_in_its_own_time_when_it_names_less() -> None:
    patient, started = Transport(30), time.monotonic()
    with Receiver() as receiver:
        receiver.script(r.drip_headers)
        with pytest.raises(TransportError) as caught:
            patient.send(Request(receiver.url, {}, b"{}", timeout=BUDGET), LOOPBACK)
    assert (caught.value.reason, time.monotonic() - started < BUDGET + SLACK) == ("timeout", True)
    patient.close()


def test_byte_budget_holds_when_the_request_asks_for_more(transport: Transport) -> None:
    with Receiver() as receiver:
        receiver.script(r.endless_body)
        with bounded():
            request = Request(receiver.url, {}, b"{}", read_bytes=1 << 30)
            response = transport.send(request, LOOPBACK)
    assert (response.status, response.cut) == (200, "too_large")
    assert Limits().max_bytes < len(response.body) <= Limits().max_body


def test_body_is_read_past_the_budget_when_the_request_asks_for_it(transport: Transport) -> None:
    with Receiver() as receiver:
        receiver.default = r.Answer(200, body=bytes(200_000))
        whole = transport.send(Request(receiver.url, {}, b"{}", read_bytes=MIB), LOOPBACK)
        assert (whole.body, whole.cut) == (bytes(200_000), None)
        assert post(transport, receiver).cut == "too_large"


def test_byte_budget_is_the_whole_answers() -> None:
    small = Transport(BUDGET, limits=Limits(max_bytes=100))
    with Receiver() as receiver:
        receiver.script(r.Answer(200, {"A": "z" * 200}))
        with pytest.raises(TransportError, match="too many bytes"):
            post(small, receiver)
    small.close()
