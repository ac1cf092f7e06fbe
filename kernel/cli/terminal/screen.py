"""Lines redrawn in place on a terminal, with plain ANSI sequences."""

import os
import select
import shutil
import signal
import sys
import termios
import time
import tty
from collections.abc import Sequence
from types import FrameType
from typing import Any, NamedTuple, Self

import click

from kernel.cli.terminal.output import cell, columns, cut

HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"
# Long lines end at the edge; otherwise a terminal that the user narrows would fold them.
UNWRAPPED, WRAPPED = "\x1b[?7l", "\x1b[?7h"
# The alternate screen: leaving it restores what the terminal showed before.
OWN, BEFORE = "\x1b[?1049h", "\x1b[?1049l"
HOME, CLEAR_LINE, CLEAR_BELOW = "\x1b[H", "\x1b[2K", "\x1b[J"


class Part(NamedTuple):
    """A piece of a line. `drawn` escapes its control characters."""

    text: str
    colour: str | None = None
    bold: bool = False
    dim: bool = False


Line = Sequence[Part]


def is_terminal() -> bool:
    """Tell whether standard output is a terminal that can redraw lines."""
    return sys.stdout.isatty() and os.environ.get("TERM", "") not in ("", "dumb")


def drawn(line: Line, width: int) -> str:
    """Return a line cut to ``width`` columns, coloured unless NO_COLOR is set."""
    plain = bool(os.environ.get("NO_COLOR"))
    text = ""
    for part in line:
        piece = cut(cell(part.text), width)
        width -= columns(piece)
        text += piece if plain or not piece else _styled(piece, part)
    return text


def _styled(piece: str, part: Part) -> str:
    return click.style(piece, fg=part.colour, bold=part.bold or None, dim=part.dim or None)


def bar(percent: int, width: int) -> list[Part]:
    """Return a progress bar of ``width`` columns, the brackets included."""
    done = percent * max(0, width - 2) // 100
    return [
        Part("["),
        Part("#" * done, "green"),
        Part("-" * (width - 2 - done), dim=True),
        Part("]"),
    ]


class Screen:
    """Redraws its lines in place, below the prompt or on a ``whole`` screen.

    Restores the terminal when its block ends, by an exception or SIGTERM too; SIGKILL leaves it.
    """

    def __init__(self, *, whole: bool = False) -> None:
        self._whole = whole
        self._lines = 0
        self._before: list[Any] | None = None
        self._on_terminate: Any = None

    def __enter__(self) -> Self:
        self._on_terminate = signal.signal(signal.SIGTERM, _leave)
        if self._whole and sys.stdin.isatty():
            self._before = termios.tcgetattr(sys.stdin)
            tty.setcbreak(sys.stdin, termios.TCSANOW)
        _say((OWN if self._whole else "") + HIDE + UNWRAPPED)
        return self

    def __exit__(self, *_: object) -> None:
        _say(WRAPPED + SHOW + (BEFORE if self._whole else ""))
        if self._before is not None:
            termios.tcsetattr(sys.stdin, termios.TCSANOW, self._before)
        signal.signal(signal.SIGTERM, self._on_terminate)

    @property
    def width(self) -> int:
        """The terminal's width in columns at this moment."""
        return shutil.get_terminal_size().columns

    def draw(self, lines: Sequence[Line]) -> None:
        """Replace the lines drawn before. Lines below the terminal's last row are left out."""
        width, height = shutil.get_terminal_size()
        shown = [drawn(line, width) for line in lines[: max(1, height - 1)]]
        up = f"\x1b[{self._lines}A" if self._lines else ""
        start = HOME if self._whole else "\r" + up
        _say(start + "".join(f"{CLEAR_LINE}{line}\n" for line in shown) + CLEAR_BELOW)
        self._lines = len(shown)

    def wait(self, seconds: float) -> bool:
        """Wait ``seconds``; return True at once when the user presses q or Ctrl-D."""
        if self._before is None:
            time.sleep(seconds)  # keys are not read
            return False
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if select.select([sys.stdin], [], [], left)[0]:
                key = os.read(sys.stdin.fileno(), 1)
                if key in (b"q", b"Q", b"\x04", b""):
                    return True
        return False


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _leave(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
