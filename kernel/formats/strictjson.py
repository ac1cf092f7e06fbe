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
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from kernel.errors import InvalidJson

MAX_DEPTH = 64
MAX_DIGITS = 64
_SHOWN = 40


@dataclass(frozen=True, slots=True)
class _Refused:
    """Takes the place of a refused value until `_check`, which knows the pointer, reaches it."""

    detail: str
    below: str = ""


def parse_json(body: bytes) -> dict[str, Any]:
    """Parse ``body`` as one strict JSON object.

    Raises InvalidJson, which says what is wrong; ``data["pointer"]`` if the problem has a place.
    """
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=lambda name: _Refused(f"{name} is not JSON"),
            parse_float=_float,
            parse_int=_int,
        )
    except UnicodeDecodeError:
        raise InvalidJson("the body is not UTF-8") from None
    except RecursionError:
        raise InvalidJson(f"nested deeper than {MAX_DEPTH} levels") from None
    except json.JSONDecodeError as error:
        raise InvalidJson(f"{error.msg} at line {error.lineno} column {error.colno}") from None
    _check(value, "", 1)
    if not isinstance(value, dict):
        raise InvalidJson("the body must be a JSON object", pointer="")
    return value


def escape_pointer(part: object) -> str:
    """Escape one reference token of a JSON pointer (RFC 6901, section 3)."""
    return str(part).replace("~", "~0").replace("/", "~1")


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


def _check(value: Any, pointer: str, depth: int) -> None:
    """Raise InvalidJson for marked values, great depth, and text no column or receiver can hold."""
    if isinstance(value, _Refused):
        raise InvalidJson(value.detail, pointer=pointer + value.below)
    if isinstance(value, str):
        _check_text(value, pointer)
    elif isinstance(value, dict | list):
        if depth > MAX_DEPTH:
            raise InvalidJson(f"nested deeper than {MAX_DEPTH} levels", pointer=pointer)
        for name, item in _items(value):
            if isinstance(name, str):
                _check_text(name, pointer)
            if isinstance(item, str | dict | list | _Refused):
                _check(item, f"{pointer}/{escape_pointer(name)}", depth + 1)


def _items(value: dict[str, Any] | list[Any]) -> Iterable[tuple[object, Any]]:
    return value.items() if isinstance(value, dict) else enumerate(value)


def _check_text(text: str, pointer: str) -> None:
    if not _is_text(text):
        raise InvalidJson("half of a surrogate pair is not text", pointer=pointer)
    if "\0" in text:
        raise InvalidJson("NUL is not text", pointer=pointer)


def _is_text(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
