"""The egress proxy: CONNECT to the vetted address, nothing of it to the receiver, all in time."""

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kernel.errors import TransportError
from kernel.transport.addresses import CallbackPolicy
from kernel.transport.client import Limits, Request, Response, Transport
from kernel.transport.connecting.proxy import Proxy
from tests.support.proxy import ConnectProxy, Script
from tests.support.receiver import Receiver, authority

LOOPBACK = CallbackPolicy.from_strings(("127.0.0.1/32",))
CLOSED = CallbackPolicy()
PUBLIC = "8.8.8.8"
SECRET = "s3cret:/@"
WRITTEN = "s3cret%3A%2F%40"
BUDGET, SLACK = 0.5, 1.0


@pytest.fixture
def ca_file(tmp_path: Path) -> str:
    authority().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return str(tmp_path / "ca.pem")


@contextmanager
def through(
    proxy: str, addresses: list[str], ca_file: str | None = None, **limits: float
) -> Iterator[Transport]:
    """Open a transport that goes through this proxy, for which every name has these addresses."""
    transport = Transport(
        *(5.0, ca_file, Limits(**limits), lambda name: addresses),  # type: ignore[arg-type]
        proxy=Proxy.parse(proxy),
    )
    try:
        yield transport
    finally:
        transport.close()


def send(transport: Transport, url: str, policy: CallbackPolicy = LOOPBACK) -> Response:
    return transport.send(Request(url, {"X-A": "b"}, b"{}"), policy)


def failure(
    transport: Transport, url: str = "http://hooks.example/", policy: CallbackPolicy = LOOPBACK
) -> TransportError:
    with pytest.raises(TransportError) as caught:
        send(transport, url, policy)
    return caught.value


@pytest.mark.parametrize("tls", [(), ("hooks.example",)], ids=["http", "https"])
def test_proxy_sees_the_address_and_the_receiver_the_name(
    ca_file: str, tls: tuple[str, ...]
) -> None:
    with (
        Receiver(tls=tls) as receiver,
        ConnectProxy() as proxy,
        through(proxy.url, ["127.0.0.1"], ca_file) as transport,
    ):
        scheme = "https" if tls else "http"
        for _ in range(3):
            assert send(transport, f"{scheme}://hooks.example:{receiver.port}/a?b").status == 200
        assert (receiver.connections, transport.kept) == (1, 1)
    address = f"127.0.0.1:{receiver.port}"
    assert proxy.heads == [
        f"CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n"
        "User-Agent: kernel-workorders\r\n\r\n".encode()
    ]
    request = receiver.requests[0]
    assert (request.path, request.body) == ("/a?b", b"{}")
    assert request.headers["host"] == f"hooks.example:{receiver.port}"


def test_certificate_is_compared_with_the_name_behind_a_proxy(ca_file: str) -> None:
    with (
        Receiver(tls=("other.example",)) as receiver,
        ConnectProxy() as proxy,
        through(proxy.url, ["127.0.0.1"], ca_file) as transport,
    ):
        assert failure(transport, f"https://hooks.example:{receiver.port}/").reason == "tls"


def test_password_goes_to_the_proxy_and_nowhere_else() -> None:
    with Receiver() as receiver, ConnectProxy(credentials=f"kernel:{SECRET}") as proxy:
        right = f"http://kernel:{WRITTEN}@127.0.0.1:{proxy.port}"
        with through(right, []) as transport:
            assert send(transport, receiver.url).status == 200
    assert b"Proxy-Authorization: Basic a2VybmVsOnMzY3JldDovQA==\r\n" in proxy.heads[0]
    assert not [name for name in receiver.requests[0].headers if "auth" in name or "proxy" in name]


@pytest.mark.parametrize("userinfo", ["", f"kernel:{WRITTEN}x@"], ids=["none", "wrong"])
def test_password_that_is_wrong_is_our_failure_and_stands_in_no_detail(userinfo: str) -> None:
    with Receiver() as receiver, ConnectProxy(credentials="kernel:other") as proxy:
        with through(f"http://{userinfo}127.0.0.1:{proxy.port}", []) as transport:
            error = failure(transport, receiver.url)
        assert (error.reason, receiver.connections) == ("proxy", 0)
    assert "407" in error.detail
    assert "s3cret" not in f"{error!r} {error.detail} {error.data}"


