"""A command such as `kernel migrate`, killed after one of its statements.

Run as a program, it forks once per line. A fork costs milliseconds, a new interpreter a second;
there are about fifty statements.
"""

import os
import signal
import subprocess
import sys
from typing import Any, Self

from sqlalchemy import Engine, event

from kernel.cli.main import main

ENDED = "exit code"
READS = ("SELECT", "SHOW", "PRAGMA", "DESCRIBE", "SET", "BEGIN")


class Interrupted:
    """Runs a command on a database, by default `migrate`, each time in a process of its own."""

    def __init__(self, url: str, *command: str) -> None:
        env = {**os.environ, "KERNEL_DATABASE_URL": url}
        argv = [sys.executable, "-m", "tests.support.interrupted", *(command or ("migrate",))]
        pipe = subprocess.PIPE
        self._forks = subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True, env=env)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._forks.communicate()

    def killed(self, after: int) -> bool:
        """Run it, with a SIGKILL after that many statements that change something.

        Returns False when it ended before; AssertionError when it failed.
        """
        assert self._forks.stdin is not None
        assert self._forks.stdout is not None
        self._forks.stdin.write(f"{after}\n")
        self._forks.stdin.flush()
        said = []
        while not (line := self._forks.stdout.readline()).startswith(ENDED):
            assert line, said  # the end of the program
            said.append(line)
        ended = int(line.removeprefix(ENDED))
        assert ended in (0, -signal.SIGKILL), (ended, said)
        return ended != 0


def _serve() -> None:
    # Imports here, once, what children need.
    main(["migrate", "--check"], standalone_mode=False)
    main([*sys.argv[1:], "--help"], standalone_mode=False)
    for line in sys.stdin:
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            _run(int(line))
        _, status = os.waitpid(child, 0)
        print(ENDED, os.waitstatus_to_exitcode(status), flush=True)


def _run(left: int) -> None:
    def count(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        nonlocal left
        if not statement.lstrip().upper().startswith(READS):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Engine, "after_cursor_execute", count)
    main(sys.argv[1:])


if __name__ == "__main__":
    _serve()
