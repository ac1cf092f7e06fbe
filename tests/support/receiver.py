"""A real HTTP(S) receiver on loopback that does what a test tells it to, however hostile.

    with Receiver() as receiver:
        receiver.script(503, Answer(429, {"Retry-After": "7"}), reset)
        ...  # POST to receiver.url
        [first, second, third] = receiver.wait(3)

Answers are used up in order, then it gives `receiver.default` (200). An answer is a status, an
`Answer`, or a function that does as it likes with its `Exchange`'s socket, which is then closed.
"""

import contextlib
import gzip
import socket
import ssl
import struct
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import BinaryIO

import trustme

from kernel.transport.addresses import INTERNAL_PORTS


@dataclass(frozen=True)
class Request:
    """A request as it came in. Header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    received: float = field(default_factory=time.monotonic)
    connection: int = 0


@dataclass(frozen=True)
class Answer:
    """A well-formed answer, after ``delay`` seconds."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    delay: float = 0.0


@dataclass
class Exchange:
    """What a scripted function gets; it returns when ``stopped``."""

    sock: socket.socket
    request: Request
    stopped: threading.Event

    def drip(self, data: bytes, pause: float = 0.05) -> None:
        """Send a byte at a time."""
        for byte in data:
            self.sock.sendall(bytes([byte]))
            if self.stopped.wait(pause):
                return

    def flood(self, head: bytes, again: bytes) -> None:
        """Send ``again`` without end."""
        self.sock.sendall(head)
        while not self.stopped.is_set():
            self.sock.sendall(again)


Script = int | Answer | Callable[[Exchange], None]


