"""What a receiver's answer means by the rules of its shape. Pure; answers are hostile text.

A 2xx alone never suffices where there are rules: iTop answers 200 to everything, and a proxy's
error page may have any status.
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any, Literal

from kernel.formats.shapes.page import begins_page, is_page
from kernel.formats.shapes.rules import SUCCESSES, Condition, Lookup, Rule
from kernel.formats.shapes.shape import Shape
from kernel.formats.shapes.template import ABSENT, Path, find
from kernel.formats.shapes.text_shaping import shaper
from kernel.transport.backoff import SLOW_DOWN

# Takes secrets out of a text of the receiver's: asked before the text is cut for people.
Hide = Callable[[str], str]
Verdict = Literal["delivered", "done", "retry", "give_up"]
# Characters of what was seen in an answer, for people.
MAX_SAW = 200
# After how many to give up, as after 4xx by default: lookups that find nothing, for a ticket may be
# too new to be found, and 2xx that no rule takes, for each may have written.
FEW = 4
# What stands for an answer that did not come: an empty one means something else.
_MISSING = "..."
# Where JSON begins behind lines of another kind: PHP writes its notices before an answer.
_LINE_OF_JSON = re.compile(r"(?<=\n)[\[{]")
_RATE_LIMIT = re.compile(r"rate-?limit")


@dataclass(frozen=True, slots=True)
class Judged:
    """What an answer means; None: the status decides. ``saw``: what it was told by, in words.

    ``done``: it had been done before. ``tries``: after how many answers that have it to give up.
    """

    verdict: Verdict | None
    saw: str = ""
    tries: int | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """The one value that a lookup was for."""

    value: Any


@dataclass(frozen=True, slots=True)
class NotFound:
    """A lookup without a result; ``permanent``: asking again would not help.

    ``tries``: after how many such answers it does not help any more.
    """

    permanent: bool
    saw: str
    tries: int | None = None


def judge(shape: Shape, status: int, content_type: str, body: bytes, hide: Hide = str) -> Judged:
    """Judge an answer by the first rule that holds; without rules the status decides."""
    return _judged(shape, status, content_type, _read(body), hide)


def _judged(
    shape: Shape, status: int, content_type: str, read: tuple[Any, str], hide: Hide
) -> Judged:
    if not shape.answer:
        return Judged(None)
    value, text = read
    for rule in shape.answer:
        if _holds(rule, status, value, text):
            return Judged(rule.verdict, _saw(rule, status, value, text, hide), rule.tries)  # type: ignore[arg-type]
    return _unruled(status, content_type, text, hide)


def refuses_token(shape: Shape, status: int, body: bytes) -> bool:
    """Tell whether an answer refuses an OAuth token: a 401, or what the rule that holds says."""
    if not any(rule.renews and _is_for(rule, status) for rule in shape.answer):
        return status == HTTPStatus.UNAUTHORIZED
    value, text = _read(body)
    first = next((rule for rule in shape.answer if _holds(rule, status, value, text)), None)
    return status == HTTPStatus.UNAUTHORIZED or (first is not None and first.renews)


def judge_beginning(
    shape: Shape, status: int, content_type: str, body: bytes, hide: Hide = str
) -> Judged:
    """Judge an answer of which the end is missing: a success by its status is one.

    What its JSON would have said is not known, so every rule that asks for it may hold.
    """
    value, text = _read(body)
    text = text or _MISSING
    is_other = is_page(content_type, text) or text.lstrip().startswith("<")  # no JSON: XML, say
    if not shape.answer or value is not ABSENT or is_other:
        return _judged(shape, status, content_type, (value, text), hide)
    rules = list(_may_hold(shape, status, text))
    saw = f"status {status}, of an answer without its end: {_shown(text, hide)}"
    if rules and all(rule.verdict in SUCCESSES for rule in rules):
        return Judged(rules[0].verdict, saw)  # type: ignore[arg-type]
    if rules and not _asks_for_json(rules[0]):
        return Judged(rules[0].verdict, saw, rules[0].tries)  # type: ignore[arg-type]
    return _unruled(status, content_type, text, hide)


def judge_status(shape: Shape, status: int) -> Judged:
    """Judge an answer of which only the status is known, by the rules that ask for no more."""
    for rule in shape.answer:
        if rule.statuses and not rule.conditions and _holds(rule, status, ABSENT, ""):
            return Judged(rule.verdict, f"status {status}", rule.tries)  # type: ignore[arg-type]
    return Judged(None)


def found(
    lookup: Lookup, wanted: str, status: int, body: bytes, hide: Hide = str
) -> Found | NotFound:
    """Read the answer of a lookup for ``wanted``: exactly one row has to match.

    There may be none yet, and some systems answer 404 then: an index lags behind.
    """
    value, text = _read(body)
    if not 200 <= status <= 299:
        saw = f"status {status}: {_shown(text, hide)}"
        if status == HTTPStatus.NOT_FOUND:
            return NotFound(False, saw, FEW)
        return NotFound(status not in (401, 408, 425, 429) and status < 500, saw)
    rows = value if lookup.rows is None else _at(value, lookup.rows)
    if not isinstance(rows, list):
        return NotFound(False, f"the answer holds no list of rows: {_shown(text, hide)}")
    matching = [row for row in rows if _same(_at(row, lookup.match), wanted)]
    if len(matching) != 1:
        saw = f"{len(matching)} of {len(rows)} rows match {wanted[:100]!r}"
        return NotFound(bool(matching), saw, None if matching else FEW)
    one = _at(matching[0], lookup.value)
    if not isinstance(one, str | int) or isinstance(one, bool) or one == "":
        return NotFound(True, f"the row has no {'.'.join(lookup.value)}")
    return Found(one)


def wait_hint(
    shape: Shape,
    headers: Mapping[str, str],
    now: datetime,
    status: int = HTTPStatus.TOO_MANY_REQUESTS,
) -> str | None:
    """Return for how many seconds a receiver asks for a pause, by the headers that it is known for.

    ``headers``: names in lower case, of an answer with ``status``. None when none of them can be
    read. A rate limit's own stand in answers of every kind: they ask for a pause where the limit is
    reached, and not with any other failure.
    """
    for name, kind in shape.wait.items():
        if name not in headers or (_RATE_LIMIT.search(name) and status not in SLOW_DOWN):
            continue
        if (seconds := _seconds(headers[name].strip(), kind, now)) is not None:
            return str(max(0, round(seconds)))
    return None


def _seconds(value: str, kind: str, now: datetime) -> float | None:
    try:
        if kind == "iso":
            return (datetime.fromisoformat(value[:40]) - now).total_seconds()
        number = float(value[:20]) if value[:20].isascii() else math.nan
    except (ValueError, TypeError, OverflowError):
        return None
    if not math.isfinite(number):
        return None
    return number - now.timestamp() if kind == "unix" else number


def text_of(body: bytes) -> str:
    """Return an answer as text: UTF-8, or what its first bytes say (RFC 4627 §3), without a mark.

    PHP and .NET write a byte order mark before it, which is no JSON.
    """
    return body.decode(json.detect_encoding(body), "replace")


def _read(body: bytes) -> tuple[Any, str]:
    text = text_of(body)
    value, begins = _parsed(text), _LINE_OF_JSON.search(text)
    if value is ABSENT and begins is not None and text.lstrip()[:1] not in ("{", "["):
        value = _parsed(text[begins.start() :])
    return value, text


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return ABSENT


def _at(value: Any, path: Path) -> Any:
    return find(value, path)[0]


def _same(value: Any, wanted: str) -> bool:
    return value is not ABSENT and not isinstance(value, bool) and str(value) == wanted


def _unruled(status: int, content_type: str, text: str, hide: Hide) -> Judged:
    """Judge an answer that no rule takes: a 2xx is tried again, of all others the status decides.

    Until the deadline if it is a page, such as a proxy's, else `FEW` times.
    """
    if not 200 <= status <= 299:
        return Judged(None, f"status {status}: {_shown(text, hide)}")
    saw = f"status {status}, and no rule takes the answer: {_shown(text, hide)}"
    return Judged("retry", saw, None if is_page(content_type, text) else FEW)


def _may_hold(shape: Shape, status: int, text: str) -> Iterator[Rule]:
    """Yield the rules that may hold where the JSON is not known, up to the first that does."""
    for rule in shape.answer:
        if _asks_for_json(rule):
            if _is_for(rule, status):
                yield rule
        elif _holds(rule, status, ABSENT, text):
            yield rule
            return


def _asks_for_json(rule: Rule) -> bool:
    return any(condition.path is not None for condition in rule.conditions)


def _holds(rule: Rule, status: int, value: Any, text: str) -> bool:
    return _is_for(rule, status) and all(_is_met(one, value, text) for one in rule.conditions)


def _is_for(rule: Rule, status: int) -> bool:
    word = str(status)
    return not rule.statuses or any(one in (word, f"{word[0]}xx") for one in rule.statuses)


def _is_met(condition: Condition, value: Any, text: str) -> bool:
    there = text.strip() if condition.path is None else _value(value, condition.path)
    if condition.kind == "exists":
        return (there is not ABSENT) is condition.value
    if condition.kind == "not_empty":
        return (there is not ABSENT and bool(there)) is condition.value
    if condition.kind == "page":
        return begins_page(there) is condition.value
    if condition.kind == "contains":
        return isinstance(there, str) and condition.value.lower() in there.lower()
    wanted = condition.value if condition.kind == "one_of" else [condition.value]
    return any(type(there) is type(one) and there == one for one in wanted)


def _value(value: Any, path: Path) -> Any:
    return ABSENT if value is ABSENT else _at(value, path)


def _saw(rule: Rule, status: int, value: Any, text: str, hide: Hide) -> str:
    seen = [f"status {status}"]
    for condition in rule.conditions:
        if condition.path is not None:
            one = _value(value, condition.path)
            shown = "nothing" if one is ABSENT else _told(one, hide)
            seen.append(f"{'.'.join(condition.path)} = {shown}")
    said = ABSENT if rule.says is None else _value(value, rule.says)
    if isinstance(said, str) and said:
        seen.append(_shown(said, hide))
    elif not rule.conditions or any(one.path is None for one in rule.conditions):
        seen.append(_shown(text, hide, 60))
    return "; ".join(part for part in seen if part)[:MAX_SAW]


def _told(value: Any, hide: Hide) -> str:
    if isinstance(value, dict | list):
        return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value)}"
    return _shown(json.dumps(value, ensure_ascii=False), hide, 60)


def _shown(text: str, hide: Hide, most: int = 120) -> str:
    """Return the beginning of a text on one line, without control characters and secrets."""
    return " ".join(shaper("plain")(hide(text)[: most * 2]).split())[:most]
