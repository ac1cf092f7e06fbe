"""What no test may do: reach another host, connect without vetting, leave something running.

The root conftest applies these to every test. This module loads nothing of kernel, so that a file
of pure tests is collected quickly.
"""

import ipaddress
import os
import socket
import sys
import threading
from pathlib import Path
from typing import Any

from tests.support.waiting import is_running

#: Read once, at import: the tests themselves run without any KERNEL_* variable.
SERVICES_REQUIRED = os.environ.get("KERNEL_REQUIRE_SERVICES") == "1"

#: The database of whole stacks, and of the rooms that ask the rows nothing new.
MAIN_DATABASE = os.environ.get("KERNEL_TEST_DATABASE", "mariadb")

#: Set by `./run nightly`: every room runs on each kind of database.
ALL_DATABASES = os.environ.get("KERNEL_TEST_DATABASES") == "all"

#: Set by `./run pins`: tests of rows run on the main database alone.
ONE_DATABASE = os.environ.get("KERNEL_TEST_DATABASES") == "main"


def by_night(many: int, few: int) -> int:
    """Return how many examples, or seconds, a test takes: ``many`` in `./run nightly`."""
    return many if ALL_DATABASES else few


#: Process ids of the servers that all tests share; they outlive a test.
shared_servers: set[int] = set()

#: Callback connections to an address that their own policy forbids; every test looks.
unvetted: list[str] = []

#: Where the proxies of a test listen.
proxies: set[tuple[str, int]] = set()


class OutsideConnection(RuntimeError):
    """A test tried to reach a host other than this one."""


def refuse_outside(event: str, args: tuple[Any, ...]) -> None:
    """An audit hook: tests connect to this host only; names of other hosts do not resolve."""
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = args[1]
        if isinstance(address, tuple) and not _is_local(address[0]):
            raise OutsideConnection(f"tests do not connect to {address[0]}")
    elif event == "socket.getaddrinfo" and not _resolves(args[0]):
        raise socket.gaierror(socket.EAI_NONAME, f"tests do not look up {args[0]!r}")


def _is_local(host: Any) -> bool:
    if host in (None, "", b"", "localhost", b"localhost"):
        return True
    try:
        return ipaddress.ip_address(host if isinstance(host, str) else host.decode()).is_loopback
    except ValueError:
        return str(host).endswith(".localhost")


def _resolves(host: Any) -> bool:
    """An address needs no look-up, so it always 'resolves'."""
    try:
        ipaddress.ip_address(host if isinstance(host, str) else "")
    except ValueError:
        return _is_local(host)
    return True


def note_unvetted(event: str, args: tuple[Any, ...]) -> None:
    """An audit hook: notes a callback connection that its own policy forbids, and refuses it."""
    sockets = sys.modules.get("kernel.transport.connecting.sockets")
    if event != "socket.connect" or not isinstance(args[0], getattr(sockets, "PlainSocket", ())):
        return
    from kernel.errors import AddressRefused
    from kernel.transport.addresses import check_address

    if args[1][:2] in proxies:  # the operator's word, not vetted; what they are asked for is
        return
    exchange, address = args[0].exchange, args[1][0]
    try:
        check_address(address, exchange.policy, exchange.target.named)
    except AddressRefused:
        unvetted.append(f"{exchange.target.origin} → {address}")
        raise


def running_threads() -> set[threading.Thread]:
    """The threads that would keep Python running."""
    return {thread for thread in threading.enumerate() if not thread.daemon}


def running_children() -> set[int]:
    """Process ids of this process's living children, the shared servers left out."""
    found: set[int] = set()
    for task in Path("/proc/self/task").glob("*/children"):
        try:
            found.update(int(pid) for pid in task.read_text().split())
        except FileNotFoundError:
            continue  # that thread has just ended
    return {pid for pid in found - shared_servers if is_running(pid)}
