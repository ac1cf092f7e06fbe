"""JSON in → OrderRequest; rows → JSON out. The wire of every answer and callback.

What arrives has passed `kernel.formats.strictjson`; here it gets a meaning.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Row

from kernel.db.states import OrderState, Outcome
from kernel.db.tables.orders import Attempt, Delivery, HeldOrder, Order
from kernel.errors import InvalidOrder
from kernel.formats.strictjson import escape_pointer
from kernel.formats.texts import Language, text
from kernel.handlers import Handler

STATUS = {
    OrderState.PENDING: 2,
    OrderState.RUNNING: 2,
    OrderState.SUCCESS: 0,
    OrderState.WARNING: 1,
    OrderState.FAILED: -1,
    OrderState.CANCELLED: -1,
}
MAX_RESULT_BYTES = 262_144
MAX_MESSAGE = 1000
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


def encode(value: Any) -> bytes:
    """Encode as compact UTF-8 JSON (RFC 8259). Raises ValueError for NaN and lone surrogates."""
    return json.dumps(
        value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), check_circular=True
    ).encode()


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
    data = order_summary(order) | {"args": json.loads(order.args)}
    if order.error_code is None and order.finished_at is not None:
        data["result"] = json.loads(order.result or "{}")
    return data


def order_summary(order: Order | Row[Any]) -> dict[str, Any]:
    """Describe an order without what may be large: its arguments and its result."""
    data: dict[str, Any] = {
        "order_id": order.id,
        "select_tag": order.select_tag,
        "state": order.state,
        "callback_url": order.callback_url,
        "created_at": rfc3339(order.created_at),
        "started_at": rfc3339(order.started_at),
        "finished_at": rfc3339(order.finished_at),
    }
    if order.progress_current is not None or order.finished_at is None:
        data["progress"] = {
            "current": order.progress_current or 0,
            "total": order.progress_total,
            "note": order.progress_note,
        }
    if order.error_code is not None:
        data["error"] = {"code": order.error_code, "message": order.message}
    return data


def delivery_data(delivery: Delivery) -> dict[str, Any]:
    """Describe a delivery without its body."""
    return {
        "delivery_id": delivery.id,
        "state": delivery.state,
        "attempt_count": delivery.attempt,
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
        "phases": json.loads(attempt.phases),
        "excerpt": attempt.excerpt,
    }
