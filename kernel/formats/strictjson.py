"""Parses a body as one UTF-8 JSON object, unchanged, or refuses it (RFC 8259, I-JSON of RFC 7493).

`json.loads` alone accepts, changes or trips over more than half of a corpus of hostile bodies.
This parser never changes a body in silence: it refuses a name that stands twice in an object,
NaN, a lone surrogate, NUL, a BOM and great depth, with a JSON pointer to the place if it has one.

Numbers keep their value or are refused; their spelling may change. ``1.0`` and ``-0.0`` stay,
``1e2`` becomes ``100.0`` and ``-0`` becomes ``0``. A number that 64 bits of floating point would
round (``0.1000000000000000055``, ``12345678901234567.89``, ``1e400``, ``1e-400``) is refused: it
belongs in a string. Integers are exact, up to MAX_DIGITS digits.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from kernel.errors import InvalidJson

MAX_DEPTH = 64
MAX_DIGITS = 64
# Characters of the pointers to all values of a body together. Validation names the place of each
# mistake, so a long name above very many values would cost its length for each of them.
MAX_POINTERS = 33_554_432
_SHOWN = 40
Container = dict[str, Any] | list[Any]


@dataclass(frozen=True, slots=True)
class _Refused:
    """Takes the place of a refused value until `_flaw`, which knows the place, reaches it."""

    detail: str
    below: str = ""


# What `json` takes for numbers, each refused by one object however often it stands in a body.
_CONSTANTS = {name: _Refused(f"{name} is not JSON") for name in ("NaN", "Infinity", "-Infinity")}


def parse_json(body: bytes) -> dict[str, Any]:
    """Parse ``body`` as one strict JSON object.

    Raises InvalidJson, which says what is wrong; ``data["pointer"]`` if the problem has a place.
    """
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=_CONSTANTS.__getitem__,
            parse_float=_float,
            parse_int=_int,
        )
    except UnicodeDecodeError:
        raise InvalidJson("the body is not UTF-8") from None
    except RecursionError:
        raise InvalidJson(f"nested deeper than {MAX_DEPTH} levels") from None
    except json.JSONDecodeError as error:
        raise InvalidJson(f"{error.msg} at line {error.lineno} column {error.colno}") from None
    if (flaw := _Search().flaw(value)) is not None:
        raise InvalidJson(flaw.detail, pointer=flaw.pointer)
    if not isinstance(value, dict):
        raise InvalidJson("the body must be a JSON object", pointer="")
    return value


def is_json(body: bytes) -> bool:
    """Tell whether ``body`` is one JSON text (RFC 8259): an object or any other value."""
    try:
        json.loads(body.decode("utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    return True


def escape_pointer(part: object) -> str:
    """Escape one reference token of a JSON pointer (RFC 6901, section 3)."""
    return str(part).replace("~", "~0").replace("/", "~1")


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any] | _Refused:
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            return _Refused("this name stands twice in one object", _below(name))
        seen.add(name)
    raise AssertionError("unreachable: a shorter dict has a repeated name")


def _below(name: str) -> str:
    """Return the pointer from an object to a member; to the object if the name is no text."""
    return f"/{escape_pointer(name)}" if _is_text(name) else ""


def _float(digits: str) -> float | _Refused:
    if len(digits) <= MAX_DIGITS:
        number = float(digits)
        try:
            if Decimal(digits) == Decimal(repr(number)):
                return number
        except InvalidOperation:  # an exponent too large even for Decimal
            pass
    return _Refused(f"{_cut(digits)} does not fit a 64-bit number; send it as a string")


def _int(digits: str) -> int | _Refused:
    if len(digits) > MAX_DIGITS:
        return _Refused(f"{_cut(digits)} has more than {MAX_DIGITS} digits; send it as a string")
    return int(digits)


def _cut(digits: str) -> str:
    return digits if len(digits) <= _SHOWN else f"{digits[:_SHOWN]}…"


@dataclass(slots=True)
class _Flaw:
    """What is wrong with a value, and where: names and numbers from the value up to the body.

    The place is put together on the way back: a pointer for every value that is looked at would
    cost the length of the names above it.
    """

    detail: str
    below: str = ""
    upwards: list[object] = field(default_factory=list)

    @property
    def pointer(self) -> str:
        above = "".join(f"/{escape_pointer(part)}" for part in reversed(self.upwards))
        return above + self.below


@dataclass(slots=True)
class _Search:
    """Looks through a value for its first flaw, once, and adds up how long its pointers are."""

    pointers: int = 0

    def flaw(self, value: Any, depth: int = 1, above: int = 0) -> _Flaw | None:
        """Find a marked value, great depth, or text that no column or receiver can hold.

        ``above``: characters of the pointer to ``value``.
        """
        if isinstance(value, _Refused):
            return _Flaw(value.detail, value.below)
        if isinstance(value, str):
            return _text_flaw(value)
        if isinstance(value, dict | list):
            self.pointers += above * len(value)
            return self._limits_flaw(depth) or self._flaw_below(value, depth, above)
        return None

    def _limits_flaw(self, depth: int) -> _Flaw | None:
        if depth > MAX_DEPTH:
            return _Flaw(f"nested deeper than {MAX_DEPTH} levels")
        if self.pointers > MAX_POINTERS:
            return _Flaw(f"the names above all values have more than {MAX_POINTERS} characters")
        return None

    def _flaw_below(self, value: Container, depth: int, above: int) -> _Flaw | None:
        for name, item in _items(value):
            if isinstance(name, str) and (found := _text_flaw(name)) is not None:
                return found
            if isinstance(item, str | dict | list | _Refused):
                found = self.flaw(item, depth + 1, above + 1 + _length(name))
                if found is not None:
                    found.upwards.append(name)
                    return found
        return None


def _length(name: object) -> int:
    return len(name) if isinstance(name, str) else len(str(name))


def _items(value: Container) -> Iterable[tuple[object, Any]]:
    return value.items() if isinstance(value, dict) else enumerate(value)


def _text_flaw(text: str) -> _Flaw | None:
    if not _is_text(text):
        return _Flaw("half of a surrogate pair is not text")
    return _Flaw("NUL is not text") if "\0" in text else None


def _is_text(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def merged(before: Any, patch: Any) -> Any:
    """Merge a patch into a JSON value as RFC 7396 says."""
    if not isinstance(patch, Mapping):
        return patch
    found = dict(before) if isinstance(before, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = merged(found.get(name), value)
    return found
