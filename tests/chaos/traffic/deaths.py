"""Which processes of the system were killed, and when: only a killed sender may lose a record.

A process that ends in an orderly way deletes its row in kernel_workers. The row of one that was
killed stays, and the operating system says when the process was gone. Where another process takes
over, it deletes the row at once: its log tells of that, and Celery's of a killed pool process.
"""

import re
import threading
import time
from pathlib import Path

from tests.chaos.stack import System

LOOK_SECONDS = 0.1
READ_SECONDS = 1.0
# A process that ends in an orderly way deletes its row before it is gone; a database that is away
# is asked again.
ROWS = "SELECT id, pid FROM kernel_workers"
TAKEN_OVER = re.compile(rb"process is gone, all that it had claimed is handed back: ([\w-]+)")
KILLED = re.compile(rb"pid:(\d+) exited with 'signal")


class Deaths:
    """Watches the processes that have a row, in a thread."""

    def __init__(self, system: System) -> None:
        self._system = system
        # Row ids, and the process ids in them, of those that lived when they were seen last.
        self._alive: dict[str, int] = {}
        self._gone: dict[str, float] = {}
        self._pids: dict[str, int] = {}
        # By process id.
        self._killed: dict[int, float] = {}
        # How far each log has been read.
        self._read_to: dict[Path, int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def start(self) -> None:
        """Start to watch."""
        self._thread.start()

    def stop(self) -> list[float]:
        """Watch no more; return when each killed process was gone (seconds since the epoch)."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._read()
        self._read_logs()
        return sorted(self._killed.values())

    def _watch(self) -> None:
        read_at = 0.0
        while not self._stop.wait(LOOK_SECONDS):
            for row_id, pid in list(self._alive.items()):
                if not _lives(pid):
                    del self._alive[row_id]
                    self._gone[row_id] = time.time()
            self._read_logs()
            if time.monotonic() >= read_at and self._read():
                read_at = time.monotonic() + READ_SECONDS

    def _read(self) -> bool:
        """Learn of new rows, and which rows of processes that are gone have stayed."""
        asked = time.time()
        rows = self._system.ask(ROWS)
        if rows is None:
            return False
        for row_id, pid in rows:
            name = row_id.decode() if isinstance(row_id, bytes) else str(row_id)
            self._pids[name] = pid
            if name in self._gone and self._gone[name] < asked:
                self._killed.setdefault(pid, self._gone[name])
            elif name not in self._gone:
                if _lives(pid):
                    self._alive[name] = pid
                else:  # it began and was gone between two looks
                    self._gone[name] = asked
                    self._killed.setdefault(pid, asked)
        return True

    def _read_logs(self) -> None:
        """Learn which pool processes Celery has seen end by a signal, and which are taken over."""
        for path in self._system.folder.glob("*.log"):
            with path.open("rb") as log:
                log.seek(self._read_to.get(path, 0))
                lines = log.readlines()
                whole = [line for line in lines if line.endswith(b"\n")]
                self._read_to[path] = log.tell() - sum(map(len, lines[len(whole) :]))
            for line in whole:
                if found := KILLED.search(line):
                    self._killed.setdefault(int(found[1]), time.time())
                elif found := TAKEN_OVER.search(line):
                    name = found[1].decode()
                    # Below zero: one that was never seen alive.
                    pid = self._pids.get(name, -len(self._killed) - 1)
                    self._killed.setdefault(pid, self._gone.get(name, time.time()))


def _lives(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")