def test_proxy_is_not_asked_when_an_address_is_not_allowed() -> None:
    with ConnectProxy() as proxy, through(proxy.url, [PUBLIC, "127.0.0.1"]) as transport:
        assert failure(transport, policy=CLOSED).reason == "refused"
        assert proxy.asked == []


def test_proxy_itself_is_not_vetted_and_kept_connections_go_by_the_receiver() -> None:
    wider = CallbackPolicy.from_strings(("10.0.0.0/8",))
    with Receiver() as receiver, ConnectProxy({PUBLIC: "127.0.0.1"}) as proxy:
        with through(proxy.url, [PUBLIC]) as transport:
            for policy in (CLOSED, wider):
                url = f"http://hooks.example:{receiver.port}/"
                assert send(transport, url, policy).status == 200
        assert (proxy.asked, receiver.connections) == ([f"{PUBLIC}:{receiver.port}"], 1)


def test_next_address_is_asked_for_when_the_proxy_does_not_reach_one() -> None:
    policy = CallbackPolicy.from_strings(("127.0.0.1/32", "::1/128"))
    with Receiver() as receiver, ConnectProxy() as proxy:
        with through(proxy.url, ["::1", "127.0.0.1"]) as transport:
            assert send(transport, f"http://hooks.example:{receiver.port}/", policy).status == 200
        assert proxy.asked == [f"[::1]:{receiver.port}", f"127.0.0.1:{receiver.port}"]


def test_request_is_not_repeated_through_a_proxy_once_it_was_sent() -> None:
    with Receiver() as receiver, ConnectProxy() as proxy:
        receiver.default = lambda exchange: None
        with through(proxy.url, ["127.0.0.1", "127.0.0.1"]) as transport:
            assert failure(transport, f"http://hooks.example:{receiver.port}/").reason == "protocol"
        assert (len(receiver.requests), len(proxy.asked)) == (1, 1)


def say(data: bytes) -> Script:
    return lambda sock, _: sock.sendall(data)


def hang(_: socket.socket, stopped: threading.Event) -> None:
    stopped.wait()


def flood(sock: socket.socket, stopped: threading.Event) -> None:
    sock.sendall(b"HTTP/1.1 200 OK\r\n")
    while not stopped.is_set():
        sock.sendall(b"X-Filler: " + b"z" * 8000 + b"\r\n")


def drip(sock: socket.socket, stopped: threading.Event) -> None:
    for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"z" * 9999:
        sock.sendall(bytes([byte]))
        stopped.wait(0.02)


def reset(sock: socket.socket, _: threading.Event) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


