"""JSON in → OrderRequest; rows → JSON out. The wire of every answer and callback.

Strict on the way in: one UTF-8 object, no duplicate names, no NaN, no lone surrogates, bounded
depth. `json.loads` alone accepts or trips over more than half of a corpus of hostile bodies.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from kernel.errors import InvalidJson, InvalidOrder
from kernel.handlers import Handler
from kernel.messages import Language, text
from kernel.models import Attempt, Delivery, HeldOrder, Order
from kernel.states import OrderState, Outcome

STATUS = {
    OrderState.PENDING: 2,
    OrderState.RUNNING: 2,
    OrderState.SUCCESS: 0,
    OrderState.WARNING: 1,
    OrderState.FAILED: -1,
    OrderState.CANCELLED: -1,
}
MAX_DEPTH = 64
MAX_RESULT_BYTES = 262_144
MAX_MESSAGE = 1000
# Beyond this, a JSON number does not survive other people's parsers (RFC 8259, section 6).
MAX_DIGITS = 64


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """A submitted order, taken apart and checked for form. ``args`` is canonical JSON text."""

    select_tag: str
    callback_url: str
    args: str
    fingerprint: str


def encode(value: Any) -> bytes:
    """Encode as compact UTF-8 JSON (RFC 8259). Raises ValueError for NaN and lone surrogates."""
    return json.dumps(
        value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), check_circular=True
    ).encode()


def parse_json(body: bytes) -> dict[str, Any]:
    """Parse ``body`` as one strict JSON object (RFC 8259, I-JSON of RFC 7493).

    Raises InvalidJson with what is wrong; ``data["pointer"]`` where a place can be named.
    """
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_float=_finite,
            parse_int=_bounded,
        )
    except UnicodeDecodeError:
        raise InvalidJson("the body is not UTF-8") from None
    except RecursionError:
        raise InvalidJson(f"the body is nested deeper than {MAX_DEPTH} levels") from None
    except json.JSONDecodeError as error:
        raise InvalidJson(f"{error.msg} at line {error.lineno} column {error.colno}") from None
    if not isinstance(value, dict):
        raise InvalidJson("the body must be a JSON object")
    _check_values(value, "", 1)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidJson(f"the member {_printable(twice)} stands twice in one object")
    return members


def _no_constant(name: str) -> Any:
    raise InvalidJson(f"{name} is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if len(digits) > MAX_DIGITS or math.isinf(number):
        raise InvalidJson(f"the number {digits[:20]}… is too large or too long")
    return number


def _bounded(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise InvalidJson(f"the number {digits[:20]}… is too long")
    return int(digits)


def _check_values(value: Any, pointer: str, depth: int) -> None:
    """Refuse what a text column or a receiver could not hold: surrogates, NUL, great depth."""
    if isinstance(value, str):
        if not value.isascii():
            _encodable(value, pointer)
        if "\0" in value:
            raise InvalidJson(f"NUL character at {pointer or '/'}", pointer=pointer)
    elif isinstance(value, dict | list):
        if depth > MAX_DEPTH:
            raise InvalidJson(f"the body is nested deeper than {MAX_DEPTH} levels")
        pairs: Iterable[tuple[Any, Any]] = (
            value.items() if isinstance(value, dict) else enumerate(value)
        )
        for key, item in pairs:
            if isinstance(key, str):
                _check_values(key, pointer, depth)
            if isinstance(item, str | dict | list):
                _check_values(item, f"{pointer}/{escape_pointer(key)}", depth + 1)


def _encodable(value: str, pointer: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        message = f"unpaired surrogate at {_printable(pointer) or '/'}"
        raise InvalidJson(message, pointer=_printable(pointer)) from None


def _printable(name: str) -> str:
    return name.encode("utf-8", "replace").decode()[:100]


def escape_pointer(part: object) -> str:
    """Escape one reference token of a JSON pointer (RFC 6901, section 3)."""
    return str(part).replace("~", "~0").replace("/", "~1")


def order_request(members: Mapping[str, Any], handlers: Mapping[str, Handler]) -> OrderRequest:
    """Take an order's JSON object apart and validate its arguments against the handler's model.

    ``members`` comes from `parse_json`. The address of ``callback_url`` is judged by the caller
    of this function. Raises InvalidOrder listing every member that is wrong.
    """
    problems = [p for name in ("select_tag", "callback_url") for p in _word(members, name)]
    args = {k: v for k, v in members.items() if k not in ("select_tag", "callback_url")}
    encoded = encode(args)
    tag = members.get("select_tag")
    if isinstance(tag, str):
        handler = handlers.get(tag)
        if handler is None:
            problems.append(problem("/select_tag", "unknown_select_tag", "no handler has this tag"))
        else:
            problems += argument_problems(handler, encoded.decode())
    if problems:
        raise InvalidOrder(errors=problems)
    fingerprint = hashlib.sha256(
        json.dumps(members, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    ).hexdigest()
    return OrderRequest(
        members["select_tag"], members["callback_url"], encoded.decode(), fingerprint
    )


def problem(pointer: str, code: str, detail: str, **more: Any) -> dict[str, Any]:
    """One entry of a 422's list."""
    return {"pointer": pointer, "code": code, "detail": detail, **more}


