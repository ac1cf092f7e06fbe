"""Commands that run until they are told to stop, each with everything it has started."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.support.waiting import is_running, wait_until

KERNEL = str(Path(sys.executable).parent / "kernel")
# Starting a whole system on a busy machine takes a while; nothing waits longer than it must.
PATIENCE = 60.0


class Command:
    """A command in a process of its own, in ``folder``, which is its TMPDIR, too."""

    def __init__(self, folder: Path, *command: str, typed: str = "", **settings: str) -> None:
        self.folder = folder
        self.typed = typed
        self.argv = [KERNEL, *command]
        self.env = {f"KERNEL_{name.upper()}": value for name, value in settings.items()}

    def __enter__(self) -> Self:
        env = {**os.environ, **self.env, "TMPDIR": str(self.folder)}
        with (self.folder / "out").open("wb") as out, (self.folder / "err").open("wb") as err:
            self.process = subprocess.Popen(
                self.argv,
                cwd=self.folder,
                env=env,
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=err,
            )
        assert self.process.stdin is not None
        with self.process.stdin as stdin:
            stdin.write(self.typed.encode())
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.wait()
        for pid in self.running():
            os.kill(pid, signal.SIGKILL)
        print(self.out, self.err, sep="\n---\n")  # shown when the test fails

    @property
    def out(self) -> str:
        """What it printed."""
        return (self.folder / "out").read_text()

    @property
    def err(self) -> str:
        """What it and its children said on stderr."""
        return (self.folder / "err").read_text()

    def wait_for(self, text: str, count: int = 1) -> None:
        """Return once the text stands in its output (so many times)."""
        wait_until(lambda: (self.out + self.err).count(text) >= count, PATIENCE, text)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, wait for the end and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def running(self) -> list[int]:
        """Process ids of all that runs of it, its children and theirs."""
        found = []
        for link in Path("/proc").glob("[0-9]*/cwd"):  # the one thing that none of them changes
            with suppress(OSError):  # it has just ended, or is somebody else's
                if os.readlink(link).startswith(f"{self.folder}"):
                    found.append(int(link.parent.name))
        return [pid for pid in found if is_running(pid)]

    def pids(self, program: str) -> list[int]:
        """Process ids of those whose command line holds ``program``."""
        lines = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in self.running()}
        return [pid for pid, line in lines.items() if program.encode() in line]
