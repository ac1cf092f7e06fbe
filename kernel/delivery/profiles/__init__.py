"""How an outcome is written into each ticket system or chat: profiles, which are data.

A file for each system in ``tickets/`` and ``messages/``; a profile is its words for people, its
variables and outcome keys, and a shape (`kernel.formats.shapes`) as JSON. Reads its own package's
files alone, once.
"""

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Any

from kernel.formats.shapes.reading import InvalidShape
from kernel.formats.shapes.shape import STATES, parse_shape

_FOLDERS = ("tickets", "messages")
# What an outcome key's value is: text as it is written, a number, or true and false.
_KINDS = ("text", "number", "flag")


@dataclass(frozen=True, slots=True)
class Variable:
    """What differs from one receiver to the next. ``default`` None: it has to be given."""

    default: str | None
    help: str
    pattern: str = ".+"


@dataclass(frozen=True, slots=True)
class OutcomeKey:
    """What an operator may add to the note of a state; ``kind``: text, number or flag."""

    kind: str
    help: str


@dataclass(frozen=True, slots=True)
class Profile:
    """What there is to know of a profile before a receiver is made by it.

    ``secrets``: names of the secrets that its body or its URL places. ``credentials``: the kinds of
    login that its system takes: basic, bearer, header, oauth2, or none at all.
    """

    name: str
    title: str
    help: str
    variables: Mapping[str, Variable]
    outcomes: Mapping[str, OutcomeKey]
    secrets: tuple[str, ...]
    credentials: tuple[str, ...]
    example_url: str


def names() -> tuple[str, ...]:
    """Return the names of all profiles, sorted."""
    return tuple(sorted(_entries()))


def profile(name: str) -> Profile:
    """Return a profile. Raises ValueError, with a name that may be meant."""
    entry = _entry(name)
    return Profile(
        name=name,
        title=entry["title"],
        help=entry["help"].strip(),
        variables={key: Variable(one.get("default"), one["help"], one.get("pattern", ".+"))
                   for key, one in entry.get("variables", {}).items()},
        outcomes={key: OutcomeKey(one["kind"], one["help"])
                  for key, one in entry.get("outcomes", {}).items()},
        secrets=tuple(entry.get("secrets", ())),
        credentials=tuple(entry["credentials"]),
        example_url=entry["example_url"],
    )  # fmt: skip


def made_shape(
    name: str,
    variables: Mapping[str, str] = {},
    outcomes: Mapping[str, str] = {},
) -> dict[str, Any]:
    """Return the shape to store for a receiver, as a JSON value.

    ``variables`` are the operator's; the shape keeps them, and the defaults, as what holds until
    the receiver has variables of its own. ``outcomes`` is what was written as
    ``STATE.KEY=VALUE``, by ``STATE.KEY``. Raises ValueError in words for people.
    """
    known = profile(name)
    shape: dict[str, Any] = json.loads(_entry(name)["shape"])
    if held := _variables(known, variables):
        shape["variables"] = held
    if added := _outcomes(known, outcomes):
        shape["outcomes"] = added
    try:
        parse_shape(shape)
    except InvalidShape as error:
        raise ValueError(f"the profile {name} cannot be used so: {error}") from None
    return shape


def _variables(known: Profile, given: Mapping[str, str]) -> dict[str, str]:
    for key in given:
        if key not in known.variables:
            raise ValueError(
                _unknown(f"the profile {known.name} has no variable", key, known.variables)
            )
    held = {}
    for key, variable in known.variables.items():
        value = given.get(key, variable.default)
        if value is None:
            words = f"the profile {known.name} needs --set {key}=VALUE: {variable.help}"
            raise ValueError(words)
        if not re.fullmatch(variable.pattern, value, re.ASCII):
            raise ValueError(f"{key}={value!r} cannot be: {variable.help}")
        held[key] = value
    return held


def _outcomes(known: Profile, given: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    added: dict[str, dict[str, Any]] = {}
    for path, text in given.items():
        state, _, key = path.partition(".")
        if state not in STATES:
            raise ValueError(_unknown("there is no outcome", state, STATES))
        if key not in known.outcomes:
            raise ValueError(
                _unknown(f"the profile {known.name} does nothing with", key, known.outcomes)
            )
        added.setdefault(state, {})[key] = _value(path, known.outcomes[key], text)
    return added


def _value(path: str, key: OutcomeKey, text: str) -> Any:
    if key.kind == "text":
        return text
    words = {"flag": "true or false", "number": "a whole number"}[key.kind]
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if type(value) is not {"flag": bool, "number": int}[key.kind]:
        raise ValueError(f"{path}={text} cannot be: {key.help} It is {words}.")
    return value


def _unknown(words: str, name: str, known: Any) -> str:
    near = get_close_matches(name, known, n=1)
    if near:
        return f"{words} {name!r}; did you mean {near[0]!r}?"
    listed = ", ".join(known)
    return f"{words} {name!r}; there is {listed}" if listed else f"{words} {name!r}"


def _entry(name: str) -> dict[str, Any]:
    if name not in _entries():
        raise ValueError(_unknown("there is no profile", name, names()))
    return _entries()[name]


@cache
def _entries() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for folder in _FOLDERS:
        for file in (files(__name__) / folder).iterdir():
            if file.name.endswith(".toml"):
                found |= tomllib.loads(file.read_text("utf-8"))
    return found
