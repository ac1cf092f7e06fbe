"""Kept connections: used again only when nothing is left on them, closed in time, few."""

import json
import select
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from kernel.transport.addresses import CallbackPolicy
from kernel.transport.client import Limits, Request, Transport
from kernel.transport.kept import is_silent
from tests.support.receiver import Exchange, Receiver, Script, authority
from tests.support.waiting import wait_until

LOOPBACK = CallbackPolicy.from_strings(("127.0.0.1/32",))
NAMES = {"hooks.example.": ["127.0.0.1"]}
OK = b"HTTP/1.1 200 OK\r\n"
EMPTY = OK + b"Content-Length: 0\r\n\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n1;a=b\r\nz\r\n0\r\n"
POST_BODY = b"{}"


@pytest.fixture
def ca_file(tmp_path: Path) -> str:
    authority().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return str(tmp_path / "ca.pem")


@pytest.fixture
def transport(ca_file: str) -> Iterator[Transport]:
    made = Transport(5, ca_file, resolver=NAMES.__getitem__)
    yield made
    made.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


def post(transport: Transport, receiver: Receiver) -> int:
    return transport.send(Request(receiver.url, {}, POST_BODY), LOOPBACK).status


def say_and_stay(data: bytes) -> Script:
    """Answer with exactly these bytes, as often as asked, until the other end closes."""

    def answer(exchange: Exchange) -> None:
        exchange.sock.sendall(data)
        while exchange.sock.recv(65536).endswith(POST_BODY):
            exchange.sock.sendall(data)

    return answer


@pytest.mark.parametrize(
    "answer",
    [
        EMPTY,
        OK + b"Content-Length: 20000\r\n\r\n" + b"z" * 20000,
        CHUNKED + b"\r\n",
        CHUNKED + b"Trailer-1: a\r\nTrailer-2: b\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + EMPTY,
        OK + b"X-Odd_1: a: b\r\n\t c\r\nContent-Length:0 \r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    ],
    ids=["empty", "length", "chunks", "trailers", "204", "interim", "folded", "bare line ends"],
)
def test_connection_is_kept_when_the_answer_ends_by_its_own_framing(
    transport: Transport, receiver: Receiver, answer: bytes
) -> None:
    receiver.script(say_and_stay(answer))
    assert {post(transport, receiver) for _ in range(3)} <= {200, 204}
    assert receiver.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        EMPTY + b"HTTP/1.1 500 Smuggled\r\nContent-Length: 0\r\n\r\n",
        CHUNKED + b"\r\nz",
        b"HTTP/1.1 204 No Content\r\n\r\nz",
        OK + b"Content-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK + b"Content-Length: 0\r\nTransfer-Encoding: identity\r\n\r\n",
        OK + b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n",
        OK + b"Content-Length: +0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK + b"no field\r\nContent-Length: 0\r\n\r\n",
        OK + b": nameless\r\nContent-Length: 0\r\n\r\n",
        OK + b" folded\r\nContent-Length: 0\r\n\r\n",
        OK + b"Transfer-Encoding : chunked\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=[
        *("second answer", "byte after chunks", "byte after 204", "length and chunks"),
        *("other coding", "two lengths", "signed length", "204 with a body", "chunks in 1.0"),
        *("no field", "no name", "fold of nothing", "space before the colon"),
    ],
)
def test_connection_is_not_kept_when_the_end_of_the_answer_is_in_doubt(
    transport: Transport, receiver: Receiver, answer: bytes
) -> None:
    receiver.script(say_and_stay(answer))
    assert post(transport, receiver) in (200, 204)
    assert (post(transport, receiver), receiver.connections) == (200, 2)


def test_connection_is_not_used_again_when_something_came_in_meanwhile(
    transport: Transport, receiver: Receiver
) -> None:
    go_on, said = threading.Event(), threading.Event()

    def late(exchange: Exchange) -> None:
        exchange.sock.sendall(EMPTY)
        go_on.wait(10)
        exchange.sock.sendall(b"HTTP/1.1 500 Late\r\nContent-Length: 0\r\n\r\n")
        said.set()
        exchange.stopped.wait()

    receiver.script(late)
    assert post(transport, receiver) == 200
    go_on.set()
    assert said.wait(10)
    assert (post(transport, receiver), receiver.connections) == (200, 2)


def test_connection_is_not_used_again_when_tls_holds_bytes_after_the_answer(
    transport: Transport,
) -> None:
    # One TLS record: what is read of it at once ends exactly where the answer does.
    head = OK + b"Content-Length: 8000\r\n"
    head += b"X-Filler: " + b"z" * (8192 - 8000 - len(head) - 14) + b"\r\n\r\n"
    smuggled = b"HTTP/1.1 500 Smuggled\r\nContent-Length: 0\r\n\r\n"
    with Receiver(tls=("hooks.example",)) as receiver:
        receiver.script(say_and_stay(head + b"z" * 8000 + smuggled))
        assert post(transport, receiver) == 200
        assert (post(transport, receiver), receiver.connections) == (200, 2)


