"""How a shape looks something up, and what answers mean: lookups, rules and their conditions."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kernel.formats.shapes.reading import (
    InvalidShape,
    Reader,
    one_of,
    read_count,
    read_flag,
    read_object,
    read_path,
    read_string,
    read_text,
    read_url,
)
from kernel.formats.shapes.template import Path, Text, parse_path

VERDICTS = ("delivered", "done", "retry", "give_up")
SUCCESSES = ("delivered", "done")
ALLOWED = {
    "any": re.compile(r".+", re.DOTALL),
    "alphanumeric": re.compile(r"[A-Za-z0-9]+"),
    "digits": re.compile(r"[0-9]+"),
}
MAX_RULES = 50
_STATUS = re.compile(r"[1-5](?:[0-9]{2}|xx)")


@dataclass(frozen=True, slots=True)
class Lookup:
    """One GET before the request: of ``rows``, exactly one whose ``match`` is ``equals``.

    Its ``value`` becomes ``{{ found }}``. ``allow``: what may be looked for, see `ALLOWED`.
    ``variables``: those of the shape.
    """

    url: Text
    rows: Path | None
    match: Path
    equals: Text
    value: Path
    allow: str
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Condition:
    """Something about the JSON of an answer (``path``) or, without a path, about its text."""

    path: Path | None
    kind: str
    value: Any


@dataclass(frozen=True, slots=True)
class Rule:
    """What an answer means when all of it holds; ``tries``: see `Judged` of `answer`.

    ``renews``: it refuses an OAuth token, as a 401 does in any case.
    """

    verdict: str
    statuses: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()
    says: Path | None = None
    tries: int | None = None
    renews: bool = False


def read_lookup(value: Any, pointer: str) -> Lookup:
    """Read a lookup. Raises InvalidShape."""
    problems: list[tuple[str, str]] = []
    read = Reader(read_object(value, pointer), pointer, problems)
    lookup = Lookup(
        url=read.need("url", read_url),
        rows=read.get("rows", read_path),
        match=read.need("match", read_path),
        equals=read.need("equals", read_text),
        value=read.need("value", read_path),
        allow=read.get("allow", one_of(tuple(ALLOWED)), "any"),
    )
    read.end()
    if problems:
        raise InvalidShape(problems)
    return lookup


def read_rules(value: Any, pointer: str) -> tuple[Rule, ...]:
    """Read the rules for answers. Raises InvalidShape."""
    if not isinstance(value, list) or len(value) > MAX_RULES:
        raise InvalidShape([(pointer, f"this is a list of at most {MAX_RULES} rules")])
    return tuple(_rule(one, f"{pointer}/{at}") for at, one in enumerate(value))


def _rule(value: Any, pointer: str) -> Rule:
    problems: list[tuple[str, str]] = []
    read = Reader(read_object(value, pointer), pointer, problems)
    rule = Rule(
        verdict=read.need("is", one_of(VERDICTS)),
        statuses=read.get("status", _statuses, ()),
        conditions=read.get("json", _conditions, ()) + read.get("text", _about_text, ()),
        says=read.get("says", read_path),
        tries=read.get("tries", read_count),
        renews=read.get("renews", read_flag, False),
    )
    read.end()
    if rule.renews and rule.verdict in SUCCESSES:
        problems.append((f"{pointer}/renews", "a success is not asked for again"))
    if problems:
        raise InvalidShape(problems)
    return rule


def _statuses(value: Any, pointer: str) -> tuple[str, ...]:
    words = [str(one) for one in (value if isinstance(value, list) else [value])]
    if not words or not all(map(_STATUS.fullmatch, words)):
        raise InvalidShape([(pointer, 'statuses are like 200, or "4xx"')])
    return tuple(words)


def _conditions(value: Any, pointer: str) -> tuple[Condition, ...]:
    if isinstance(value, dict):
        return (_condition(value, pointer),)
    if not isinstance(value, list):
        raise InvalidShape([(pointer, "this is a condition, or a list of them")])
    return tuple(_condition(one, f"{pointer}/{at}") for at, one in enumerate(value))


_KINDS = ("equals", "one_of", "contains", "exists", "not_empty")


def _condition(value: Any, pointer: str) -> Condition:
    members = read_object(value, pointer)
    kinds = [name for name in members if name != "path"]
    if "path" not in members or len(kinds) != 1 or kinds[0] not in _KINDS:
        words = f"a condition is a path and one of {', '.join(_KINDS)}"
        raise InvalidShape([(pointer, words)])
    kind, wanted = kinds[0], members[kinds[0]]
    if kind in ("exists", "not_empty"):
        read_flag(wanted, pointer)
    elif kind == "contains":
        read_string(wanted, pointer)
    elif kind == "one_of" and not isinstance(wanted, list):
        raise InvalidShape([(pointer, "one_of is a list of values")])
    return Condition(parse_path(members["path"]), kind, wanted)


def _about_text(value: Any, pointer: str) -> tuple[Condition, ...]:
    members = read_object(value, pointer)
    if len(members) != 1 or not set(members) <= {"equals", "contains", "one_of", "page"}:
        words = 'this is {"equals": ...}, {"one_of": [...]}, {"contains": ...} or {"page": true}'
        raise InvalidShape([(pointer, words)])
    (kind, wanted), *_ = members.items()
    if kind == "page":
        return (Condition(None, kind, read_flag(wanted, pointer)),)
    if kind != "one_of":
        return (Condition(None, kind, read_string(wanted, pointer)),)
    if not isinstance(wanted, list) or not all(isinstance(one, str) for one in wanted):
        raise InvalidShape([(pointer, "one_of is a list of strings here")])
    return (Condition(None, kind, wanted),)
