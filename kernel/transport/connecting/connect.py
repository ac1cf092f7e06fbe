"""Connects to the first address that answers: families take turns, tries overlap (RFC 8305).

Dead addresses in front of a live one cost a quarter of a second each, not the whole time: the next
try begins while the one before is still waited for, and at once when that one has failed.
"""

import errno
import math
import os
import select
import socket
import time
from collections import deque
from collections.abc import Sequence
from contextlib import closing
from itertools import chain, zip_longest

from kernel.errors import TransportError
from kernel.transport.connecting.descriptors import is_ours
from kernel.transport.connecting.sockets import Exchange, PlainSocket

# How many addresses of a name are tried at the most.
MAX_TRIES = 8
# From one try to the next: the connection attempt delay of RFC 8305 §5.
STAGGER_SECONDS = 0.25


def in_turn(addresses: Sequence[str]) -> list[str]:
    """Return the addresses to try, the first one's family and the other by turns (RFC 8305 §4)."""
    first = [one for one in addresses if _family(one) == _family(addresses[0])]
    other = [one for one in addresses if _family(one) != _family(addresses[0])]
    turns = chain.from_iterable(zip_longest(first, other))
    return [one for one in turns if one is not None][:MAX_TRIES]


def connect(
    addresses: Sequence[str], port: int, exchange: Exchange, seconds: float
) -> tuple[str, PlainSocket]:
    """Connect to the first of the addresses that answers; return it and the socket.

    Raises TransportError: ``connect`` when none did in ``seconds``, ``no_room`` when this process
    could not open a socket for one of them.
    """
    waiting = deque(in_turn(addresses))
    end = time.monotonic() + seconds
    # Within a short time each address has its turn still.
    stagger = min(STAGGER_SECONDS, seconds / len(waiting))
    with closing(_Race(exchange, port)) as race:
        next_try = 0.0
        while (now := time.monotonic()) < end and (waiting or race.tries):
            if waiting and (now >= next_try or not race.tries):
                race.start(waiting.popleft())
                next_try = now + stagger
            failed = len(race.failures)
            connected = race.wait((min(end, next_try) if waiting else end) - time.monotonic())
            if connected is not None:
                return connected
            if len(race.failures) > failed:
                next_try = 0.0
        raise race.error()


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


class _Race:
    """The tries of one exchange to connect: those under way, and those that failed."""

    def __init__(self, exchange: Exchange, port: int) -> None:
        self._exchange, self._port = exchange, port
        self._poll = select.poll()
        self.tries: dict[int, tuple[str, PlainSocket]] = {}
        self.failures: list[str] = []
        self._lacks_room = False

    def start(self, address: str) -> None:
        """Begin to connect to an address."""
        try:
            sock = PlainSocket(_family(address), socket.SOCK_STREAM)
        except OSError as error:
            self._fail(address, error)
            return
        self.tries[sock.fileno()] = address, sock
        sock.exchange = self._exchange
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._poll.register(sock, select.POLLOUT)
        code = sock.connect_ex((address, self._port))
        if code not in (0, errno.EINPROGRESS):
            self._drop(sock.fileno(), code)

    def wait(self, seconds: float) -> tuple[str, PlainSocket] | None:
        """Wait for a try to end; return its address and socket if it is connected."""
        if not self.tries:
            return None
        for descriptor, _ in self._poll.poll(max(0, math.ceil(seconds * 1000))):
            code = self.tries[descriptor][1].getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if not code:
                return self.tries.pop(descriptor)
            self._drop(descriptor, code)
        return None

    def error(self) -> TransportError:
        """Return what to raise: all that failed, and what did not answer in time."""
        silent = [f"{address}: timed out" for address, _ in self.tries.values()]
        reason = "no_room" if self._lacks_room else "connect"
        return TransportError(reason, "; ".join([*self.failures, *silent]))

    def close(self) -> None:
        """Close the sockets of the tries that are under way."""
        for _, sock in self.tries.values():
            sock.close()

    def _drop(self, descriptor: int, code: int) -> None:
        address, sock = self.tries.pop(descriptor)
        self._poll.unregister(descriptor)
        sock.close()
        self._fail(address, OSError(code, os.strerror(code)))

    def _fail(self, address: str, error: OSError) -> None:
        self._lacks_room = self._lacks_room or is_ours(error)
        self.failures.append(f"{address}: {error}")
