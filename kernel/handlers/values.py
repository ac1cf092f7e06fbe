"""How what a handler gives becomes JSON: results, steps, states, children's members, links' data.

Beside what JSON knows itself it may be all that pydantic writes: Decimal, datetime, UUID, Enum,
sets, dataclasses, models, bytes of UTF-8. What cannot be JSON is told with its place, as in
``result.items[3].price``, and without its value, which may be a secret.
"""

import json
import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_jsonable_python

from kernel.handlers.registering.secret_fields import MASK, SECRETS

#: What becomes of a secret: another value, or an error for it.
OfSecrets = Callable[[Any], Any]
MAX_DEPTH = 200
_LISTS = (list, tuple, set, frozenset, deque)


def masked(_secret: Any) -> Any:
    """Put a mask in a secret's place: for what is shown."""
    return MASK


def revealed(secret: Any) -> Any:
    """Put the secret itself in its place: for what is sealed."""
    return secret.get_secret_value()


def refused(_secret: Any) -> Any:
    """Refuse a secret: it would be stored in clear, or lost behind a mask."""
    raise TypeError("is a secret, which cannot be stored here: see secret=True of run.step")


def to_json(value: Any, what: str = "result", of_secrets: OfSecrets = masked) -> str:
    """Return a value as compact JSON text (RFC 8259).

    Raises TypeError or ValueError that says which member of ``what`` cannot be JSON, and why.
    """
    try:
        text = _dumps(value, lambda other: _other(other, of_secrets))
        text.encode()
    except (TypeError, ValueError, RecursionError):
        # Once more, slowly: with keys that JSON does not know, and with the place of what is wrong.
        text = _dumps(_plain(value, what, of_secrets, ()), None)
    return text


def _dumps(value: Any, default: Callable[[Any], Any] | None) -> str:
    return json.dumps(
        value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=default
    )


def _other(value: Any, of_secrets: OfSecrets) -> Any:
    """Return what stands for an object that JSON does not know; it may hold others."""
    if isinstance(value, SECRETS):
        return of_secrets(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, _LISTS):
        return list(value)
    if isinstance(value, Iterator):  # it can be read once, and no second attempt would find it
        raise TypeError("is an iterator; give a list")
    if of_secrets is not masked:  # what is in it has to be seen
        if isinstance(value, BaseModel):
            return value.model_dump(by_alias=True)
        if is_dataclass(value) and not isinstance(value, type):
            return {one.name: getattr(value, one.name) for one in fields(value)}
    return to_jsonable_python(value)


def _plain(value: Any, place: str, of_secrets: OfSecrets, above: tuple[int, ...]) -> Any:
    """Return a value as JSON's own types. Raises with the place of what cannot be."""
    if id(value) in above:
        raise ValueError(f"{place} is part of itself")
    if len(above) > MAX_DEPTH:
        raise ValueError(f"{place[:200]}... is deeper than {MAX_DEPTH} levels")
    below = (*above, id(value))
    if isinstance(value, Enum):
        return _plain(value.value, place, of_secrets, below)
    if value is None or isinstance(value, int | str | float):
        return _scalar(value, place)
    if isinstance(value, Mapping):
        return {key: _plain(one, at, of_secrets, below) for key, one, at in _members(value, place)}
    if isinstance(value, _LISTS):
        return [_plain(one, f"{place}[{n}]", of_secrets, below) for n, one in enumerate(value)]
    return _plain(_told(value, place, of_secrets), place, of_secrets, below)


def _scalar(value: Any, place: str) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{place} is {value}, a number that JSON does not have")
    try:
        str(value).encode()
    except UnicodeEncodeError:
        raise ValueError(f"{place} holds half of a surrogate pair, which is no text") from None
    return value


def _members(value: Mapping[Any, Any], place: str) -> Iterator[tuple[str, Any, str]]:
    for key, one in value.items():
        try:
            written = to_jsonable_python(key)
        except ValueError:
            written = key
        if not isinstance(written, str | int | float) and written is not None:
            raise TypeError(f"{place} has a key of type {_kind(key)}; keys are text")
        name = written if isinstance(written, str) else json.dumps(written)
        _scalar(name, f"a key of {place}")
        yield name, one, f"{place}.{name}" if name.isidentifier() else f"{place}[{name!r:.100}]"


def _told(value: Any, place: str, of_secrets: OfSecrets) -> Any:
    try:
        other = _other(value, of_secrets)
    except TypeError as error:
        raise TypeError(f"{place} {error}") from None
    except UnicodeDecodeError:
        said = "is bytes that are no UTF-8 text; give base64.b64encode(value).decode()"
        raise ValueError(f"{place} {said}") from None
    except (PydanticSerializationError, ValueError):
        raise TypeError(f"{place} is of type {_kind(value)}, which cannot be JSON") from None
    return other


def _kind(value: Any) -> str:
    return type(value).__name__
