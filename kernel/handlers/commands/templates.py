"""Texts with the names of arguments in braces, as a file of commands has them: ``--host={host}``.

A value becomes part of the one text that names it and is never split, quoted or read again.
``{{`` and ``}}`` are braces.
"""

from collections.abc import Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from string import Formatter
from typing import Any

# A list stays one, so that it may become several entries of argv.
Value = str | list[str] | None


@dataclass(frozen=True)
class Text:
    """A text with names in it: what stands before each of them, and what after the last."""

    parts: tuple[tuple[str, str | None], ...]

    @classmethod
    def parse(cls, text: str) -> "Text":
        """Raise ValueError, which says what to write instead, for a text that is none."""
        try:
            found = list(Formatter().parse(text))
        except ValueError:
            raise ValueError(
                f"{text!r}: write {{{{ and }}}} for braces that name nothing"
            ) from None
        for _, name, spec, conversion in found:
            if name is not None and (spec or conversion or not name.isidentifier()):
                raise ValueError(f"{text!r}: in braces stands the name of an argument, no more")
        return cls(tuple((before, name) for before, name, _, _ in found))

    @property
    def names(self) -> list[str]:
        """What it names, in order."""
        return [name for _, name in self.parts if name is not None]

    @property
    def leading(self) -> list[str]:
        """The names whose value may be its beginning."""
        found = []
        for before, name in self.parts:
            if before or name is None:
                break
            found.append(name)
        return found

    @property
    def only(self) -> str | None:
        """The name that it consists of, if it does."""
        one = len(self.parts) == 1 and not self.parts[0][0]
        return self.parts[0][1] if one else None

    def fill(self, values: Mapping[str, Value]) -> str:
        """Return the text with the values in place; one that is None is nothing."""
        return "".join(f"{before}{_shown(values, name)}" for before, name in self.parts)


@dataclass(frozen=True)
class Entry:
    """Entries of argv; with ``given``, only where that argument is given, and neither false nor
    empty.
    """

    texts: tuple[Text, ...]
    given: str | None = None

    def fill(self, values: Mapping[str, Value], given: Mapping[str, Any]) -> Iterator[str]:
        """Yield its entries. A list that is an entry of its own is as many as it has members."""
        if self.given is not None and not _is_given(given.get(self.given)):
            return
        for text in self.texts:
            several = values.get(text.only) if text.only else None
            if isinstance(several, list):
                yield from several
            else:
                yield text.fill(values)


def names_in(entries: Sequence[Entry]) -> set[str]:
    """Return all that entries of argv name."""
    return {name for entry in entries for text in entry.texts for name in text.names}


def _is_given(value: Any) -> bool:
    """Tell whether an argument is given, and neither false nor empty. The number 0 is given."""
    if value is None or value is False:
        return False
    return len(value) > 0 if isinstance(value, Sized) else True


def _shown(values: Mapping[str, Value], name: str | None) -> str:
    value = None if name is None else values[name]
    if isinstance(value, list):
        raise ValueError(f"the list {name} is no text")  # refused when the file was read
    return value or ""
