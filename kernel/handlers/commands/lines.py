"""What a program says line by line: progress and a result, and a tail of all else.

``::progress 3/10 a note``   how far it is: a number, or a number of a total, and words
``::result {"a": 1}``        the order's result, a JSON object; the last one counts

Lines of stdout that begin with neither, and all of stderr, are kept as tails for people.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from kernel.handlers.commands.process import OUT

MAX_TAIL = 4_000
# A result is at most 256 KiB; a longer line is cut off here.
MAX_LINE = 300_000
RESULT = "::result "
PROGRESS = re.compile(r"::progress ([0-9]{1,18})(?:/([0-9]{1,18}))?(?: (.*))?")
# What terminals take as commands: colours, cursor movements, titles.
ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_=>])")


@dataclass
class Stream:
    """One stream of a program: its unfinished line, and the end of what it said."""

    rest: bytes = b""
    tail: str = ""

    def lines(self, said: bytes) -> list[bytes]:
        """Return the lines that are complete with ``said``, each of at most MAX_LINE bytes."""
        *lines, rest = (self.rest + said).split(b"\n")
        if len(rest) > MAX_LINE:
            lines, rest = [*lines, rest], b""
        self.rest = rest
        return lines

    def keep(self, line: str) -> None:
        """Add a line to the tail."""
        self.tail = f"{self.tail}{line}\n"[-MAX_TAIL:]


@dataclass
class Heard:
    """What a program has said so far.

    ``protocol``: whether its lines may mean something. ``mask`` takes secrets out of a text, also
    those that `printable` has made shorter.
    """

    protocol: bool = True
    mask: Callable[[str], str] = str
    length: int = 0
    result: Any = None
    # What is wrong with the result; "" for nothing.
    wrong: str = ""
    # The last progress that was not told yet: current, total, note.
    progress: tuple[int, int | None, str | None] | None = None
    streams: dict[str, Stream] = field(default_factory=dict)

    def take(self, name: str, said: bytes) -> None:
        """Take what one of the streams said."""
        self.length += len(said)
        stream = self.streams.setdefault(name, Stream())
        for line in stream.lines(said):
            self._line(name, stream, line)

    def finish(self) -> None:
        """Take the last lines, which need no line break."""
        for name, stream in self.streams.items():
            rest, stream.rest = stream.rest, b""
            if rest:
                self._line(name, stream, rest)

    def tail(self, name: str) -> str:
        """Return the end of what a stream said, fit for any screen."""
        stream = self.streams.get(name)
        return "" if stream is None else stream.tail.strip()

    def take_progress(self) -> tuple[int, int | None, str | None] | None:
        """Return the last progress, once."""
        told, self.progress = self.progress, None
        return told

    def _line(self, name: str, stream: Stream, raw: bytes) -> None:
        line = raw.decode("utf-8", "replace").rstrip("\r")
        if name == OUT and self.protocol:
            if found := PROGRESS.fullmatch(line):
                current, total, note = found.groups()
                said = self._plain(note) if note else None
                self.progress = int(current), None if total is None else int(total), said
                return
            if line.startswith(RESULT):
                self._take_result(line.removeprefix(RESULT))
                return
        stream.keep(self._plain(line)[:MAX_TAIL])

    def _plain(self, text: str) -> str:
        """Return a text fit for any screen, without secrets: as they are, or coloured inside."""
        masked = self.mask(text)
        plain = printable(masked)
        return plain if plain == masked else self.mask(plain)

    def _take_result(self, text: str) -> None:
        try:
            self.result, self.wrong = json.loads(text), ""
        except (ValueError, RecursionError) as error:
            self.wrong = f"its ::result is no JSON: {error}"
            return
        if not isinstance(self.result, dict):
            self.wrong = "its ::result is no JSON object, such as {}"


def printable(text: str) -> str:
    """Return a text without what would command a terminal; other control characters are spaces."""
    plain = ESCAPES.sub("", text)
    return "".join(one if one.isprintable() else " " for one in plain)
