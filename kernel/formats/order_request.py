"""Turns a submitted JSON object, as `kernel.formats.strictjson` parsed it, into an OrderRequest."""

import hashlib
import json
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import BaseModel, SecretStr, ValidationError

from kernel.db.states import PRIORITIES, Priority
from kernel.db.tables.orders import NO_CALLBACK
from kernel.errors import InvalidOrder
from kernel.formats.envelope import encode
from kernel.formats.moments import WORDS as MOMENT
from kernel.formats.moments import moment
from kernel.formats.reference import MAX_REFERENCE, WORDS, as_reference, is_reference
from kernel.formats.strictjson import escape_pointer
from kernel.handlers import Handler
from kernel.handlers.registering.secret_fields import masked, packed, without

MAX_WORD = 2048
WINDOW = ("not_before", "not_after")
# A body may hold a hundred thousand mistakes; a person reads no more than this many.
SHOWN_PROBLEMS = 100
# Nor pointers of more characters than this, all together: names can be as long as the body.
SHOWN_POINTERS = 65_536
# Between texts that are masked together; no secret has one, for no JSON that is accepted does.
BETWEEN = "\0"


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """A submitted order whose form is checked.

    ``callback_url`` is `NO_CALLBACK` where the member is null. ``args`` is the JSON text of the
    members other than select_tag and callback_url, and than reference unless the handler's model
    reads that itself; at the places of secrets it has a mask. ``secrets``: those secrets, as
    `kernel.handlers.registering.secret_fields.packed` makes one text of them.
    """

    select_tag: str
    callback_url: str
    args: str
    fingerprint: str = field(repr=False)
    reference: str | None = None
    secrets: SecretStr | None = None
    # The window in which its first run may begin; None where it is open.
    not_before: datetime | None = None
    not_after: datetime | None = None
    # Orders of the caller with the same key run one at a time.
    ordering_key: str | None = None
    # Whose turn it is among the caller's orders.
    priority: Priority = Priority.NORMAL
    # It came by the original system's address.
    is_original: bool | None = None

    @property
    def has_window(self) -> bool:
        """Whether it may not begin at any time."""
        return self.not_before is not None or self.not_after is not None


def order_request(
    members: Mapping[str, Any], handlers: Mapping[str, Handler], reference: str | None = None
) -> OrderRequest:
    """Check an order's members, and validate its arguments against the handler's model.

    The order's reference is its member, else ``reference``, which came beside the members, else
    the argument that the handler was registered with.

    ``members`` comes from `parse_json`. Whether the address of ``callback_url`` is allowed is for
    the calling function to check. Raises InvalidOrder, which lists every wrong member.
    """
    problems = list(_word_problems(members))
    tag = members.get("select_tag")
    handler = handlers.get(tag) if isinstance(tag, str) else None
    named, own = members.get("reference"), _own(handler)
    problems += _name_problems(members, own)
    problems += _priority_problems(members, own)
    times = {name: moment(members.get(name)) for name in WINDOW if name in own}
    problems += _window_problems(members, times)
    args = {name: value for name, value in members.items() if name not in own}
    encoded = encode(args).decode()
    parsed = None
    if handler is not None:
        parsed, found = _parse(handler, encoded, args)
        problems += found
    elif isinstance(tag, str):
        problems.append(problem("/select_tag", "unknown_select_tag", "no handler has this tag"))
    if problems or handler is None:
        raise InvalidOrder(errors=problems)
    if is_reference(named):
        reference = named
    elif reference is None and handler.reference is not None:
        reference = as_reference(getattr(parsed, handler.reference))
    secrets = None if parsed is None else handler.secrets.taken(args, parsed)
    if secrets:
        encoded = encode(masked(args, secrets)).decode()
    return OrderRequest(
        members["select_tag"],
        NO_CALLBACK if members["callback_url"] is None else members["callback_url"],
        encoded,
        fingerprint(members),
        reference,
        packed(secrets) if secrets else None,
        times.get("not_before"),
        times.get("not_after"),
        members.get("ordering_key") if "ordering_key" in own else None,
        PRIORITIES[members.get("priority") or "normal"] if "priority" in own else Priority.NORMAL,
    )


def _own(handler: Handler | None) -> list[str]:
    """Return the members that are the order's own: all but those that the handler's model reads."""
    optional = ("reference", "ordering_key", "priority", *WINDOW)
    read = [name for name in optional if handler is None or not handler.takes(name)]
    return ["select_tag", "callback_url", *read]


