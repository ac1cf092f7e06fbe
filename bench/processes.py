"""What a tree of processes has used: CPU and memory, read from /proc."""

import os
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")


def tree(pids: list[int]) -> list[int]:
    """Return these processes and everything below them."""
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
    """CPU time of the trees so far, with that of children which have ended and were waited for."""
    total = 0
    for pid in tree(pids):
        with suppress(OSError):  # ended just now; its parent's figures hold it next time
            total += sum(map(int, _fields(pid)[11:15]))
    return total * TICK_MS


def memory_mib(pids: list[int]) -> float:
    """Memory of the trees: pages that processes share are counted once (PSS)."""
    total = 0
    for pid in tree(pids):
        with suppress(OSError):
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += int(rollup.partition("\nPss:")[2].split()[0])
    return total / 1024


def _fields(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on, which is the third."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
