"""Another system that steps of handlers talk to: it counts requests by their idempotency keys."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.chaos.receiver import Book

# Each third request is refused: the step is tried again.
REFUSED = 3


class Effects:
    """Answers each POST with the number of its key; the same key has the same number."""

    def __init__(self, path: Path) -> None:
        self.book = Book(path)
        self._lock = threading.Lock()
        self._numbers: dict[str, int] = {}
        self._asked = 0
        self._server = _Server(self)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def take(self, key: str, order_id: str) -> int | None:
        """Note a request and return its number; None: it is refused, and had no effect."""
        with self._lock:
            self._asked += 1
            if self._asked % REFUSED == 0:
                number = None
            else:
                number = self._numbers.setdefault(key, len(self._numbers) + 1)
        self.book.write(order_id=order_id, idempotency_key=key, number=number)
        return number

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()
        self.book.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, effects: Effects) -> None:
        self.effects = effects
        super().__init__(("127.0.0.1", 0), _Request)

    def handle_error(self, *_: Any) -> None:
        """Runs die in mid-request here; that is the point."""


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    server: _Server

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        said = self.headers["idempotency-key"], self.headers["x-order-id"]
        number = self.server.effects.take(*said)
        body = b"" if number is None else str(number).encode()
        self.send_response(503 if number is None else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""