ANSWERS: dict[str, tuple[Script, str]] = {
    **{
        str(status): (say(b"HTTP/1.1 %d No\r\nContent-Length: 1\r\n\r\nz" % status), reason)
        for reason, statuses in {
            "connect": (403, 502, 503, 504),
            "proxy": (302, 400, 401, 404, 405, 407, 429, 500, 501),
        }.items()
        for status in statuses
    },
    "hang": (hang, "connect"),
    "drip": (drip, "connect"),
    "hang up": (lambda sock, _: None, "proxy"),
    "hang up in the head": (say(b"HTTP/1.1 200 OK\r\nX: "), "proxy"),
    "reset": (reset, "proxy"),
    "not HTTP": (say(b"SSH-2.0-OpenSSH_9.2\r\n\r\n\r\n"), "proxy"),
    "HTTP/2": (say(b"HTTP/2 200\r\n\r\n"), "proxy"),
    "impossible status": (say(b"HTTP/1.1 999 No\r\n\r\n"), "proxy"),
    "interim": (say(b"HTTP/1.1 100 Continue\r\n\r\n"), "proxy"),
    "endless head": (flood, "proxy"),
    "more than its answer": (say(b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"), "proxy"),
}


@pytest.mark.parametrize(("script", "reason"), ANSWERS.values(), ids=ANSWERS)
def test_request_fails_in_time_when_the_proxy_answers(script: Script, reason: str) -> None:
    with (
        Receiver() as receiver,
        ConnectProxy(script=script) as proxy,
        through(proxy.url, ["127.0.0.1"], connect_timeout=BUDGET) as transport,
    ):
        started = time.monotonic()
        assert failure(transport, receiver.url).reason == reason
        assert time.monotonic() - started < BUDGET + SLACK
        assert (receiver.connections, transport.kept) == (0, 0)


def test_deadline_is_the_requests_when_the_proxy_hangs() -> None:
    with ConnectProxy(script=hang) as proxy:
        with through(proxy.url, ["127.0.0.1"] * 9, connect_timeout=9.0) as transport:
            started = time.monotonic()
            with pytest.raises(TransportError) as caught:
                transport.send(Request("http://hooks.example/", {}, timeout=BUDGET), LOOPBACK)
        assert (caught.value.reason, time.monotonic() - started < BUDGET + SLACK) == (
            *("timeout", True),
        )


def test_bytes_of_the_proxys_answer_count() -> None:
    with Receiver() as receiver, ConnectProxy() as proxy:
        with through(proxy.url, [], max_bytes=40) as transport:
            assert failure(transport, receiver.url).reason == "proxy"
        with through(proxy.url, [], max_bytes=90) as transport:  # 55 of them are the proxy's
            assert failure(transport, receiver.url).reason == "too_large"


def test_reason_is_proxy_when_it_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with through(f"http://127.0.0.1:{port}", ["127.0.0.1"]) as transport:
        assert failure(transport).reason == "proxy"


def test_reason_is_proxy_when_its_name_is_unknown() -> None:
    def resolver(name: str) -> list[str]:
        if name == "proxy.corp":  # as the system looks it up: without a closing dot
            raise socket.gaierror(socket.EAI_NONAME, "not known")
        return [PUBLIC]

    transport = Transport(5, resolver=resolver, proxy=Proxy.parse("http://proxy.corp:3128"))
    error = failure(transport, policy=CLOSED)
    assert (error.reason, "proxy.corp" in error.detail) == ("proxy", True)
    transport.close()


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "ALL_PROXY"])
def test_proxies_of_the_environment_are_not_asked(
    ca_file: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    transport = Transport(5, ca_file, resolver=lambda name: ["127.0.0.1"])
    with ConnectProxy() as proxy, Receiver(tls=("hooks.example",)) as receiver:
        monkeypatch.setenv(name, proxy.url)
        assert send(transport, receiver.url).status == 200
        assert proxy.asked == []
    transport.close()


@pytest.mark.parametrize(
    ("url", "host", "port", "literal"),
    [
        ("http://proxy.corp:3128", "proxy.corp", 3128, False),
        ("http://PROXY:1/", "proxy", 1, False),
        ("http://10.0.0.1:65535", "10.0.0.1", 65535, True),
        ("http://[fd00::1]:8080", "fd00::1", 8080, True),
        (f"http://u:{WRITTEN}@proxy.corp:3128", "proxy.corp", 3128, False),
    ],
)
def test_proxy_is_read_from_its_url(url: str, host: str, port: int, literal: bool) -> None:
    found = Proxy.parse(url)
    assert (found.host, found.port, found.literal) == (host, port, literal)
    assert "s3cret" not in repr(found)


@pytest.mark.parametrize(
    "url",
    [
        *("", "s3cret", "proxy.corp:3128", "https://s3cret@p:1", "socks5://u:s3cret@p:1"),
        *("http://p", "http://p:0", "http://p:65536", "http://p:s3cret", "http://u:s3cret@p"),
        *("http://p:1/s3cret", "http://p:1?s3cret", "http://p:1#s3cret", "http://a b:1"),
        *("http://s3cret@p:1", "http://:s3cret@p:1", "http://u%3As3cret:x@p:1", "http://[::1:1"),
        *("http://u:s3cret@@p:1", "http://u:s3cret/@p:1", "http://p:1\r\nX: s3cret"),
    ],
)
def test_proxy_is_refused_in_words_that_quote_nothing(url: str) -> None:
    with pytest.raises(ValueError, match=r"write|colon") as caught:
        Proxy.parse(url)
    assert "s3cret" not in str(caught.value)
