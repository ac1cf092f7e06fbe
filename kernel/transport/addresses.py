"""Which callback URLs and addresses are allowed: pure, no name is resolved here.

`check_url` decides what the text decides, at submit and before each request; `check_address` is
asked for **every** answer of a lookup. Both raise `AddressRefused` naming the rule; its ``setting``
says what the operator could set to allow it, and is for the operator's log alone.

What is allowed by default is the public Internet. `CallbackPolicy` opens exactly what it names:

- a network opens its addresses, except loopback, link-local, unspecified and metadata
  addresses, which are opened one at a time (``127.0.0.1/32``);
- a host opens that name, even a single label or ``.internal``, and the private addresses it
  resolves to, with the same exceptions; ``host:port`` does so for one port, whichever it is.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

from kernel.errors import AddressRefused
from kernel.transport.special_networks import (
    DENIED,
    ONE_BY_ONE,
    Address,
    Network,
    denied_by,
    embedded,
)

NETS_SETTING = "KERNEL_CALLBACK_ALLOW_NETS or --callback-net"
HOSTS_SETTING = "KERNEL_CALLBACK_ALLOW_HOSTS or --callback-host"

MAX_URL = 2048
DEFAULT_PORTS = {"http": 80, "https": 443}

# RFC 3986 §2: reserved, unreserved, and percent-encodings that are complete.
_CHARACTERS = re.compile(r"(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})+", re.ASCII)
# RFC 3986 appendix B, narrowed to http and https (RFC 9110 §4.2).
_URL = re.compile(r"(https?)://([^/?#]*)([^?#]*)(\?[^#]*)?", re.ASCII | re.IGNORECASE)
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]]*)(?::(.*))?", re.ASCII | re.IGNORECASE)
_PORT = re.compile(r"[1-9][0-9]{0,4}", re.ASCII)
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.ASCII)
# WHATWG URL, "ends in a number": other software reads such a host as an IPv4 address.
_NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)

# RFC 6761, 6762, 7686, 8375, 9476, ICANN's .internal, what home and office routers use, and what
# clusters use (Kubernetes, Consul). Not .example: to software that is a name like any other (RFC
# 6761 §6.5).
PRIVATE_SUFFIXES = frozenset({
    "localhost", "localdomain", "local", "internal", "intranet", "lan", "home", "home.arpa",
    "corp", "private", "onion", "alt", "in-addr.arpa", "ip6.arpa", "test", "invalid",
    "svc", "cluster", "consul",
})  # fmt: skip

# Ports from 1024 up that are refused; below it only 80 and 443 are allowed.
INTERNAL_PORTS = frozenset({
    # the Fetch standard, "bad port"
    1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, *range(6665, 6670), 6679,
    6697, 10080,
    # data stores and brokers
    1433, 1434, 1521, 1526, 1883, 2483, 2484, 3050, 3306, 4222, 4369, 5432, 5433, 5671, 5672, 5984,
    6379, 6380, 6432, 7000, 7001, 7199, 7473, 7474, 7687, 8086, 8087, 8091, 8883, 9042, 9092, 9093,
    9094, 9160, 9200, 9300, 11211, 11300, 15672, 16379, 25672, 26379, 27017, 27018, 27019, 28015,
    33060, 50070, *range(61613, 61617),
    # orchestrators and remote control
    2181, 2375, 2376, 2377, 2379, 2380, 2888, 3260, 3389, 3888, 4194, 4505, 4506, 4646, 4647, 4648,
    5555, *range(5900, 5904), 5985, 5986, 6443, 7077, 8005, 8009, 8125, 8140, 8200, 8201, 8300,
    8301, 8302, *range(8500, 8504), 8600, 10248, 10249, 10250, *range(10255, 10260),
})  # fmt: skip


@dataclass(frozen=True)
class CallbackPolicy:
    """What is allowed beyond the public Internet; the default opens nothing.

    Build it with `from_strings`; combine the operator's with a caller's with `merge`.
    """

    allow_nets: tuple[Network, ...] = ()
    allow_hosts: tuple[str, ...] = ()

    @classmethod
    def from_strings(cls, nets: Iterable[str] = (), hosts: Iterable[str] = ()) -> "CallbackPolicy":
        """Read networks (``10.1.0.0/16``, ``127.0.0.1/32``) and hosts (``name``, ``name:port``).

        Raises ValueError with a message for the operator: for what cannot be read, and for what
        would open nothing.
        """
        return cls(tuple(map(_parse_net, nets)), tuple(map(_parse_host, hosts)))

    def merge(self, other: "CallbackPolicy") -> "CallbackPolicy":
        """Return a policy that allows what either allows: the same one where nothing is added."""
        if not (other.allow_nets or other.allow_hosts):
            return self
        nets, hosts = self.allow_nets + other.allow_nets, self.allow_hosts + other.allow_hosts
        return CallbackPolicy(tuple(dict.fromkeys(nets)), tuple(dict.fromkeys(hosts)))

    def names(self, host: str, port: int) -> bool:
        """Say whether this host is named, for every port or with just this one."""
        return host in self.allow_hosts or join(host, port) in self.allow_hosts


@dataclass(frozen=True)
class Target:
    """Where a request goes, exactly as the connection uses it.

    ``host`` is in lower case, an IPv6 literal without brackets and in its shortest spelling;
    ``path`` holds the query and is never empty; ``origin`` is ``scheme://host:port``, the key for
    pools, caps and breakers. ``literal``: the host is an address. ``named``: the policy names it.
    """

    scheme: str
    host: str
    port: int
    path: str
    origin: str
    literal: bool
    named: bool


def check_url(url: str, policy: CallbackPolicy) -> Target:
    """Return where a callback URL leads, or raise AddressRefused.

    Accepted are http and https URLs (RFC 3986, RFC 9110 §4.2) that every parser reads alike. An
    address literal is checked here; what a name resolves to is checked when connecting.
    """
    scheme, authority, path = _split(url)
    host, port, literal = _host_and_port(authority, DEFAULT_PORTS[scheme])
    _check_parsers_agree(url, host, port)
    named = policy.names(host, port)
    if literal:
        check_address(host, policy)
    elif not named:
        _check_name(host)
    _check_port(host, port, policy)
    return Target(scheme, host, port, path, f"{scheme}://{join(host, port)}", literal, named)


def check_address(ip: str, policy: CallbackPolicy, named: bool = False) -> None:
    """Return when connecting to ``ip`` is allowed, else raise AddressRefused.

    ``named`` (see `Target`): it is what a name the policy names resolved to, and may be private.
    """
    try:
        address = ip_address(ip)
    except ValueError:
        raise AddressRefused("address", "this is not an IP address") from None
    rule = denied_by(address)
    if rule is None or _opened(address, rule, policy, named):
        return
    setting = f"{NETS_SETTING}: {address}/{address.max_prefixlen}"
    raise AddressRefused(rule, f"the address is not public ({rule})", setting)


def origin_of(url: str) -> str:
    """Return ``scheme://host:port`` of a URL, as `Target.origin` has it, without asking a policy.

    Raises AddressRefused for what `check_url` could not read.
    """
    scheme, authority, _ = _split(url)
    host, port, _ = _host_and_port(authority, DEFAULT_PORTS[scheme])
    return f"{scheme}://{join(host, port)}"


def join(host: str, port: int) -> str:
    """Return ``host:port``, with an IPv6 literal in brackets (RFC 3986 §3.2.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _split(url: str) -> tuple[str, str, str]:
    if len(url) > MAX_URL:
        raise AddressRefused("length", f"a callback URL has at most {MAX_URL} characters")
    if not _CHARACTERS.fullmatch(url):
        raise AddressRefused("characters", "only the characters of RFC 3986 are allowed")
    if "#" in url:
        raise AddressRefused("fragment", "a callback URL has no fragment")
    match = _URL.fullmatch(url)
    if not match:
        raise AddressRefused("scheme", "a callback URL starts with http:// or https://")
    scheme, authority, path, query = match.groups(default="")
    if "@" in authority:
        raise AddressRefused("userinfo", "a callback URL has no user name or password")
    return scheme.lower(), authority, (path or "/") + query


@lru_cache(maxsize=1024)
def _host_and_port(authority: str, default: int) -> tuple[str, int, bool]:
    match = _AUTHORITY.fullmatch(authority)
    if not match:
        raise AddressRefused("host", "the host cannot be read")
    host, port = match.groups()
    if port is not None and (not _PORT.fullmatch(port) or int(port) > 65535):
        raise AddressRefused("port", "a port is a number from 1 to 65535 without leading zeros")
    host, literal = _normal_host(host.lower())
    return host, int(port or default), literal


def _normal_host(host: str) -> tuple[str, bool]:
    last = host.rpartition(".")[2]
    if not host.startswith("[") and not _NUMERIC.fullmatch(last):
        if len(host) > 253 or not all(map(_LABEL.fullmatch, host.split("."))):
            raise AddressRefused("host", "this is not a host name (IDN only as xn--)")
        return host, False
    try:
        # Strict since Python 3.9.5: four decimal numbers without leading zeros.
        return str(IPv6Address(host[1:-1]) if host[0] == "[" else IPv4Address(host)), True
    except ValueError:
        raise AddressRefused("host", "an address literal is a dotted quad or [IPv6]") from None


def _check_parsers_agree(url: str, host: str, port: int) -> None:
    try:
        parts = urlsplit(url)
        seen, seen_port = parts.hostname or "", parts.port or DEFAULT_PORTS[parts.scheme]
        agree = (str(IPv6Address(seen)) if ":" in seen else seen, seen_port) == (host, port)
    except (ValueError, KeyError):
        agree = False
    if not agree:
        raise AddressRefused("host", "parsers disagree about the host")


def _check_name(host: str) -> None:
    labels, setting = host.split("."), f"{HOSTS_SETTING}: {host}"
    if len(labels) < 2:
        raise AddressRefused("single_label", "the host needs at least two labels", setting)
    if PRIVATE_SUFFIXES.intersection((labels[-1], ".".join(labels[-2:]))):
        raise AddressRefused("private_name", "the host is not a public name", setting)


def _check_port(host: str, port: int, policy: CallbackPolicy) -> None:
    if port in (80, 443) or (port >= 1024 and port not in INTERNAL_PORTS):
        return
    if join(host, port) not in policy.allow_hosts:
        setting = f"{HOSTS_SETTING}: {join(host, port)}"
        raise AddressRefused("port", f"port {port} is not allowed", setting)


def _opened(address: Address, rule: str, policy: CallbackPolicy, named: bool) -> bool:
    nets = [net for net in policy.allow_nets if address in net]
    if any(net.num_addresses == 1 for net in nets):
        return True
    if rule in ONE_BY_ONE or not (nets or (named and rule == "private")):
        return False
    # ::ffff:127.0.0.1 and its like reach the IPv4 address inside, which is judged by itself.
    inner = embedded(address)
    inner_rule = denied_by(inner) if inner else None
    return inner is None or inner_rule is None or _opened(inner, inner_rule, policy, named)


def _parse_net(text: str) -> Network:
    try:
        net = ip_network(text.strip())
    except ValueError as error:
        raise ValueError(f"{text!r} is not a network like 10.1.0.0/16: {error}") from None
    for rule, denied in DENIED:
        # Nothing in here can be opened as a network; say so rather than open nothing.
        if rule in ONE_BY_ONE and net.num_addresses > 1 and net[0] in denied and net[-1] in denied:
            raise ValueError(f"{text!r} is {rule}: name single addresses, like {net[1]}")
    return net


def _parse_host(text: str) -> str:
    try:
        host, port, literal = _host_and_port(text.strip(), 0)
    except AddressRefused as error:
        raise ValueError(f"{text!r} is not a host name or host:port: {error}") from None
    if literal and not port:
        raise ValueError(f"{text!r} is an address: name it as a network, with {NETS_SETTING}")
    return join(host, port) if port else host