def _parse(
    handler: Handler, encoded: str, args: dict[str, Any]
) -> tuple[BaseModel | None, Iterable[dict[str, Any]]]:
    """Return the arguments as the handler's model reads them, or what is wrong with them."""
    try:
        return handler.parse(encoded), ()
    except ValidationError as error:
        return None, _argument_problems(error, args, handler)
    except Exception as error:
        if not handler.secrets:
            raise
        # A validator's bug: what it says may quote a secret, and so may what led to it.
        said = "".join(traceback.format_exception(error))
        told = without(said, handler.secrets.places(args))
        raise RuntimeError(f"a bug in the model of {handler.tag!r}\n{told}") from None


def fingerprint(members: Mapping[str, Any]) -> str:
    """Return a SHA-256 in hex that is the same for two submits with the same members."""
    same = json.dumps(members, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(same.encode()).hexdigest()


def problem(pointer: str, code: str, detail: str, **more: Any) -> dict[str, Any]:
    """Return an entry of a 422's list; ``pointer`` is a JSON pointer (RFC 6901) into the body."""
    return {"pointer": pointer, "code": code, "detail": detail, **more}


def _word_problems(members: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """Judge the two members that each order has. A caller that polls says so by null."""
    yield from _word(members, "select_tag")
    if "callback_url" not in members or members["callback_url"] is not None:
        yield from _word(members, "callback_url")


def _word(members: Mapping[str, Any], name: str) -> Iterable[dict[str, Any]]:
    if name not in members:
        yield problem(f"/{name}", "missing", "this member is required")
    elif not isinstance(members[name], str):
        yield problem(f"/{name}", "string_type", "must be a string")
    elif len(members[name]) > MAX_WORD:
        yield problem(f"/{name}", "string_too_long", f"at most {MAX_WORD} characters")


def _window_problems(
    members: Mapping[str, Any], times: Mapping[str, datetime | None]
) -> Iterable[dict[str, Any]]:
    """Judge the window of an order; null is none."""
    for name, found in times.items():
        if found is None and members.get(name) is not None:
            yield problem(f"/{name}", "invalid_time", MOMENT)
    opens, closes = (times.get(name) for name in WINDOW)
    if opens is not None and closes is not None and closes <= opens:
        yield problem("/not_after", "empty_window", "must be later than not_before")


def _name_problems(members: Mapping[str, Any], own: Sequence[str]) -> Iterable[dict[str, Any]]:
    """Judge the reference and the ordering key, as far as they are the order's; null is none."""
    for name, said in (("reference", "a reference"), ("ordering_key", "an ordering key")):
        given, pointer = members.get(name) if name in own else None, f"/{name}"
        if given is None or is_reference(given):
            continue
        if not isinstance(given, str):
            yield problem(pointer, "string_type", "must be a string")
        elif len(given) > MAX_REFERENCE:
            yield problem(pointer, "string_too_long", f"at most {MAX_REFERENCE} characters")
        else:
            yield problem(pointer, f"invalid_{name}", f"{said} is {WORDS}")


def _priority_problems(members: Mapping[str, Any], own: Sequence[str]) -> Iterable[dict[str, Any]]:
    """Judge the priority, as far as it is the order's; null is normal."""
    given = members.get("priority") if "priority" in own else None
    if given is not None and not (isinstance(given, str) and given in PRIORITIES):
        yield problem("/priority", "invalid_priority", f"must be one of {', '.join(PRIORITIES)}")


def _argument_problems(
    error: ValidationError, args: dict[str, Any], handler: Handler
) -> list[dict[str, Any]]:
    """Return what is wrong with arguments by the handler's model, without quoting a secret."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    problems = listed(len(found), (_argument_problem(one, args) for one in found))
    if secrets := handler.secrets.places(args):
        said_of = (one["detail"].replace(BETWEEN, " ") for one in problems)
        together = without(BETWEEN.join(said_of), secrets)
        details = together.split(BETWEEN)
        problems = [one | {"detail": said} for one, said in zip(problems, details, strict=True)]
    return problems


def listed(count: int, problems: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the first of ``count`` problems, as many as a person reads, and say so.

    At least one; no more than `SHOWN_PROBLEMS`, and none after `SHOWN_POINTERS` characters of
    pointers.
    """
    shown: list[dict[str, Any]] = []
    length = 0
    for one in problems:
        shown.append(one)
        length += len(one["pointer"])
        if len(shown) == SHOWN_PROBLEMS or length > SHOWN_POINTERS:
            break
    if count > len(shown):
        detail = f"{count} problems; the first {len(shown)} are listed"
        shown.append(problem("", "too_many_problems", detail))
    return shown


def body_problems(error: ValidationError) -> list[dict[str, Any]]:
    """Return what a model finds wrong with a body that is its own, as `listed`."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return listed(len(found), map(_body_problem, found))


def _body_problem(found: Mapping[str, Any]) -> dict[str, Any]:
    pointer = "".join(f"/{escape_pointer(part)}" for part in found["loc"])
    return problem(pointer, found["type"], found["msg"])


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
