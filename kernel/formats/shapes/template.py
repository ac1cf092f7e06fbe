"""Templates: JSON values with places, and one conditional. Total and bounded; no code, no loops.

A string may hold places, ``{{ path }}``: names and numbers with dots between. A string that is
exactly one place takes the value with its JSON type. ``{"if": path, "then": X, "else": Y}`` is X
where the path has a value that is not empty, else Y. A member or item that is exactly one place
without a value, or an ``if`` without that branch, is left out.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from kernel.formats.strictjson import escape_pointer

MAX_TEMPLATE_BYTES = 64 * 1024
MAX_DEPTH = 32
Path = tuple[str, ...]

_PLACE = re.compile(r"\{\{ *([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_-]+)*) *\}\}", re.ASCII)
_PATH = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_-]+)*", re.ASCII)
_IF = ({"if", "then"}, {"if", "else"}, {"if", "then", "else"})


class InvalidTemplate(ValueError):
    """A template that cannot be read; ``pointer`` (RFC 6901) says where in it."""

    def __init__(self, pointer: str, message: str) -> None:
        super().__init__(message)
        self.pointer = pointer


class TemplateFailed(ValueError):
    """Nothing can be made of a template for this outcome: the message says why."""


class Absent(Enum):
    """There is no value."""

    ABSENT = "absent"


ABSENT = Absent.ABSENT


@dataclass(frozen=True, slots=True)
class Place:
    """A value, taken as it is."""

    path: Path


@dataclass(frozen=True, slots=True)
class Text:
    """Text with places in it; ``parts`` are texts and paths by turns."""

    parts: tuple[str | Path, ...]

    @property
    def paths(self) -> Iterator[Path]:
        """Return the paths of its places."""
        return (part for part in self.parts if isinstance(part, tuple))


@dataclass(frozen=True, slots=True)
class If:
    """The one conditional."""

    path: Path
    then: "Template"
    otherwise: "Template"


# A JSON value in which strings with places are `Place` and `Text`, and conditionals `If`.
Template = Any


@dataclass(frozen=True, slots=True)
class Own:
    """A value of the operator's: of the outcome map, of the receiver, or shaped already."""

    value: Any


def parse_path(text: object) -> Path:
    """Return a path, as ``data.result.count``. Raises ValueError."""
    if not isinstance(text, str) or not _PATH.fullmatch(text):
        raise ValueError("a path is names and numbers with dots between, like data.result.count")
    return tuple(text.split("."))


def parse_text(text: str, pointer: str = "") -> Text:
    """Read a string as text with places. Raises InvalidTemplate."""
    parts: list[str | Path] = []
    last = 0
    for match in _PLACE.finditer(text):
        parts += [text[last : match.start()], tuple(match[1].split("."))]
        last = match.end()
    parts.append(text[last:])
    for part in parts:
        if isinstance(part, str) and "{{" in part:
            raise InvalidTemplate(pointer, "'{{' begins no place: write {{ path }}")
    return Text(tuple(part for part in parts if part != ""))


def parse_template(value: object, pointer: str = "") -> Template:
    """Read a template from its JSON value. Raises InvalidTemplate.

    How large a shape may be is for the caller to check, see `MAX_TEMPLATE_BYTES`.
    """
    return _parse(value, pointer, 0)


def _parse(value: object, pointer: str, depth: int) -> Template:
    if depth > MAX_DEPTH:
        raise InvalidTemplate(pointer, f"nested deeper than {MAX_DEPTH}")
    if isinstance(value, str):
        text = parse_text(value, pointer)
        if len(text.parts) == 1 and isinstance(text.parts[0], tuple):
            return Place(text.parts[0])
        return value if all(isinstance(part, str) for part in text.parts) else text
    if isinstance(value, dict):
        if "if" in value:
            return _parse_if(value, pointer, depth)
        return {
            name: _parse(one, f"{pointer}/{escape_pointer(name)}", depth + 1)
            for name, one in value.items()
        }
    if isinstance(value, list):
        return [_parse(one, f"{pointer}/{at}", depth + 1) for at, one in enumerate(value)]
    return value


def _parse_if(value: dict[str, object], pointer: str, depth: int) -> If:
    if set(value) not in _IF:
        raise InvalidTemplate(pointer, 'an "if" has "then", "else" or both beside it')
    try:
        path = parse_path(value["if"])
    except ValueError as error:
        raise InvalidTemplate(f"{pointer}/if", str(error)) from None
    then, otherwise = (
        _parse(value[name], f"{pointer}/{name}", depth + 1) if name in value else ABSENT
        for name in ("then", "else")
    )
    return If(path, then, otherwise)


def paths_of(template: Template) -> Iterator[Path]:
    """Return each path that a template names."""
    if isinstance(template, Place):
        yield template.path
    elif isinstance(template, Text):
        yield from template.paths
    elif isinstance(template, If):
        yield template.path
        yield from paths_of(template.then)
        yield from paths_of(template.otherwise)
    elif isinstance(template, dict | list):
        for one in template.values() if isinstance(template, dict) else template:
            yield from paths_of(one)


def find(values: Any, path: Path) -> tuple[Any, bool]:
    """Return the value at a path, ABSENT without one, and whether it is the operator's own."""
    found: Any = values
    is_own = False
    for name in path:
        if isinstance(found, Own):
            found, is_own = found.value, True
        if isinstance(found, Mapping) and name in found:
            found = found[name]
        elif isinstance(found, list) and name.isdecimal() and len(name) < 7:
            place = int(name)
            found = found[place] if place < len(found) else ABSENT
        else:
            return ABSENT, is_own
    if isinstance(found, Own):
        found, is_own = found.value, True
    return (ABSENT if found is None else found), is_own
