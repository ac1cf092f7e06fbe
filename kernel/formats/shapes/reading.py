"""Reads the members of a shape's JSON value, and notes what is wrong with each."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from kernel.formats.shapes.template import If, InvalidTemplate, Path, Text, parse_path, parse_text
from kernel.formats.strictjson import escape_pointer


class InvalidShape(ValueError):
    """What is wrong with a shape: ``problems`` are pairs of a JSON pointer and a sentence."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{pointer or '/'}: {text}" for pointer, text in problems))
        self.problems = problems


class Reader:
    """Reads the members of an object, and notes what is wrong with each."""

    def __init__(self, value: Mapping[str, Any], pointer: str, problems: list[tuple[str, str]]):
        self._value, self._pointer, self._problems = value, pointer, problems
        self._known: set[str] = set()

    def get(self, name: str, read: Callable[[Any, str], Any], default: Any = None) -> Any:
        """Return a member as ``read`` makes it; ``default`` when it is missing or wrong."""
        self._known.add(name)
        if name not in self._value:
            return default
        pointer = f"{self._pointer}/{escape_pointer(name)}"
        try:
            return read(self._value[name], pointer)
        except InvalidTemplate as error:
            self._problems.append((error.pointer or pointer, str(error)))
        except InvalidShape as error:
            self._problems.extend(error.problems)
        except ValueError as error:
            self._problems.append((pointer, str(error)))
        return default

    def need(self, name: str, read: Callable[[Any, str], Any]) -> Any:
        """Return a member that has to be there."""
        if name not in self._value:
            self._problems.append((f"{self._pointer}/{name}", "this member is required"))
        return self.get(name, read)

    def end(self) -> None:
        """Note the members that no one asked for."""
        for name in self._value:
            if name not in self._known:
                pointer = f"{self._pointer}/{escape_pointer(name)}"
                self._problems.append((pointer, "there is no such member"))


def one_of(words: tuple[str, ...]) -> Callable[[Any, str], str]:
    """Return what reads one of some words. It raises ValueError."""

    def read(value: Any, _: str) -> str:
        if value not in words:
            raise ValueError(f"this is one of {', '.join(words)}")
        return str(value)

    return read


def read_flag(value: Any, _: str) -> bool:
    """Read true or false. Raises ValueError."""
    if not isinstance(value, bool):
        raise ValueError("this is true or false")
    return value


def read_string(value: Any, _: str) -> str:
    """Read a string. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError("this is a string")
    return value


def read_count(value: Any, _: str) -> int:
    """Read a whole number from 1 to ten million. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 10_000_000:
        raise ValueError("this is a number from 1 up")
    return value


def read_text(value: Any, pointer: str) -> Text:
    """Read a string with places. Raises ValueError, also as InvalidTemplate."""
    return parse_text(read_string(value, pointer), pointer)


def read_path(value: Any, _: str) -> Path:
    """Read a path. Raises ValueError."""
    return parse_path(value)


def read_paths(value: Any, pointer: str) -> tuple[Path, ...]:
    """Read a list of paths. Raises ValueError, also as InvalidShape."""
    if not isinstance(value, list):
        raise InvalidShape([(pointer, "this is a list of paths")])
    return tuple(map(parse_path, value))


def read_strings(value: Any, pointer: str) -> dict[str, str]:
    """Read an object of strings. Raises ValueError, also as InvalidShape."""
    found = read_object(value, pointer)
    return {name: read_string(one, pointer) for name, one in found.items()}


def read_object(value: Any, pointer: str) -> dict[str, Any]:
    """Read an object. Raises InvalidShape."""
    if not isinstance(value, dict):
        raise InvalidShape([(pointer, "this is an object")])
    return value


# A full URL begins with scheme and host, without a place in them; others go below the receiver's.
_ABSOLUTE = re.compile(r"https?://[^/{}?#]+[/?]", re.ASCII | re.IGNORECASE)
_ABSOLUTE_WHOLE = re.compile(r"https?://[^/{}?#]+(?:[/?]|\Z)", re.ASCII | re.IGNORECASE)


def read_urls(value: Any, pointer: str) -> Text | If:
    """Read a URL, or the choice between two. Raises ValueError."""
    if not isinstance(value, dict):
        return read_url(value, pointer)
    if set(value) != {"if", "then", "else"}:
        raise InvalidShape([(pointer, 'a choice of URLs has "if", "then" and "else"')])
    urls = (read_url(value[name], f"{pointer}/{name}") for name in ("then", "else"))
    return If(parse_path(value["if"]), *urls)


def read_url(value: Any, pointer: str) -> Text:
    """Read a URL in full, or a path below the receiver's. Raises ValueError."""
    text = read_text(value, pointer)
    first = text.parts[0] if text.parts else ""
    if isinstance(first, tuple):
        raise ValueError("a URL does not begin with a place; below the receiver's URL: /{{ path }}")
    whole = len(text.parts) == 1
    is_full = "://" in value.partition("?")[0]
    if is_full and not (_ABSOLUTE_WHOLE if whole else _ABSOLUTE).match(value):
        raise ValueError("scheme and host of a URL hold no place, and end with a /")
    if "#" in value:
        raise ValueError("a URL has no fragment")
    return text
