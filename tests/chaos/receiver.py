"""Callback receivers whose ledger is a file: what is not in it before the answer never came."""

import contextlib
import json
import random
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from kernel.cli.local.supervisor import free_port
from kernel.formats.signing import SignatureInvalid, verify

# A timestamp further off than this was made with a wrong clock.
TOLERANCE_SECONDS = 30
# A receiver that answers at once would hardly ever be waiting when its sender is killed.
ANSWER_SECONDS = 0.0, 0.3
NO_LINGER = struct.pack("ii", 1, 0)


class Book:
    """A file of JSON lines, written by many threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._file = path.open("a", encoding="utf-8")

    def write(self, **entry: Any) -> None:
        """Append an entry; it is in the file when this returns."""
        with self._lock:
            self._file.write(json.dumps({"at": time.time(), **entry}) + "\n")
            self._file.flush()

    def read(self) -> list[dict[str, Any]]:
        """Read the file back."""
        return [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines()]

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Receiver:
    """One origin. ``mode`` is ok, unavailable (503), hang, reset or down."""

    def __init__(self, book: Book, secret: str) -> None:
        self.book, self.secret = book, secret
        self.mode = "ok"
        self.tolerance = TOLERANCE_SECONDS
        self.port = free_port()
        self._server: _Server | None = None
        self.open()

    @property
    def url(self) -> str:
        """The callback_url that leads here."""
        return f"http://127.0.0.1:{self.port}/callback"

    def open(self) -> None:
        """Listen, answering well."""
        self.mode = "ok"
        if self._server is None:
            self._server = _Server(self)
            threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def down(self) -> None:
        """Refuse connections and drop the open ones."""
        self.mode = "down"
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def take(self, headers: dict[str, str], body: bytes, mode: str) -> None:
        """Note a POST."""
        said = json.loads(body)
        self.book.write(
            port=self.port,
            webhook_id=headers.get("webhook-id"),
            order_id=said["data"]["order_id"],
            state=said["data"]["state"],
            status=said["status"],
            data=said["data"],
            answered=mode == "ok",
            signed=self._is_signed(headers, body),
        )

    def _is_signed(self, headers: dict[str, str], body: bytes) -> bool:
        try:
            verify([self.secret], headers, body, int(time.time()), self.tolerance)
        except SignatureInvalid:
            return False
        return True


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        super().__init__(("127.0.0.1", receiver.port), _Request)

    def handle_error(self, *_: Any) -> None:
        """Senders die in mid-request here; that is the point."""


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    server: _Server

    def do_POST(self) -> None:
        receiver = self.server.receiver
        body = self.rfile.read(int(self.headers["content-length"]))
        mode = receiver.mode
        if mode != "down":
            receiver.take({k.lower(): v for k, v in self.headers.items()}, body, mode)
        getattr(self, f"_{mode}")()

    def _ok(self) -> None:
        time.sleep(random.uniform(*ANSWER_SECONDS))
        self._answer(200)

    def _unavailable(self) -> None:
        self._answer(503)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _hang(self) -> None:
        while self.server.receiver.mode == "hang":
            time.sleep(0.1)
        self.close_connection = True

    def _reset(self) -> None:
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
        self.close_connection = True

    def _down(self) -> None:
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""
