"""The server under every simulator: routes, recorded requests, faults that are switched on."""

import json
import re
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from kernel.transport.addresses import INTERNAL_PORTS
from tests.support.receiver import authority


@dataclass(frozen=True)
class Call:
    """A request as it came in. Header names are in lower case; ``target`` is not decoded."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    received: float = field(default_factory=time.monotonic)

    @cached_property
    def segments(self) -> tuple[str, ...]:
        """The path's segments, each decoded after the split: %2F does not part them."""
        return tuple(unquote(one) for one in urlsplit(self.target).path.strip("/").split("/"))

    @cached_property
    def query(self) -> dict[str, str]:
        """The query's parameters."""
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @cached_property
    def form(self) -> dict[str, str]:
        """The body's fields, empty unless it is an urlencoded form."""
        is_form = self.media_type == "application/x-www-form-urlencoded"
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True)) if is_form else {}

    @property
    def media_type(self) -> str:
        """The body's type without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def json(self) -> Any:
        """The body; ValueError if it is not JSON in UTF-8."""
        return json.loads(self.body.decode("utf-8"))

    def members(self) -> dict[str, Any]:
        """The body's members; empty when it is no JSON object."""
        try:
            found = self.json()
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


@dataclass(frozen=True)
class Reply:
    """An answer. A ``body`` that is not bytes or text goes out as JSON; ``pause``: s per byte."""

    status: int = 200
    body: Any = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str | None = None
    pause: float = 0.0

    def encoded(self) -> bytes:
        """The body's bytes."""
        if isinstance(self.body, bytes):
            return self.body
        text = self.body if isinstance(self.body, str) else json.dumps(self.body)
        return text.encode()

    def with_headers(self, **headers: str) -> "Reply":
        """Return the same answer with more headers: `_` in a name stands for `-`."""
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        return replace(self, headers={**self.headers, **more})


class HungUp(Exception):
    """The connection ends without an answer."""


Fault = Callable[[Call, Callable[[], Reply]], Reply]


class Simulator:
    """A system on a free port of 127.0.0.1 while entered; subclasses say how it answers.

    ``tls``: names to present a certificate for, signed by the test run's `authority()`.
    """

    def __init__(self, tls: tuple[str, ...] = ()) -> None:
        self.calls: list[Call] = []
        self._faults: deque[tuple[re.Pattern[str], Fault]] = deque()
        self._lock = threading.Lock()
        self._server = _Server(self, tls)
        self.port: int = self._server.server_address[1]
        self.url = f"{'https' if tls else 'http'}://{tls[0] if tls else '127.0.0.1'}:{self.port}"

    def __enter__(self) -> Self:
        serve = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        serve.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.stopped.set()
        self._server.shutdown()
        self._server.server_close()
        self._server.hang_up()

    def next(self, *faults: Fault, on: str = "") -> None:
        """Answer the next requests with these faults, one each.

        ``on``: a pattern for "METHOD target"; a fault waits for the first request that it fits.
        """
        with self._lock:
            self._faults.extend((re.compile(on), fault) for fault in faults)

    def respond(self, call: Call) -> Reply:
        """Record the request and answer it. One at a time: a system locks a ticket's row."""
        with self._lock:
            self.calls.append(call)
            fault = self._fault_for(call)
            if fault is None:
                return self.answer(call)
            return fault(call, lambda: self.answer(call))

    def answer(self, call: Call) -> Reply:
        """Do what the system does with a request."""
        raise NotImplementedError

    def _fault_for(self, call: Call) -> Fault | None:
        for entry in self._faults:
            if entry[0].search(f"{call.method} {call.target}"):
                self._faults.remove(entry)
                return entry[1]
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, simulator: Simulator, tls: tuple[str, ...]) -> None:
        self.simulator = simulator
        self.stopped = threading.Event()
        self._open: set[socket.socket] = set()
        self._context: ssl.SSLContext | None = None
        if tls:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority().issue_cert(*tls).configure_cert(self._context)
        super().__init__(("127.0.0.1", 0), _Handler)

    def server_bind(self) -> None:
        super().server_bind()
        while self.server_address[1] in INTERNAL_PORTS:  # kernel refuses callbacks to these
            self.socket.close()
            self.socket = socket.socket(self.address_family, self.socket_type)
            super().server_bind()

    def get_request(self) -> tuple[socket.socket, Any]:
        sock, address = super().get_request()
        if self._context:  # the handshake is made by the thread that reads
            sock = self._context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        self._open.add(sock)
        return sock, address

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """Close the connections that clients keep."""
        for sock in list(self._open):
            self.shutdown_request(sock)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that hangs up is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 30

    def _serve(self) -> None:
        server = cast(_Server, self.server)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            reply = server.simulator.respond(Call(self.command, self.path, headers, body))
        except HungUp:
            self.close_connection = True
            return
        self._write(reply, server.stopped)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _serve

    def _write(self, reply: Reply, stopped: threading.Event) -> None:
        body = reply.encoded()
        self.send_response(reply.status)
        if body:
            default = "application/json" if not isinstance(reply.body, bytes | str) else None
            if kind := reply.content_type or default:
                self.send_header("Content-Type", kind)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if not reply.pause:
            self.wfile.write(body)
            return
        for byte in body:
            self.wfile.write(bytes([byte]))
            if stopped.wait(reply.pause):
                return

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the calls are recorded."""
