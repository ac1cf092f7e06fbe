"""A TCP proxy that can lose the server's answer to one message: COMMIT done, nobody told."""

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self


class LossyProxy:
    """Forwards connections from ``port`` to the server's port, on loopback.

    Set ``lose`` to some bytes: the next client message that holds them is passed on, the
    server's answer is waited for and thrown away, and the connection is closed.
    """

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.lose: bytes | None = None
        self.lost = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._server_port))
            for pump in (self._to_server, self._to_client):
                threading.Thread(target=pump, args=(client, server), daemon=True).start()

    def _to_server(self, client: socket.socket, server: socket.socket) -> None:
        while data := _received(client):
            if self.lose is not None and self.lose in data:
                self.lose, self.lost = None, self.lost + 1
                _shut(client)  # what the server says from now on reaches nobody
            server.sendall(data)
        _shut(server)
        client.close()

    def _to_client(self, client: socket.socket, server: socket.socket) -> None:
        while data := _received(server):
            try:
                client.sendall(data)
            except OSError:
                break
        _shut(client)
        server.close()


def _received(source: socket.socket) -> bytes:
    try:
        return source.recv(65536)
    except OSError:
        return b""


def _shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