def test_session_tickets_are_not_the_receivers_word(ca_file: str) -> None:
    with Receiver(tls=("hooks.example",)) as receiver:
        context = ssl.create_default_context(cafile=ca_file)
        plain = socket.create_connection(("127.0.0.1", receiver.port))
        with context.wrap_socket(plain, server_hostname="hooks.example") as sock:
            assert sock.version() == "TLSv1.3"
            assert select.select([sock], [], [], 10)[0]  # the tickets are there
            assert is_silent(sock)
            # The second ticket may come only now, and the receiver may not have the socket yet.
            wait_until(lambda: receiver.disconnect() or not is_silent(sock))


@pytest.mark.parametrize("tls", [(), ("hooks.example",)], ids=["http", "https"])
def test_connection_is_used_again_over_either_scheme(
    transport: Transport, tls: tuple[str, ...]
) -> None:
    with Receiver(tls=tls) as receiver:
        assert {post(transport, receiver) for _ in range(3)} == {200}
        assert (receiver.connections, transport.kept) == (1, 1)


def test_idle_connection_is_closed_in_time_without_another_post(receiver: Receiver) -> None:
    transport = Transport(5, limits=Limits(max_idle=0.0))
    post(transport, receiver)
    assert transport.kept == 1
    transport.sweep()
    receiver.wait_closed(1)
    assert transport.kept == 0


def test_idle_connection_is_closed_in_time_by_posts_to_other_receivers(
    receiver: Receiver,
) -> None:
    transport = Transport(5, limits=Limits(max_idle=0.0))
    post(transport, receiver)
    with Receiver() as other:
        post(transport, other)
    receiver.wait_closed(1)
    transport.close()


def test_connection_is_closed_when_the_receiver_has_closed_it(
    transport: Transport, receiver: Receiver
) -> None:
    post(transport, receiver)
    receiver.disconnect()
    receiver.wait_closed(1)
    transport.sweep()
    assert transport.kept == 0


def test_sweep_leaves_young_and_silent_connections_alone(
    transport: Transport, receiver: Receiver
) -> None:
    post(transport, receiver)
    transport.sweep()
    post(transport, receiver)
    assert receiver.connections == 1


def test_connections_to_all_receivers_together_are_few() -> None:
    transport = Transport(5, limits=Limits(max_kept=3))
    with ExitStack() as stack:
        receivers = [stack.enter_context(Receiver()) for _ in range(6)]
        for receiver in receivers:
            post(transport, receiver)
            assert transport.kept <= 3
        for receiver in receivers[:3]:  # those idle longest
            receiver.wait_closed(1)
        assert [receiver.closed for receiver in receivers[3:]] == [0, 0, 0]
    transport.close()


def test_connections_to_one_receiver_are_few() -> None:
    transport, together = Transport(5, limits=Limits(pool_size=2)), threading.Barrier(5)
    with Receiver() as receiver, ThreadPoolExecutor(5) as pool:
        receiver.default = lambda exchange: (together.wait(10), say_and_stay(EMPTY)(exchange))  # type: ignore[operator]
        list(pool.map(lambda _: post(transport, receiver), range(5)))
        receiver.wait_closed(3)
        assert transport.kept == 2
        transport.close()


# Posts from 16 threads to each of the URLs, with a limit of descriptors that is soon reached.
MANY = """
import json, os, resource, sys
from concurrent.futures import ThreadPoolExecutor
resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))
from kernel.transport.addresses import CallbackPolicy
from kernel.transport.client import Request, Transport
urls = json.loads(sys.argv[1])
policy = CallbackPolicy.from_strings(("127.0.0.1/32",))
transport = Transport(20)
def post(url):
    transport.send(Request(url, {}, b"{}"), policy)
    return len(os.listdir("/proc/self/fd"))
with ThreadPoolExecutor(16) as pool:
    print(json.dumps(max(pool.map(post, urls * 8))))
"""


def test_descriptors_are_bounded_with_many_receivers() -> None:
    with ExitStack() as stack:
        receivers = [stack.enter_context(Receiver()) for _ in range(62)]
        most = run(MANY, json.dumps([one.url for one in receivers]))
    # A quarter of 128 are kept, 16 are in use, and Python has a few.
    assert most < 80
    assert sum(len(one.requests) for one in receivers) == 62 * 8


# Posts while there is no descriptor left, by an address and by a name, and when there is one.
NONE_LEFT = """
import json, os, resource, sys
from kernel.errors import TransportError
from kernel.transport.addresses import CallbackPolicy
from kernel.transport.client import Request, Transport
port = sys.argv[1]
policy = CallbackPolicy.from_strings(("127.0.0.1/32",), ("localhost",))
transport = Transport(20)
def post(host):
    try:
        return transport.send(Request(f"http://{host}:{port}/", {}, b"{}"), policy).status
    except TransportError as error:
        return error.reason
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
highest = max(map(int, os.listdir("/proc/self/fd")))
taken = [os.open("/dev/null", os.O_RDONLY) for _ in range(8)]
resource.setrlimit(resource.RLIMIT_NOFILE, (max(taken) + 1, hard))
said = [post("127.0.0.1"), post("localhost")]
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
print(json.dumps([*said, post("127.0.0.1")]))
"""


def test_it_is_not_held_against_a_receiver_when_no_descriptor_is_left(receiver: Receiver) -> None:
    assert run(NONE_LEFT, str(receiver.port)) == ["no_room", "no_room", 200]


def run(program: str, argument: str) -> Any:
    """Return what the program prints, as JSON."""
    done = subprocess.run(
        [sys.executable, "-c", program, argument],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
