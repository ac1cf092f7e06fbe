"""A host of its own for a process: a network namespace whose packets can be dropped.

Inside it, 127.0.0.1 leads to the harness's host, so that addresses mean the same on both. Nothing
outside the namespace is changed but for one pair of virtual interfaces, which ends with it.
"""

import itertools
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterable
from contextlib import suppress
from functools import cache

_NUMBERS = itertools.count(os.getpid() * 4)


class HostRefused(Exception):
    """The machine does not let us make a network namespace, or filter its packets."""


class Host:
    """One network namespace, and a forwarder on its gateway for each of ``ports``."""

    def __init__(self, ports: Iterable[int]) -> None:
        number = next(_NUMBERS)
        self.name = f"kernel-chaos-{number}"
        net = f"10.{200 + number % 50}.{number // 50 % 250}"
        self.gateway, self._address = f"{net}.1", f"{net}.2"
        self._outer, self._inner = f"kc{number}o"[-15:], f"kc{number}i"[-15:]
        self._forwarders: list[_Forwarder] = []
        try:
            self._make()
        except (OSError, subprocess.CalledProcessError) as error:
            self.close()
            said = getattr(error, "stderr", None) or str(error)
            raise HostRefused(" ".join(str(said).split())) from None
        self._forwarders = [_Forwarder(self.gateway, port) for port in ports]

    def _make(self) -> None:
        inside = ("ip", "-n", self.name)
        _do("ip", "netns", "add", self.name)
        _do("ip", "link", "add", self._outer, "type", "veth", "peer", "name", self._inner,
            "netns", self.name)  # fmt: skip
        _do("ip", "addr", "add", f"{self.gateway}/30", "dev", self._outer)
        _do("ip", "link", "set", self._outer, "up")
        _do(*inside, "addr", "add", f"{self._address}/30", "dev", self._inner)
        for link in ("lo", self._inner):
            _do(*inside, "link", "set", link, "up")
        _do(*inside, "route", "add", "default", "via", self.gateway)
        route = f"/proc/sys/net/ipv4/conf/{self._inner}/route_localnet"
        _do(*self.prefix, "sh", "-c", f"echo 1 > {route}")
        self._iptables("-t", "nat", "-A", "OUTPUT", "-p", "tcp", "-d", "127.0.0.1",
                       "-j", "DNAT", "--to-destination", self.gateway)  # fmt: skip
        self._iptables("-t", "nat", "-A", "POSTROUTING", "-p", "tcp", "-d", self.gateway,
                       "-j", "SNAT", "--to-source", self._address)  # fmt: skip

    @property
    def prefix(self) -> list[str]:
        """What stands before a command that is to run there; the process keeps its id."""
        return ["ip", "netns", "exec", self.name]

    def cut(self, port: int, *, sends: bool = False, hears: bool = False) -> None:
        """Drop what goes to this port, unless the host ``sends``; what comes, unless it hears."""
        if not sends:
            self._iptables("-A", "OUTPUT", "-p", "tcp", "--dport", str(port), "-j", "DROP")
        if not hears:
            self._iptables("-A", "INPUT", "-p", "tcp", "--sport", str(port), "-j", "DROP")

    def heal(self) -> None:
        """Let every packet pass."""
        self._iptables("-F")

    def close(self) -> None:
        """Remove the namespace; what runs in it must have ended."""
        for forwarder in self._forwarders:
            forwarder.close()
        for command in (("ip", "link", "del", self._outer), ("ip", "netns", "del", self.name)):
            with suppress(OSError, subprocess.CalledProcessError):
                _do(*command)

    def _iptables(self, *arguments: str) -> None:
        _do(*self.prefix, "iptables", "-w", *arguments)


def _do(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=20)


@cache
def lacks_hosts() -> str:
    """Say why this machine gives us no hosts of our own; empty if it does."""
    if missing := [name for name in ("ip", "iptables") if shutil.which(name) is None]:
        return f"hosts cannot be cut off from each other here: no {' and no '.join(missing)}"
    try:
        host = Host(())
    except HostRefused as error:
        return f"hosts cannot be cut off from each other here: {error}"
    try:
        host.cut(1)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"packets cannot be dropped here: {error}"
    finally:
        host.close()
    return ""


class _Forwarder:
    """Passes connections of a gateway's port on to the same port of 127.0.0.1."""

    def __init__(self, address: str, port: int) -> None:
        self._port = port
        self._listener = socket.create_server((address, port), backlog=256)
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Listen no more, and drop what is open."""
        # A thread waits in accept(): only a shutdown wakes it.
        for end in (self._listener, *list(self._open)):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(("127.0.0.1", self._port), timeout=10)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        self._open |= {client, server}
        threading.Thread(target=self._pump, args=(server, client), daemon=True).start()
        self._pump(client, server)

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._open.discard(source)
        source.close()
