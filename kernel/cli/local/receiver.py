"""A small receiver on loopback, for `kernel listen`, `kernel demo` and `kernel up`.

`Postbox` speaks HTTP and asks a function for the answer. `Inbox` is the receiver that a ticketing
system needs: it reads the body, verifies the signature, answers 2xx.
"""

import json
import re
import select
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from threading import Thread
from typing import Any, Self

from kernel.formats.signing import SignatureInvalid, verify
from kernel.transport.addresses import INTERNAL_PORTS

HOST = "127.0.0.1"
MAX_BODY_BYTES = 1_048_576
_LENGTH = re.compile(r"[0-9]{1,7}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Post:
    """A POST as received. Header names are in lower case."""

    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer without a body, after ``delay`` seconds."""

    status: int = HTTPStatus.NO_CONTENT
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0


class Postbox:
    """Listens on a port of loopback (0: a free one) while its `with` block lasts.

    Calls ``answer`` for each POST, in a thread of the postbox; if it raises, the connection is
    closed without an answer. Calls ``hung_up`` when the sender closed the connection before its
    answer. Raises OSError when another program listens on the port.
    """

    def __init__(
        self,
        answer: Callable[[Post], Reply],
        port: int = 0,
        hung_up: Callable[[Post], None] = lambda _: None,
    ) -> None:
        self.answer = answer
        self.hung_up = hung_up
        self._server = _listening(self, port)
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        """The callback_url of this postbox."""
        return f"http://{HOST}:{self._server.port}/callback"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@dataclass(frozen=True, slots=True)
class Received:
    """A callback whose signature is valid."""

    webhook_id: str
    status: int
    msg: str
    data: dict[str, Any]

    @property
    def order_id(self) -> str:
        """The id of the callback's order."""
        return str(self.data["order_id"])


class Inbox(Postbox):
    """Receives callbacks signed with one of ``secrets``.

    Calls ``on_callback`` for each before the answer: an exception leaves the callback without an
    answer, so the sender tries again. A POST without a valid signature gets 401 and is dropped.
    """

    def __init__(self, secrets: Sequence[str], on_callback: Callable[[Received], None]) -> None:
        self.secrets = secrets
        self.on_callback = on_callback
        super().__init__(self._take)

    def _take(self, post: Post) -> Reply:
        try:
            verify(self.secrets, post.headers, post.body, int(time.time()))
        except SignatureInvalid:
            return Reply(HTTPStatus.UNAUTHORIZED)
        self.on_callback(Received(post.headers["webhook-id"], **json.loads(post.body)))
        return Reply()


class _Server(ThreadingMixIn, TCPServer):
    allow_reuse_address = True
    daemon_threads = True  # an idle connection must not keep the program from ending
    request_queue_size = 128

    def __init__(self, postbox: Postbox, port: int) -> None:
        self.postbox = postbox
        super().__init__((HOST, port), _Request)
        self.port: int = self.socket.getsockname()[1]


def _listening(postbox: Postbox, port: int) -> _Server:
    """Return a server; a free port is never one to which kernel sends no callbacks."""
    server = _Server(postbox, port)
    if port == 0 and server.port in INTERNAL_PORTS:
        server.server_close()
        return _listening(postbox, port)
    return server


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    server: _Server

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:  # the sender closed the connection
            self.close_connection = True

    def do_POST(self) -> None:
        length = self.headers.get("content-length", "")
        if not _LENGTH.fullmatch(length) or int(length) > MAX_BODY_BYTES:
            self.close_connection = True
            self._answer(Reply(HTTPStatus.REQUEST_ENTITY_TOO_LARGE))
            return
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise ConnectionError("the body ended early")
        post = Post({name.lower(): value for name, value in self.headers.items()}, body)
        reply = self.server.postbox.answer(post)
        if self._is_gone_within(reply.delay):
            self.server.postbox.hung_up(post)
            raise ConnectionError("the sender does not wait for the answer")
        self._answer(reply)

    def _is_gone_within(self, seconds: float) -> bool:
        """Wait ``seconds``; return True at once when the sender hangs up.

        A sender that waits for its answer sends nothing, so a readable socket means a hang-up.
        """
        if not seconds:
            return False
        readable, _, _ = select.select([self.connection], [], [], seconds)
        return bool(readable)

    def _answer(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.status not in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
            self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: the owner of the postbox reports each POST itself."""
