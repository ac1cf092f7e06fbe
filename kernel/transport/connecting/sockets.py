"""Sockets that keep to the budgets of one request; `kernel.transport` only.

requests' own timeouts are per system call: a receiver that drips one byte a second holds a
sender thread for hours. Here the clock and the byte count belong to the *exchange*, one request
and its answer, and the sockets ask it before every call.

What goes wrong is raised as `TransportError` where it is known, not guessed afterwards from
wrapped exceptions.
"""

import socket
import ssl
import struct
import time
from collections.abc import Callable, Hashable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from kernel.errors import TransportError
from kernel.transport.addresses import CallbackPolicy, Target
from kernel.transport.steps import Observer


@dataclass(slots=True)
class Exchange:
    """One request and its answer: where to, under which policy, until when, how many bytes.

    ``deadline``: in monotonic seconds. ``caller``: on whose behalf, for the share of lookups.
    ``context``: the TLS settings of the request's identity, None for those that all others share.
    ``fresh``: no kept connection is to be used. ``reused``: one is. ``answered``: a byte came back.
    ``unheard``: the receiver had closed the kept connection and has seen nothing of this.
    ``over``: the answer was read; what comes in from now on is not part of it. ``ended_cleanly``:
    the end was beyond doubt, and nothing came after it; see `kernel.transport.answers`.
    ``observer``: is told the steps of `kernel.transport.steps`.
    """

    target: Target
    policy: CallbackPolicy
    dial: Callable[["Exchange"], "PlainSocket"]
    deadline: float
    bytes_left: int
    caller: Hashable = None
    context: ssl.SSLContext | None = None
    fresh: bool = False
    reused: bool = False
    answered: bool = False
    acked: int | None = None
    unheard: bool = False
    over: bool = False
    ended_cleanly: bool = False
    phases: dict[str, float] = field(default_factory=dict)
    observer: Observer | None = None

    def remaining(self) -> float:
        """Return the seconds left; raise TransportError("timeout") when there are none."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TransportError("timeout", "the time for this callback is over")
        return left

    def took(self, phase: str, since: float) -> float:
        """Note the milliseconds since ``since`` for a phase; return the time now."""
        now = time.monotonic()
        self.phases[phase] = round((now - since) * 1000, 2)
        return now

    def count(self, received: int) -> int:
        """Take received bytes off the budget; raise TransportError("too_large") when over."""
        self.bytes_left -= received
        if self.bytes_left < 0:
            raise TransportError("too_large", "the answer has too many bytes")
        self.answered = self.answered or received > 0
        return received


# The exchange the current thread is busy with: connections are made deep inside of urllib3.
current: ContextVar[Exchange] = ContextVar("exchange")


class Budgeted:
    """A socket whose calls end with its exchange. Mixed in before a socket class."""

    exchange: Exchange

    def recv_into(self, *args: Any) -> int:
        exchange = self.exchange
        if exchange.over:
            return 0
        self.settimeout(exchange.remaining())  # type: ignore[attr-defined]
        try:
            received = exchange.count(super().recv_into(*args))  # type: ignore[misc]
        except TimeoutError:
            raise TransportError("timeout", "the answer took too long") from None
        if not received and exchange.reused and not exchange.answered:
            # An orderly end acknowledges all that came before it: nothing new, nothing seen.
            exchange.unheard = exchange.acked is not None and exchange.acked == acked(self)
        return received

    def sendall(self, *args: Any) -> None:
        self.settimeout(self.exchange.remaining())  # type: ignore[attr-defined]
        try:
            super().sendall(*args)  # type: ignore[misc]
        except TimeoutError:
            raise TransportError("timeout", "the request was not taken in time") from None


def acked(sock: Any) -> int | None:
    """Return how many bytes sent on a connection its peer acknowledged; None if unknown."""
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 128)
        return int(struct.unpack_from("Q", info, 120)[0])  # tcpi_bytes_acked, Linux >= 4.1
    except (AttributeError, OSError, struct.error):
        return None


class PlainSocket(Budgeted, socket.socket):
    """A TCP socket that keeps to its exchange's budgets.

    ``leads_to``: the vetted address at the other end, behind the proxy if there is one.
    """

    leads_to = ""