def _word(members: Mapping[str, Any], name: str) -> Iterable[dict[str, Any]]:
    if name not in members:
        yield problem(f"/{name}", "missing", "this member is required")
    elif not isinstance(members[name], str):
        yield problem(f"/{name}", "string_type", "must be a string")
    elif len(members[name]) > 2048:
        yield problem(f"/{name}", "string_too_long", "at most 2048 characters")


def argument_problems(handler: Handler, args: str) -> list[dict[str, Any]]:
    """Validate arguments (JSON text) against the handler's model; [] when they are right."""
    try:
        handler.parse(args)
    except ValidationError as error:
        return [
            problem(
                "".join(f"/{escape_pointer(part)}" for part in found["loc"]),
                "unknown_member" if found["type"] == "extra_forbidden" else found["type"],
                found["msg"],
            )
            for found in error.errors(include_url=False, include_context=False, include_input=False)
        ]
    return []


def encode_result(result: Any) -> str:
    """Encode what a handler returned, as JSON text of at most 256 KiB.

    Raises ValueError (or TypeError) that tells the handler's author what is wrong with it.
    """
    if not isinstance(result, dict):
        raise TypeError(f"a handler returns a dict or Partial, not {type(result).__name__}")
    encoded = encode(result)
    if len(encoded) > MAX_RESULT_BYTES:
        raise ValueError(f"a result is at most {MAX_RESULT_BYTES} bytes, this has {len(encoded)}")
    return encoded.decode()


def cut(message: str) -> str:
    """Cut a message to what its column holds, and make it encodable."""
    return message.encode("utf-8", "replace").decode()[:MAX_MESSAGE]


def rfc3339(moment: datetime | None) -> str | None:
    """Write a time as RFC 3339 in UTC with microseconds."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def envelope(status: int, msg: str, data: Any) -> dict[str, Any]:
    """The shape of every answer and callback."""
    return {"status": status, "msg": msg, "data": data}


def callback_body(order: HeldOrder, outcome: Outcome, now: datetime) -> bytes:
    """Encode the callback for an outcome: the bytes that every attempt will carry."""
    data = {
        "order_id": order.id,
        "select_tag": order.select_tag,
        "state": outcome.state,
        **_conclusion(outcome.result, outcome.error_code, outcome.message),
        "created_at": rfc3339(order.created_at),
        "finished_at": rfc3339(now),
    }
    return encode(envelope(STATUS[outcome.state], outcome.message, data))


def _conclusion(result: str | None, error_code: str | None, message: str | None) -> dict[str, Any]:
    if error_code is not None:
        return {"error": {"code": error_code, "message": message}}
    return {"result": json.loads(result or "{}")}


def order_envelope(
    order: Order, language: Language, deliveries: Iterable[Delivery] | None = None
) -> dict[str, Any]:
    """Describe an order as `GET /v1/orders/{id}` does; with its deliveries when given."""
    state = OrderState(order.state)
    msg = order.message if order.message is not None else text(state, language)
    data = order_data(order)
    if deliveries is not None:
        data["deliveries"] = [delivery_data(delivery) for delivery in deliveries]
    return envelope(STATUS[state], msg, data)


def order_data(order: Order) -> dict[str, Any]:
    """Describe an order: what was submitted, where it is, and how it ended."""
    data = {
        "order_id": order.id,
        "select_tag": order.select_tag,
        "state": order.state,
        "args": json.loads(order.args),
        "callback_url": order.callback_url,
        "created_at": rfc3339(order.created_at),
        "started_at": rfc3339(order.started_at),
        "finished_at": rfc3339(order.finished_at),
    }
    if order.progress_current is not None:
        data["progress"] = {
            "current": order.progress_current,
            "total": order.progress_total,
            "note": order.progress_note,
        }
    elif order.finished_at is None:
        data["progress"] = {"current": 0, "total": None, "note": None}
    if order.finished_at is not None:
        data |= _conclusion(order.result, order.error_code, order.message)
    return data


def delivery_data(delivery: Delivery) -> dict[str, Any]:
    """Describe a delivery without its body."""
    return {
        "delivery_id": delivery.id,
        "state": delivery.state,
        "attempts": delivery.attempt,
        "next_attempt_at": rfc3339(delivery.next_attempt_at)
        if delivery.finished_at is None
        else None,
        "finished_at": rfc3339(delivery.finished_at),
    }


def attempt_data(attempt: Attempt) -> dict[str, Any]:
    """Describe an attempt. The excerpt is hostile text: escape it where it is shown."""
    return {
        "number": attempt.number,
        "started_at": rfc3339(attempt.started_at),
        "duration_ms": attempt.duration_ms,
        "status": attempt.status,
        "reason": attempt.reason,
        "excerpt": attempt.excerpt,
    }
