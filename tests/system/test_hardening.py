"""What deploy/ forbids is forbidden by the system itself, and the service goes on without it."""

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import ip_network

import pytest

from kernel.transport.special_networks import DENIED
from tests.support.deployment import DEPLOY, unit
from tests.support.servers import missing, require
from tests.support.stack import BIN, Stack

SENDERS = ("worker", "dispatcher")
# As MemoryDenyWriteExecute=yes, by the system's own call for it (Linux 6.3): what is run from here
# on gets no memory that it can write and execute, nor what it starts.
NO_WRITE_EXECUTE = """
import ctypes, mmap, os, sys
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) != 0:
    sys.exit("this system has no PR_SET_MDWE")
try:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
except PermissionError:
    os.execv(sys.argv[1], sys.argv[1:])
sys.exit("it is not in force")
"""


def without_write_execute(stack: Stack, name: str, *argv: str) -> None:
    words = {"api": "Booting worker", "worker": "ready.", "dispatcher": "dispatcher started"}
    program = [str(BIN / argv[0]), *argv[1:]]
    stack.start(
        name, "python", "-c", NO_WRITE_EXECUTE, *program, ready=lambda: words[name] in stack.log()
    )


def test_order_goes_its_way_without_memory_that_is_written_and_executed(stack: Stack) -> None:
    probe = [sys.executable, "-c", NO_WRITE_EXECUTE, "/bin/true"]
    if subprocess.run(probe, capture_output=True, check=False).returncode != 0:
        missing("this system has no PR_SET_MDWE")
    config = str(DEPLOY.parent / "gunicorn.conf.py")
    without_write_execute(stack, "api", "gunicorn", "-c", config, "kernel:app")
    without_write_execute(stack, "worker", "kernel", "worker")
    without_write_execute(stack, "dispatcher", "kernel", "dispatcher")
    order_id = stack.submit("import_projects", projects=[{"projname": "Brücke"}] * 30)
    assert stack.callback(order_id)
    assert stack.finished(order_id)["state"] == "success"


# ---- Where callbacks may go ---------------------------------------------------------------------


def closed_by_systemd(part: str) -> list[str]:
    return " ".join(unit(part).values["IPAddressDeny"]).split()


def closed_by_nft() -> list[str]:
    text = (DEPLOY / "egress.nft").read_text()
    sets = re.findall(r"set closed6? \{.*?elements = \{(.*?)\}", text, re.DOTALL)
    return [one.strip() for each in sets for one in each.split(",")]


@pytest.mark.parametrize("closed", [*map(closed_by_systemd, SENDERS), closed_by_nft()])
def test_networks_are_closed_where_callbacks_are_refused(closed: list[str]) -> None:
    """The firewall's table and that of kernel.transport.addresses say the same; systemd knows
    loopback by another line, and each of these names of loopback is one of its own."""
    nets = [ip_network(one) for one in closed]
    refused = [net for rule, net in DENIED if rule != "loopback" or "127.0.0.0/8" in closed]
    inside = [any(net.version == o.version and net.subnet_of(o) for o in nets) for net in refused]
    assert all(inside), [net for net, is_in in zip(refused, inside, strict=True) if not is_in]
    assert not any(ip_network("93.184.216.34").subnet_of(o) for o in nets if o.version == 4)
    assert not any(ip_network("2606:2800:220::/48").subnet_of(o) for o in nets if o.version == 6)


def test_api_reaches_this_host_alone_when_systemd_runs_it() -> None:
    assert unit("api").values["IPAddressDeny"] == ["any"]
    assert unit("api").values["IPAddressAllow"] == ["localhost"]


