"""Turns a submitted JSON object, as `kernel.formats.strictjson` parsed it, into an OrderRequest."""

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
# A body may hold a hundred thousand mistakes; a person reads no more than this many.
SHOWN_PROBLEMS = 100


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """A submitted order whose form is checked.

    ``args`` is the JSON text of the members other than select_tag and callback_url.
    """

    select_tag: str
    callback_url: str
    args: str
    fingerprint: str


def order_request(members: Mapping[str, Any], handlers: Mapping[str, Handler]) -> OrderRequest:
    """Check an order's members, and validate its arguments against the handler's model.

    ``members`` comes from `parse_json`. Whether the address of ``callback_url`` is allowed is for
    the calling function to check. Raises InvalidOrder, which lists every wrong member.
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
    """Return a SHA-256 in hex that is the same for two submits with the same members."""
    same = json.dumps(members, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(same.encode()).hexdigest()


def problem(pointer: str, code: str, detail: str, **more: Any) -> dict[str, Any]:
    """Return an entry of a 422's list; ``pointer`` is a JSON pointer (RFC 6901) into the body."""
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
    """Validate arguments against the handler's model; return the problems, [] if none."""
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
    """Return the pointer to the place where pydantic found a problem.

    A pydantic location also names branches of unions and validators; the pointer leaves them out,
    as the JSON has no such members.
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
