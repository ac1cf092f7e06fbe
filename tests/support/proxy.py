"""A real CONNECT proxy on loopback, which remembers what it was asked for.

with ConnectProxy() as proxy:
    transport = Transport(proxy=Proxy.parse(proxy.url))
    ...
    assert proxy.asked == ["192.0.2.1:443"]
"""

import base64
import contextlib
import socket
import threading
from collections.abc import Callable, Mapping

from tests.support import guards

Script = Callable[[socket.socket, threading.Event], None]


class ConnectProxy:
    """Listens on a free port of 127.0.0.1 while entered, and connects whoever asks.

    ``routes``: where an address that it is asked for is in truth. ``script``: does as it likes with
    the connection once the request is read. ``credentials``: ``user:password``, without which it
    answers 407.
    """

    def __init__(
        self,
        routes: Mapping[str, str] | None = None,
        script: Script | None = None,
        credentials: str = "",
    ) -> None:
        self.heads: list[bytes] = []
        self._routes, self._script = routes or {}, script
        self._basic = base64.b64encode(credentials.encode()) if credentials else b""
        self._stopped = threading.Event()
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        at = f"{credentials}@" if credentials else ""
        self.url = f"http://{at}127.0.0.1:{self.port}"

    @property
    def asked(self) -> list[str]:
        """The authorities of all the requests, in their order."""
        return [head.split()[1].decode() for head in self.heads]

    def __enter__(self) -> "ConnectProxy":
        guards.proxies.add(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        guards.proxies.discard(("127.0.0.1", self.port))
        self._stopped.set()
        for sock in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self._open.append(sock)
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        head = b""
        with contextlib.suppress(OSError), sock:
            while not head.endswith(b"\r\n\r\n"):
                head += sock.recv(1) or b"\r\n\r\n"
            self.heads.append(head)
            if self._script is not None:
                self._script(sock, self._stopped)
            elif self._basic and b"Authorization: Basic " + self._basic + b"\r\n" not in head:
                sock.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            else:
                self._connect(sock, *self.asked[-1].rsplit(":", 1))

    def _connect(self, sock: socket.socket, host: str, port: str) -> None:
        address = host.strip("[]")
        try:
            other = socket.create_connection((self._routes.get(address, address), int(port)), 5)
        except OSError:
            sock.sendall(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno")
            return
        self._open.append(other)
        sock.sendall(b"HTTP/1.1 200 Connection established\r\nVia: 1.1 test\r\n\r\n")
        back = threading.Thread(target=_pump, args=(other, sock), daemon=True)
        back.start()
        _pump(sock, other)
        back.join(10)


def _pump(one: socket.socket, other: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := one.recv(65536):
            other.sendall(data)
        other.shutdown(socket.SHUT_WR)
