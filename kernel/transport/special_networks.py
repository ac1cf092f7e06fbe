"""Which addresses are not public, and which IPv4 address an IPv6 address stands for. Pure."""

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# What is refused, by rule; what stands first names the refusal. IPv4: the IANA Special-Purpose
# Address Registry, multicast, reserved, the clouds' metadata services. IPv6: all but global
# unicast, 2000::/3 (RFC 4291 §2.4), and the special-purpose blocks in that.
_TABLE: tuple[tuple[str, str], ...] = (
    ("metadata", "169.254.169.254 168.63.129.16 100.100.100.200 192.0.0.192"),
    # Amazon (with EKS Pod Identity), Google; Scaleway, Oracle, Akamai, Alibaba.
    ("metadata", "fd00:ec2::/32 fd20:ce::/48"),
    ("metadata", "fd00:42::42 fd00:c1::a9fe:a9fe fd00:a9fe:a9fe::1 fd00:100::100:200"),
    ("loopback", "127.0.0.0/8 ::1"),
    ("link_local", "169.254.0.0/16 fe80::/10"),
    ("unspecified", "0.0.0.0/8 ::"),
    ("private", "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 100.64.0.0/10 fc00::/7 fec0::/10"),
    ("multicast", "224.0.0.0/4 ff00::/8"),
    ("reserved", "192.0.0.0/24 192.0.2.0/24 192.31.196.0/24 192.52.193.0/24 192.88.99.0/24"),
    ("reserved", "192.175.48.0/24 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 240.0.0.0/4"),
    ("reserved", "2001::/23 2001:db8::/32 2002::/16 2620:4f:8000::/48 3fff::/20"),
    ("reserved", "::/3 4000::/2 8000::/1"),
)
DENIED: tuple[tuple[str, Network], ...] = tuple(
    (rule, ip_network(net)) for rule, nets in _TABLE for net in nets.split()
)
# These reach the machine itself or hand out credentials: opened one address at a time.
ONE_BY_ONE = frozenset({"metadata", "loopback", "link_local", "unspecified"})
# RFC 6052 §2.1; RFC 8215, where a network may put the IPv4 address elsewhere too: then 0.0.0.x
# stands last, which is refused.
_NAT64 = (ip_network("64:ff9b::/96"), ip_network("64:ff9b:1::/48"))
_COMPATIBLE = ip_network("::/96")  # RFC 4291 §2.5.5.1, deprecated
# RFC 5214 §6.1: under any prefix ::0:5efe:a.b.c.d and ::200:5efe:a.b.c.d are tunnels to a.b.c.d.
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})


@lru_cache(maxsize=1024)
def denied_by(address: Address) -> str | None:
    """Return the rule that refuses an address; None when it is public."""
    if "%" in str(address):  # a scope
        return "link_local"
    rule = next((rule for rule, net in DENIED if address in net), None)
    return "reserved" if rule is None and _is_isatap(address) else rule


def embedded(address: Address) -> IPv4Address | None:
    """Return the IPv4 address that packets to this IPv6 address may reach in the end."""
    if isinstance(address, IPv4Address):
        return None
    in_the_end = address in _COMPATIBLE or any(address in net for net in _NAT64)
    if in_the_end or _is_isatap(address):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def _is_isatap(address: Address) -> bool:
    return address.version == 6 and (int(address) >> 32) & 0xFFFFFFFF in _ISATAP
