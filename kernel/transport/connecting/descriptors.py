"""File descriptors: the limit of this process, the share kept connections have, who is at fault.

A process that has none left cannot connect, nor look a name up. That is held against no receiver.
"""

import errno
import resource
import socket

# Programs that close every possible descriptor take minutes where the hard limit is 2**30.
HIGHEST_LIMIT = 65536
# A quarter of the descriptors may be kept connections: databases and handlers need theirs.
KEPT_SHARE = 4
# What this machine lacks: descriptors (of the process, of the system), memory, buffers.
_OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})


def raise_limit() -> int:
    """Raise the soft limit to the hard one, at most to HIGHEST_LIMIT; return the soft limit.

    A limit that is higher already stays. A system that refuses leaves the limit as it is.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    wanted = HIGHEST_LIMIT if hard == unlimited else min(hard, HIGHEST_LIMIT)
    if soft == unlimited or soft >= wanted:
        return HIGHEST_LIMIT if soft == unlimited else soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):
        return soft
    return wanted


def kept_share() -> int:
    """Return how many descriptors of this process may be kept connections."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (HIGHEST_LIMIT if soft == resource.RLIM_INFINITY else soft) // KEPT_SHARE


def is_ours(error: OSError) -> bool:
    """Say whether an error tells of this machine's limits, not of an address."""
    return error.errno in _OURS


def are_used_up() -> bool:
    """Say whether no socket can be opened: a resolver that has none calls the name unknown."""
    try:
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()
    except OSError as error:
        return is_ours(error)
    return False
