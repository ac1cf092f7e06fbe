"""A terminal with a person at it: what stands on its screen, and the keys that are pressed."""

import fcntl
import os
import re
import select
import struct
import subprocess
import sys
import termios
import time
import unicodedata
from collections.abc import Callable, Mapping
from typing import Self

from tests.support.stack import BIN, PATIENCE

# Makes the terminal the session's own, so that Ctrl-C reaches the command, and becomes the command.
OWNED = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    "os.execv(sys.argv[1], sys.argv[1:])"
)
CONTROL = re.compile(r"\x1b\[(\??)([\d;]*)([A-Za-z])")


class Glass:
    """The part of a terminal's screen that plain programs use: lines, moves, clearing."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.rows = [""]
        self.row = 0
        self.unknown: list[str] = []
        # What was said of each private mode last: cursor, wrapping, the screen of its own.
        self.modes: dict[str, str] = {}

    def feed(self, text: str) -> None:
        """Draw; what this glass does not know is noted."""
        position = 0
        for found in CONTROL.finditer(text):
            self._write(text[position : found.start()])
            self._control(*found.groups())
            position = found.end()
        self._write(text[position:])

    def _write(self, text: str) -> None:
        for character in text:
            if character == "\n":
                self.row += 1
                self.rows += [""] * (self.row - len(self.rows) + 1)
            elif character.isprintable():
                self.rows[self.row] += character
            elif character != "\r":
                self.unknown.append(character)

    def _control(self, private: str, numbers: str, letter: str) -> None:
        if private:
            self.modes[numbers] = letter
        elif letter == "A":
            self.row -= int(numbers or 1)
        elif letter == "H":
            self.row = 0
        elif letter == "K":
            self.rows[self.row] = ""
        elif letter == "J":
            del self.rows[self.row + 1 :]
            self.rows[self.row] = ""
        elif letter != "m":
            self.unknown.append(f"CSI {numbers}{letter}")

    @property
    def text(self) -> str:
        """What can be read."""
        return "\n".join(self.rows)

    def widest(self) -> int:
        """How many columns the longest line takes."""
        return max(map(_columns, self.rows))


def _columns(line: str) -> int:
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in line)
    return len(line) + wide - sum(unicodedata.category(c) == "Mn" for c in line)


class Person:
    """Runs a command of the command line in a terminal of this size, and looks at it."""

    def __init__(self, *command: str, env: Mapping[str, str], size: tuple[int, int] = (80, 24)):
        columns, rows = size
        without_size = {n: v for n, v in os.environ.items() if n not in ("COLUMNS", "LINES")}
        self.glass = Glass(columns)
        self._ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.before = termios.tcgetattr(theirs)
        self._theirs = theirs
        self.process = subprocess.Popen(
            [sys.executable, "-c", OWNED, str(BIN / "kernel"), *command],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            # Of a run of tests in several processes, these tell the width of its own terminal.
            env={**without_size, "TERM": "xterm-256color", **env},
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)
        os.close(self._theirs)

    def sees(self, condition: str | Callable[[str], bool]) -> str:
        """Wait until this stands on the screen; return all that does."""
        wanted = condition if callable(condition) else lambda text: condition in text
        deadline = time.monotonic() + PATIENCE
        while not wanted(self.glass.text):
            assert time.monotonic() < deadline, f"no {condition} on\n{self.glass.text}"
            self._look(0.1)
        return self.glass.text

    def presses(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._ours, keys)

    def leaves(self) -> int:
        """Wait for the end; return the exit code, with all that was said drawn."""
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"still there\n{self.glass.text}"
            self._look(0.1)
        while self._look(0):
            pass
        return self.process.returncode

    def settings_are_back(self) -> bool:
        """Tell whether the terminal is as it was before the command."""
        return termios.tcgetattr(self._theirs) == self.before

    def _look(self, seconds: float) -> bool:
        if not select.select([self._ours], [], [], seconds)[0]:
            return False
        self.glass.feed(os.read(self._ours, 65_536).decode())
        return True
