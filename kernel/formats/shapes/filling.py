"""Fills a template with the values of one outcome: each shaped for its place, once, and bounded."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kernel.formats.shapes.template import (
    ABSENT,
    If,
    Own,
    Path,
    Place,
    Template,
    TemplateFailed,
    Text,
    find,
    paths_of,
)

MAX_RESULT_BYTES = 1024 * 1024
# Levels of a value of the order's, where it is placed as a whole.
MAX_VALUE_DEPTH = 200


def _unshaped(text: str) -> str:
    return text


@dataclass(slots=True)
class Filling:
    """One template being filled: values by their first name, and how much may still be made.

    ``shaped`` is applied to the order's strings, and not to `Own` ones. One for each result.
    """

    values: Mapping[str, Any]
    shaped: Callable[[str], str] = _unshaped
    bytes_left: int = MAX_RESULT_BYTES
    _known: dict[tuple[Path, bool], Any] = field(default_factory=dict)

    def value(self, path: Path, *, in_text: bool = False) -> Any:
        """Return the value at a path, shaped; `ABSENT` without one. Costs of what it holds.

        ``in_text``: an object or a list of the order's is its JSON, shaped as a whole: a member's
        name is text there too, and JSON would take back escapes that are made of backslashes.
        Raises TemplateFailed when the result becomes too large.
        """
        if (path, in_text) not in self._known:
            known = self._made(path, in_text)
            self._known[path, in_text] = known, 0 if known is ABSENT else len(json.dumps(known))
        known, size = self._known[path, in_text]
        self.spend(size)
        return known

    def _made(self, path: Path, in_text: bool) -> Any:
        found, is_own = find(self.values, path)
        if is_own or found is ABSENT:
            return found
        if in_text and isinstance(found, dict | list):
            return self.shaped(as_text(_each(_unshaped, found, 1)))
        return _each(self.shaped, found, 1)

    def spend(self, size: int) -> None:
        """Count what is made. Raises TemplateFailed when it is too much."""
        self.bytes_left -= size
        if self.bytes_left < 0:
            raise TemplateFailed(f"the result has more than {MAX_RESULT_BYTES} bytes")

    def fill(self, template: Template) -> Any:
        """Return the JSON value that a template makes; `ABSENT` when it is left out.

        Raises TemplateFailed.
        """
        if isinstance(template, Place):
            return self.value(template.path)
        if isinstance(template, Text):
            return self.text(template, as_text)
        if isinstance(template, If):
            branch = template.then if self.holds(template.path) else template.otherwise
            return self.fill(branch)
        if isinstance(template, dict):
            made = ((name, self.fill(one)) for name, one in template.items())
            return {name: one for name, one in made if one is not ABSENT}
        if isinstance(template, list):
            return [one for one in map(self.fill, template) if one is not ABSENT]
        if isinstance(template, str):
            self.spend(len(template))
        return template

    def laid_out(self, template: Template) -> Any:
        """Return what a template makes, for other templates to place: these shape it, and once.

        A value of the order's is there as it is, and what the operator wrote is `Own`. Costs of
        what it holds. Raises TemplateFailed.
        """
        if isinstance(template, Place):
            found, is_own = find(self.values, template.path)
            self.value(template.path)
            return Own(found) if is_own else found
        if isinstance(template, If):
            branch = template.then if self.holds(template.path) else template.otherwise
            return self.laid_out(branch)
        if isinstance(template, dict | list) and any(paths_of(template)):
            if isinstance(template, list):
                return [one for one in map(self.laid_out, template) if one is not ABSENT]
            made = ((name, self.laid_out(one)) for name, one in template.items())
            return {name: one for name, one in made if one is not ABSENT}
        filled = self.fill(template)
        return filled if filled is ABSENT else Own(filled)

    def text(self, template: Text, written: Callable[[Any], str]) -> str:
        """Return text with its places filled; ``written`` makes text of each value.

        A place without a value is empty.
        """
        parts = []
        for part in template.parts:
            if isinstance(part, str):
                self.spend(len(part))
                parts.append(part)
            else:
                found = self.value(part, in_text=True)
                parts.append(written("" if found is ABSENT else found))
        return "".join(parts)

    def holds(self, path: Path) -> bool:
        """Tell whether a path has a value that is not empty."""
        found, _ = find(self.values, path)
        return found is not ABSENT and bool(found)


def _each(shaped: Callable[[str], str], value: Any, depth: int) -> Any:
    """Return a value with each of its strings shaped, save those that are `Own`."""
    if depth > MAX_VALUE_DEPTH:
        raise TemplateFailed(f"a value is nested deeper than {MAX_VALUE_DEPTH} levels")
    if isinstance(value, Own):
        return value.value
    if isinstance(value, str):
        return shaped(value)
    if isinstance(value, dict):
        return {name: _each(shaped, one, depth + 1) for name, one in value.items()}
    if isinstance(value, list):
        return [_each(shaped, one, depth + 1) for one in value]
    return value


def as_text(value: Any) -> str:
    """Write a value into text: strings as they are, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
