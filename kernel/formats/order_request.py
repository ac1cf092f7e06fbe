"""JSON in → OrderRequest; rows → JSON out. The wire of every answer and callback.

What arrives has passed `kernel.formats.strictjson`; here it gets a meaning.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from kernel.errors import InvalidOrder
from kernel.formats.envelope import encode
from kernel.formats.strictjson import escape_pointer
from kernel.handlers import Handler

MAX_WORD = 2048
# A body may hold a hundred thousand mistakes; nobody reads more than these.
SHOWN_PROBLEMS = 100


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """A submitted order, taken apart and checked for form. ``args`` is canonical JSON text."""

    select_tag: str
    callback_url: str
    args: str
    fingerprint: str


def order_request(members: Mapping[str, Any], handlers: Mapping[str, Handler]) -> OrderRequest:
    """Take an order's JSON object apart and validate its arguments against the handler's model.

    ``members`` comes from `parse_json`. The address of ``callback_url`` is judged by the caller
    of this function. Raises InvalidOrder listing every member that is wrong.
    """
    problems = [p for name in ("select_tag", "callback_url") for p in _word(members, name)]
    args = {k: v for k, v in members.items() if k not in ("select_tag", "callback_url")}
    encoded = encode(args).decode()
    tag = members.get("select_tag")
    if isinstance(tag, str):
        handler = handlers.get(tag)
        if handler is None:
            problems.append(problem("/select_tag", "unknown_select_tag", "no handler has this tag"))
        else:
            problems += _argument_problems(handler, args, encoded)
    if problems:
        raise InvalidOrder(errors=problems)
    return OrderRequest(
        members["select_tag"], members["callback_url"], encoded, fingerprint(members)
    )


def fingerprint(members: Mapping[str, Any]) -> str:
    """Return what two submissions have in common when they order the same: SHA-256, in hex."""
    same = json.dumps(members, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(same.encode()).hexdigest()


def problem(pointer: str, code: str, detail: str, **more: Any) -> dict[str, Any]:
    """One entry of a 422's list; ``pointer`` is a JSON pointer (RFC 6901) into the body."""
    return {"pointer": pointer, "code": code, "detail": detail, **more}


def _word(members: Mapping[str, Any], name: str) -> Iterable[dict[str, Any]]:
    if name not in members:
        yield problem(f"/{name}", "missing", "this member is required")
    elif not isinstance(members[name], str):
        yield problem(f"/{name}", "string_type", "must be a string")
    elif len(members[name]) > MAX_WORD:
        yield problem(f"/{name}", "string_too_long", f"at most {MAX_WORD} characters")


def _argument_problems(
    handler: Handler, args: dict[str, Any], encoded: str
) -> list[dict[str, Any]]:
    """Validate arguments against the handler's model; [] when they are right."""
    try:
        handler.parse(encoded)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        problems = [_argument_problem(one, args) for one in found[:SHOWN_PROBLEMS]]
        if len(found) > SHOWN_PROBLEMS:
            detail = f"{len(found)} problems; the first {SHOWN_PROBLEMS} are listed"
            problems.append(problem("", "too_many_problems", detail))
        return problems
    return []


def _argument_problem(found: Mapping[str, Any], args: dict[str, Any]) -> dict[str, Any]:
    kind = "unknown_member" if found["type"] == "extra_forbidden" else found["type"]
    return problem(_place(found["loc"], args, kind == "missing"), kind, found["msg"])


def _place(location: tuple[int | str, ...], value: Any, missing: bool) -> str:
    """Return the pointer for where pydantic found something wrong.

    A location also names branches of unions and validators, which the JSON knows nothing of.
    """
    pointer = ""
    for number, part in enumerate(location, 1):
        if _has(value, part):
            value = value[part]
        elif not (missing and number == len(location)):
            continue
        pointer += f"/{escape_pointer(part)}"
    return pointer


def _has(value: Any, part: int | str) -> bool:
    if isinstance(value, list):
        return isinstance(part, int) and part < len(value)
    return isinstance(value, dict) and part in value
