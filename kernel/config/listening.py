"""Whether an address can be listened on, asked before a server tries for seconds."""

import errno
import socket


def why_not_bound(host: str, port: int) -> str:
    """Try to listen on an address; say what is in the way and what to type, or nothing."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(address)
            tried.listen(1)
    except OSError as error:
        why = {
            errno.EADDRINUSE: "another program listens there: stop it "
            f"(`ss -ltnp sport = :{port}` names it)",
            errno.EACCES: "ports below 1024 are for root: put a proxy in front",
            errno.EADDRNOTAVAIL: "this machine has no such address: bind to one of its own",
        }.get(error.errno or 0, f"{error}: correct it")
        return f"cannot listen on {host}:{port}: {why}, or set KERNEL_BIND"
    return ""
