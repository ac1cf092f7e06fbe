"""A TCP proxy that loses the server's answer to one message, or forgets its connections."""

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self

# COM_QUERY; and the tag of a command that PostgreSQL has completed.
COMMITTING, COMMITTED = b"\x03COMMIT", b"C\x00\x00\x00\x0bCOMMIT\x00"


class LossyProxy:
    """Forwards connections from ``port`` to the server's port, on loopback.

    Set ``lose`` to some bytes: the next client message that holds them is passed on, the
    server's answer is waited for and thrown away, and the connection is closed. ``lose_answer``:
    the next answer that holds these bytes is thrown away, and the connection closed.

    After `forget` the connections that are open stay open and all that is sent on them vanishes, as
    in a firewall that has forgotten them; new ones work.
    """

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.lose: bytes | None = None
        self.lose_answer: bytes | None = None
        self.lost = 0
        # Connections made so far, and how many of them are forgotten.
        self.made = 0
        self._forgotten = 0
        # What clients sent on those since.
        self.vanished: list[bytes] = []
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

    def forget(self) -> None:
        """Pass on nothing more on the connections that are open now."""
        self._forgotten = self.made

    def lead_to(self, server_port: int) -> None:
        """Pass new connections on to another server; those that are open stay where they are."""
        self._server_port = server_port

    def lose_commit(self) -> None:
        """Lose the next answer to a COMMIT, in the words of MySQL's protocol or PostgreSQL's."""
        self.lose, self.lose_answer = COMMITTING, COMMITTED

    def keep(self) -> None:
        """Lose nothing more."""
        self.lose = self.lose_answer = None

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._server_port))
            except ConnectionRefusedError:
                client.close()
                continue
            self.made += 1
            for pump in (self._to_server, self._to_client):
                ends = (self.made, client, server)
                threading.Thread(target=pump, args=ends, daemon=True).start()

    def _to_server(self, number: int, client: socket.socket, server: socket.socket) -> None:
        while data := _received(client):
            if number <= self._forgotten:
                self.vanished.append(data)
                continue
            if self.lose is not None and self.lose in data:
                self.lose, self.lost = None, self.lost + 1
                _shut(client)  # what the server says from now on is thrown away
            try:
                server.sendall(data)
            except OSError:
                break
        _shut(server)
        client.close()

    def _to_client(self, number: int, client: socket.socket, server: socket.socket) -> None:
        while data := _received(server):
            if number <= self._forgotten:
                continue
            if self.lose_answer is not None and self.lose_answer in data:
                self.lose_answer, self.lost = None, self.lost + 1
                break
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
