"""The egress proxy that an operator may put between kernel and all receivers: CONNECT, no more.

It is asked for the *address* that was looked up and vetted here, so it resolves no receiver's name
and can lead nowhere else by mistake. What goes through the tunnel is what would go without it.
"""

import base64
import re
import socket
import time
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import unquote_to_bytes

from pydantic import SecretStr

from kernel.errors import TransportError
from kernel.transport.addresses import join
from kernel.transport.connecting.sockets import Exchange, PlainSocket
from kernel.transport.headers import USER_AGENT

# How many addresses of a receiver are asked for, each within the time for connecting.
MAX_TUNNELS = 3
# Bytes of the head of the proxy's answer.
MAX_HEAD = 8192
# What proxies answer when the target does not: refused by their rules, or not reached (Squid and
# Envoy say 503). Everything else is of the proxy itself, and no receiver's failure.
ABOUT_THE_TARGET = frozenset({403, 502, 503, 504})
AUTHENTICATION_REQUIRED = 407

_URL = re.compile(r"http://(?:([^@/?#]*)@)?(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})/?")
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: [^\r\n]*)?\r\n")
_END = b"\r\n\r\n"


@dataclass(frozen=True)
class Proxy:
    """Where the proxy is. ``literal``: the host is an address. ``credentials``: for Basic."""

    host: str
    port: int
    literal: bool
    credentials: SecretStr | None = None

    @classmethod
    def parse(cls, url: str) -> "Proxy":
        """Read ``http://[user:password@]host:port``; ValueError, which quotes nothing of it."""
        match = _URL.fullmatch(url)
        if match is None or not 0 < int(match[3]) <= 65535:
            raise ValueError("write it as http://host:port or http://user:password@host:port")
        host = match[2].strip("[]").lower()
        return cls(host, int(match[3]), _is_address(host), _credentials(match[1]))


def open_tunnel(sock: PlainSocket, proxy: Proxy, address: str, seconds: float) -> None:
    """Have the proxy at the other end of ``sock`` connect it to an address, at the target's port.

    Raises TransportError: ``connect`` when the proxy could not or would not reach the address, or
    did not say so in time; ``proxy`` for all that tells of the proxy alone. Its answer counts for
    the exchange's bytes and seconds.
    """
    authority = join(address, sock.exchange.target.port)
    end = time.monotonic() + seconds
    try:
        sock.settimeout(_left(sock.exchange, end))
        socket.socket.sendall(sock, _request(proxy, authority))
        status = _status(_head(sock, end))
    except TimeoutError:
        silent = f"the proxy did not say in time whether it reached {authority}"
        raise TransportError("connect", silent) from None
    except OSError as error:
        raise TransportError("proxy", f"the proxy ended the connection: {error}") from None
    if not 200 <= status <= 299:
        reason = "connect" if status in ABOUT_THE_TARGET else "proxy"
        raise TransportError(reason, _refusal(status, authority))


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _credentials(written: str | None) -> SecretStr | None:
    if written is None:
        return None
    user, colon, password = written.partition(":")
    if not (user and colon):
        raise ValueError("write user and password as user:password@, with @ : / as %40 %3A %2F")
    name = unquote_to_bytes(user)
    if b":" in name:  # RFC 7617 §2
        raise ValueError("the name of its user holds a colon")
    return SecretStr(base64.b64encode(name + b":" + unquote_to_bytes(password)).decode())


def _request(proxy: Proxy, authority: str) -> bytes:
    lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}", f"User-Agent: {USER_AGENT}"]
    if proxy.credentials is not None:
        lines.append(f"Proxy-Authorization: Basic {proxy.credentials.get_secret_value()}")
    return "\r\n".join(lines).encode() + _END


def _head(sock: PlainSocket, end: float) -> bytes:
    """Read the head of the proxy's answer, past which nothing is to come before we speak."""
    exchange, data = sock.exchange, b""
    while _END not in data:
        room = min(MAX_HEAD, exchange.bytes_left) - len(data)
        if room <= 0:
            raise TransportError("proxy", "the head of the proxy's answer is too long")
        sock.settimeout(_left(exchange, end))
        received = sock.recv(room)
        if not received:
            raise TransportError("proxy", "the proxy closed the connection without an answer")
        data += received
    exchange.bytes_left -= len(data)
    return data


def _left(exchange: Exchange, end: float) -> float:
    left = min(end - time.monotonic(), exchange.remaining())
    if left <= 0:
        raise TimeoutError
    return left


def _status(data: bytes) -> int:
    match = _STATUS.match(data)
    if match is None or match[1].startswith(b"1"):
        raise TransportError("proxy", "what answers as the proxy does not speak HTTP/1")
    status = int(match[1])
    if status <= 299 and len(data) > data.index(_END) + len(_END):
        raise TransportError("proxy", "the proxy said more than its answer before we spoke")
    return status


def _refusal(status: int, authority: str) -> str:
    if status == AUTHENTICATION_REQUIRED:
        return "the proxy answered 407: it takes another user or password (KERNEL_CALLBACK_PROXY)"
    return f"the proxy answered {status} to CONNECT {authority}"
