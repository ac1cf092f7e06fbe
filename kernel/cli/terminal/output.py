"""How commands print: tables for people, JSON for machines."""

import codecs
import io
import json
import re
import signal
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import click

# What of JSON is looked at: JSON itself leaves no control character below a space in a text.
_UNSEEN = re.compile(r"[^\n -~]")
# The exit code that a shell gives for Ctrl-C: 128 + SIGINT.
INTERRUPTED = 130
as_json = click.option("--json", "machine", is_flag=True, help="Print JSON.")


def show_what_can_be_shown() -> None:
    """Have standard output escape what its encoding lacks, as standard error does."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def print_json(value: Any) -> None:
    """Print ``value`` as indented JSON."""
    click.echo(json_text(value, indent=2))


def json_text(value: Any, indent: int | None = None) -> str:
    """Return ``value`` as JSON that cannot steer the terminal; see `seen`.

    It is of ASCII where standard output is not UTF-8: what that escapes by itself is no JSON.
    """
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    is_whole = codecs.lookup(encoding).name == "utf-8"
    return seen(json.dumps(value, ensure_ascii=not is_whole, indent=indent, default=str))


def seen(text: str) -> str:
    """Return JSON with what is not seen in it written as escapes, which mean the same."""
    return _UNSEEN.sub(lambda found: _escaped(found[0]), text)


def _escaped(character: str) -> str:
    return character if character.isprintable() else json.dumps(character)[1:-1]


def print_table(rows: Sequence[Mapping[str, Any]], nothing: str) -> None:
    """Print ``rows``, which have the same members, as columns; without rows print ``nothing``."""
    if not rows:
        click.echo(nothing)
        return
    lines = [list(rows[0]), *([cell(value) for value in row.values()] for row in rows)]
    widths = [max(map(columns, column)) for column in zip(*lines, strict=True)]
    for number, line in enumerate(lines):
        padded = (text + " " * (w - columns(text)) for text, w in zip(line, widths, strict=True))
        click.secho("  ".join(padded).rstrip(), bold=number == 0)


def print_fields(fields: Mapping[str, Any]) -> None:
    """Print ``fields``, one per line."""
    width = max(map(len, fields))
    for name, value in fields.items():
        click.echo(f"{click.style(name.ljust(width), bold=True)}  {cell(value)}")


def utc(at: datetime) -> str:
    """Return a time as `--since` and `--until` read it in a shell of any zone."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"


def cell(value: Any) -> str:
    """Return a value as one line. Control characters are escaped: hostile text cannot steer
    the terminal.
    """
    if value is None:
        return "-"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


@contextmanager
def going_on(said: str) -> Iterator[Callable[[float], None]]:
    """Give the block a pause of some seconds that Ctrl-C ends: then the command, with these words.

    What it waits for goes on. The first Ctrl-C is heard in a pause alone, for in a statement the
    driver of a database would make an error of it; the second one everywhere. Where it is ignored,
    as by `command &` in a script, it stays so.
    """
    # No locks: the handler runs in the thread that waits, which may hold one.
    pressed = pausing = False

    def press(*_: object) -> None:
        nonlocal pressed
        if pressed or pausing:
            raise KeyboardInterrupt
        pressed = True

    def pause(seconds: float) -> None:
        nonlocal pausing
        pausing = True
        if pressed:
            raise KeyboardInterrupt
        time.sleep(seconds)  # what is waited for is in rows: no message reaches this process
        pausing = False

    before = signal.getsignal(signal.SIGINT)
    if before is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, press)
    try:
        yield pause
    except KeyboardInterrupt:
        click.echo(f"\n{said}", err=True)
        click.get_current_context().exit(INTERRUPTED)
    finally:
        signal.signal(signal.SIGINT, before)


def columns(text: str) -> int:
    """Return the width of a text in terminal columns: a Chinese character takes two, an accent
    none.
    """
    return sum(map(_columns_of, text))


def cut(text: str, width: int) -> str:
    """Cut a text to ``width`` columns; a text that was cut ends with an ellipsis."""
    if columns(text) <= width:
        return text
    kept, room = "", width - 1
    for character in text:
        room -= _columns_of(character)
        if room < 0:
            break
        kept += character
    return kept + "…" if width > 0 else ""


def _columns_of(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):  # drawn onto the character before
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
