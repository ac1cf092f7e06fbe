"""What is asked of the way to a server before anything starts: who else can read and change it."""

import ipaddress
from collections.abc import Iterator


def check_link(address: str, encrypted: bool, verified: bool) -> Iterator[str]:
    """Yield a warning about a connection that others on the network can read or take over.

    ``address``: the server's IP address, empty for a socket file. ``verified``: the server's
    certificate and its name were checked. A server on this host is reached by no network.
    """
    if is_local(address) or (encrypted and verified):
        return
    what = (
        "is encrypted but not verified: another server can take its place and get all of it"
        if encrypted
        else "is not encrypted: others on the network can read and change orders and secrets"
    )
    yield (
        f"the connection to the database at {address} {what}; set KERNEL_DATABASE_CA_FILE to the "
        "authority that signs the server's certificate"
    )


def is_local(address: str) -> bool:
    """Tell whether an IP address is a loopback one; True for a socket file, which has none."""
    if not address:
        return True
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        return ip.ipv4_mapped.is_loopback
    return ip.is_loopback