# The container, the host with its bridge, and the world, each a network namespace.
WORLD = """
ip -n {host} link add kernel-callback type bridge
ip -n {host} link add v0 type veth peer name eth0 netns {box}
ip -n {host} link set v0 master kernel-callback
ip -n {host} link add w0 type veth peer name eth0 netns {world}
ip -n {host} addr add 172.31.0.1/24 dev kernel-callback
ip -n {host} addr add 100.127.0.1/24 dev w0
ip -n {host} link set lo up
ip -n {host} link set v0 up
ip -n {host} link set kernel-callback up
ip -n {host} link set w0 up
ip -n {box} addr add 172.31.0.2/24 dev eth0
ip -n {box} link set eth0 up
ip -n {box} route add default via 172.31.0.1
ip -n {world} addr add 100.127.0.2/24 dev eth0
ip -n {world} addr add 93.184.216.34/32 dev eth0
ip -n {world} addr add 10.20.0.7/32 dev eth0
ip -n {world} addr add 169.254.169.254/32 dev eth0
ip -n {world} link set eth0 up
ip -n {world} route add default via 100.127.0.1
ip -n {host} route add default via 100.127.0.2
ip netns exec {host} sysctl -q net.ipv4.ip_forward=1
"""
LISTEN = """
import select, socket, sys
open_ = [socket.create_server(("0.0.0.0", port)) for port in (22, 80, 443)]
print("listening", flush=True)
while True:
    for one in select.select(open_, [], [])[0]:
        one.accept()[0].close()
"""
DIAL = """
import socket, sys
for place in sys.argv[1:]:
    host, port = place.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), 1).close()
        print(place)
    except OSError:
        pass
"""
PLACES = [
    *("93.184.216.34:80", "93.184.216.34:443", "93.184.216.34:22", "10.20.0.7:443"),
    *("169.254.169.254:80", "100.127.0.2:80", "172.31.0.1:80", "100.127.0.1:80"),
]
PUBLIC = ["93.184.216.34:80", "93.184.216.34:443"]


class Namespaces:
    """Three network namespaces of this test alone."""

    def __init__(self, closing: ExitStack) -> None:
        self.names = {one: f"kernel-{os.getpid()}-{one}" for one in ("box", "host", "world")}
        for name in self.names.values():
            subprocess.run(["ip", "netns", "add", name], check=True)
            closing.callback(subprocess.run, ["ip", "netns", "del", name], check=True)
        for line in WORLD.strip().format(**self.names).splitlines():
            subprocess.run(line.split(), check=True)
        for one in ("world", "host"):
            process = subprocess.Popen(self._argv(one, LISTEN), stdout=subprocess.PIPE, text=True)
            closing.callback(process.wait)
            closing.callback(process.kill)
            assert process.stdout is not None
            closing.callback(process.stdout.close)
            assert process.stdout.readline() == "listening\n"

    def load(self, rules: str) -> None:
        """Load rules of nft on the host."""
        argv = ["ip", "netns", "exec", self.names["host"], require("nft"), "-f", "-"]
        subprocess.run(argv, input=rules, text=True, check=True)

    def reached(self) -> list[str]:
        """Return the places that a container of the bridge reaches."""
        argv = [*self._argv("box", DIAL), *PLACES]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()

    def _argv(self, name: str, program: str) -> list[str]:
        within = ["ip", "netns", "exec", self.names[name]]
        return [*within, sys.executable, "-I", "-c", textwrap.dedent(program)]


@pytest.fixture
def namespaces() -> Iterator[Namespaces]:
    if os.geteuid() != 0:
        pytest.skip("network namespaces are made by root")
    require("nft")
    require("ip")
    with ExitStack() as closing:
        yield Namespaces(closing)


def test_container_reaches_the_public_internet_alone_when_the_rules_are_loaded(
    namespaces: Namespaces,
) -> None:
    rules = (DEPLOY / "egress.nft").read_text()
    assert sorted(namespaces.reached()) == sorted(PLACES), "without the rules"
    namespaces.load(rules)
    assert namespaces.reached() == PUBLIC
    named, count = re.subn(r"# (elements = \{ 10\.20\.0\.7 \. 443)", r"\1", rules)
    assert count == 1
    namespaces.load(named)
    assert namespaces.reached() == [*PUBLIC, "10.20.0.7:443"]