class Receiver:
    """Listens on a free port of 127.0.0.1, or on ``port``, while entered.

    ``tls``: names to present a certificate for, signed by `authority()`; ``context``: how instead.
    ``before_tls`` gets each new connection before the handshake.
    """

    def __init__(
        self,
        tls: tuple[str, ...] = (),
        before_tls: Callable[[socket.socket, threading.Event], None] | None = None,
        port: int = 0,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self.requests: list[Request] = []
        self.connections = self.closed = 0
        self.default: Script = 200
        self._scripts: defaultdict[str | None, deque[Script]] = defaultdict(deque)
        self._context = context or (_server_context(*tls) if tls else None)
        self._before_tls = before_tls
        self._changed = threading.Condition()
        self._stopped = threading.Event()
        self._open: set[socket.socket] = set()
        self._listener = _listen(port)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://{tls[0] if tls else '127.0.0.1'}:{self.port}/"

    def __enter__(self) -> "Receiver":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stopped.set()
        _close(self._listener)
        self.disconnect()

    def script(self, *answers: Script, path: str | None = None) -> None:
        """Answer the next requests like this, those for ``path`` if one is given."""
        with self._changed:
            self._scripts[path].extend(answers)

    def wait(self, count: int, timeout: float = 10.0) -> list[Request]:
        """Return the requests once there are ``count``; AssertionError if there are fewer."""
        with self._changed:
            enough = self._changed.wait_for(lambda: len(self.requests) >= count, timeout)
            assert enough, f"{len(self.requests)} of {count} requests came in {timeout} s"
            return list(self.requests)

    def wait_closed(self, count: int, timeout: float = 10.0) -> None:
        """Return once ``count`` connections have been closed at this end."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.closed >= count, timeout)

    def disconnect(self) -> None:
        """Close every open connection."""
        with self._changed:
            connections, self._open = self._open, set()
        for sock in connections:
            _close(sock)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                with self._changed:
                    self.connections += 1
                    self._open.add(sock)
                    number = self.connections
                threading.Thread(target=self._serve, args=(sock, number), daemon=True).start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        # A client that hangs up, early or rudely, is what half of the tests are about.
        with contextlib.suppress(OSError, ValueError):
            talk = self._handshake(sock)
            with contextlib.closing(talk), talk.makefile("rb") as stream:
                while request := _read_request(stream, number):
                    self._answer(talk, request)
        _close(sock)
        with self._changed:
            self._open.discard(sock)
            self.closed += 1
            self._changed.notify_all()

    def _handshake(self, sock: socket.socket) -> socket.socket:
        if self._before_tls:
            self._before_tls(sock, self._stopped)
        if self._context is None:
            return sock
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        talk = self._context.wrap_socket(sock, server_side=True)
        with self._changed:
            self._open.add(talk)
        return talk

    def _answer(self, sock: socket.socket, request: Request) -> None:
        with self._changed:
            script = self._scripts[request.path] or self._scripts[None]
            answer = script.popleft() if script else self.default
            self.requests.append(request)
            self._changed.notify_all()
        if isinstance(answer, int):
            answer = Answer(answer)
        if isinstance(answer, Answer):
            self._stopped.wait(answer.delay)
            sock.sendall(_encode(answer))
        else:
            answer(Exchange(sock, request, self._stopped))
        if not isinstance(answer, Answer) or answer.headers.get("Connection") == "close":
            raise OSError("the connection ends here")


def redirect(to: str, status: int = 302) -> Answer:
    """Send the client elsewhere."""
    return Answer(status, {"Location": to})


def _listen(port: int) -> socket.socket:
    while True:
        listener = socket.create_server(("127.0.0.1", port), backlog=512)
        if listener.getsockname()[1] not in INTERNAL_PORTS:
            return listener
        listener.close()


def _close(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()


def _read_request(stream: BinaryIO, number: int) -> Request | None:
    line = stream.readline().decode("latin-1").split()
    if len(line) != 3:
        return None
    headers = {}
    while header := stream.readline().decode("latin-1").strip():
        name, _, value = header.partition(":")
        headers[name.lower()] = value.strip()
    body = stream.read(int(headers.get("content-length", 0)))
    return Request(line[0], line[1], headers, body, connection=number)


def _encode(answer: Answer) -> bytes:
    lines = [f"HTTP/1.1 {answer.status} Scripted", f"Content-Length: {len(answer.body)}"]
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + answer.body


@cache
def authority() -> trustme.CA:
    """Return the authority that signs every TLS receiver's certificate, one per test run."""
    return trustme.CA()


@cache
def _server_context(*names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority().issue_cert(*names).configure_cert(context)
    return context


# What receivers answer when they mean harm, or are broken. Each is one entry of a script.


def hang(exchange: Exchange) -> None:
    """Never answer."""
    exchange.stopped.wait()


def reset(exchange: Exchange) -> None:
    """Answer with a TCP reset."""
    exchange.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def hang_up(exchange: Exchange) -> None:
    """Close without an answer."""


def say(data: bytes) -> Callable[[Exchange], None]:
    """Answer with exactly these bytes, then close."""
    return lambda exchange: exchange.sock.sendall(data)


def drip_headers(exchange: Exchange) -> None:
    """Send the status line and headers a byte at a time."""
    exchange.drip(b"HTTP/1.1 200 OK\r\nX-Slow: " + b"z" * 10_000)


def drip_body(exchange: Exchange) -> None:
    """Send the body a byte at a time."""
    exchange.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
    exchange.drip(b"z" * 10_000)


def endless_body(exchange: Exchange) -> None:
    """Send a body that does not end."""
    exchange.flood(b"HTTP/1.1 200 OK\r\n\r\n", b"z" * 65536)


def endless_headers(exchange: Exchange) -> None:
    """Send headers that do not end."""
    exchange.flood(b"HTTP/1.1 200 OK\r\n", b"X-Filler: " + b"z" * 8000 + b"\r\n")


def endless_continue(exchange: Exchange) -> None:
    """Send 100 Continue without end."""
    exchange.flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 500)


@cache
def gzip_bomb(status: int, location: str = "/") -> Answer:
    """Answer with 64 MiB of zeros, in 64 KiB of gzip."""
    headers = {"Content-Encoding": "gzip", "Location": location}
    return Answer(status, headers, gzip.compress(bytes(64 << 20)))


def drip_handshake(sock: socket.socket, stopped: threading.Event) -> None:
    """Answer the client's hello with a TLS record that takes forever (``before_tls``)."""
    Exchange(sock, Request("", "", {}, b""), stopped).drip(b"\x16\x03\x03\x40\x00\x02" + bytes(999))


def not_tls(sock: socket.socket, stopped: threading.Event) -> None:
    """Answer the client's hello with something that is not TLS (``before_tls``)."""
    sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
