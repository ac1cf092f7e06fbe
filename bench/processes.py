"""CPU and memory used by a tree of processes, read from /proc."""

import os
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

ESTABLISHED = "01"
TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")


def tree(pids: list[int]) -> list[int]:
    """Return these processes and all their descendants."""
    below: dict[int, list[int]] = defaultdict(list)
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            below[int(_fields(int(folder.name))[1])].append(int(folder.name))
    found, rest = [], list(pids)
    while rest:
        found.append(pid := rest.pop())
        rest += below[pid]
    return found


def cpu_ms(pids: list[int]) -> float:
    """Return the trees' CPU milliseconds so far, those of ended and reaped children included."""
    total = 0
    for pid in tree(pids):
        with suppress(OSError):  # has just ended; its parent's figures include it next time
            total += sum(map(int, _fields(pid)[11:15]))
    return total * TICK_MS


def memory_mib(pids: list[int], counted: str = "Pss") -> float:
    """Return the trees' memory in MiB.

    ``Pss``: pages that processes share are counted once; ``Rss``: in each of them.
    """
    total = 0
    for pid in tree(pids):
        with suppress(OSError):
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += int(rollup.partition(f"\n{counted}:")[2].split()[0])
    return total / 1024


def holders(pids: list[int], ports: set[int]) -> dict[int, int]:
    """Return who of the trees has TCP connections to these ports of loopback, and how many."""
    sockets = {
        f"socket:[{fields[9]}]"
        for fields in (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
        if fields[3] == ESTABLISHED and int(fields[2].rpartition(":")[2], 16) in ports
    }
    found: dict[int, int] = {}
    for pid in tree(pids):
        count = 0
        for descriptor in Path(f"/proc/{pid}/fd").glob("*"):
            with suppress(OSError):
                count += os.readlink(descriptor) in sockets
        if count:
            found[pid] = count
    return found


def _fields(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the third, the state, on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
