"""The envelope of every answer and callback, and how its parts are encoded."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from kernel.db.states import OrderState, Outcome
from kernel.db.tables.orders import OrderSnapshot
from kernel.formats.texts import Language, text
from kernel.handlers.registering.results import ResultModel
from kernel.handlers.values import to_json

MAX_RESULT_BYTES = 262_144
MAX_MESSAGE = 1000
# The error code of an order of which part is stored.
TRANSACTION_ENDED = "transaction_ended"


def encode(value: Any, default: Callable[[Any], Any] | None = None) -> bytes:
    """Encode a value as compact UTF-8 JSON (RFC 8259).

    ``default`` makes what JSON knows of any other object. Raises ValueError for NaN and lone
    surrogates.
    """
    return json.dumps(
        value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=default
    ).encode()


def encode_result(result: Any, model: ResultModel | None = None) -> str:
    """Encode a handler's result as JSON text of at most 256 KiB; with a model, as that has it.

    A SecretStr in it becomes a mask. Raises ValueError or TypeError, which tells the handler's
    author what is wrong with it, and where.
    """
    if isinstance(result, Mapping):  # as a handler may be annotated
        result = dict(result)
    if model is not None:
        result = model.dump(result)
    if not isinstance(result, dict):
        raise TypeError(f"a handler returns a dict or Partial, not {type(result).__name__}")
    encoded = to_json(result)
    size = len(encoded.encode())
    if size > MAX_RESULT_BYTES:
        raise ValueError(f"a result is at most {MAX_RESULT_BYTES} bytes, this has {size}")
    return encoded


def cut(message: str) -> str:
    """Cut a message to the 1,000 characters of its column; lone surrogates become ``?``."""
    return message.encode("utf-8", "replace").decode()[:MAX_MESSAGE]


def rfc3339(moment: datetime | None) -> str | None:
    """Return a time as RFC 3339 in UTC with microseconds; None stays None."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def envelope(status: int, msg: str, data: Any) -> dict[str, Any]:
    """Return the members that every answer and callback consists of."""
    return {"status": status, "msg": msg, "data": data}


def callback_body(
    order: OrderSnapshot,
    outcome: Outcome,
    now: datetime,
    language: Language,
    turn: Mapping[str, Any] | None = None,
) -> bytes:
    """Encode an outcome's callback: every attempt sends these same bytes.

    ``turn``: the ordering key of an order that has one, and its place among those of the key.

    The original system said no more in ``msg`` than whether the order succeeded; why it failed
    stands in ``data`` here as well.
    """
    named = {} if order.reference is None else {"reference": order.reference}
    data = {
        "order_id": order.id,
        **named,
        **(turn or {}),
        "select_tag": order.select_tag,
        "state": outcome.state,
        **_conclusion(outcome.result, outcome.error_code, outcome.message),
        "created_at": rfc3339(order.created_at),
        "finished_at": rfc3339(now),
    }
    status, msg = outcome.state.wire_status, outcome.message
    if order.is_original and status == OrderState.FAILED.wire_status:
        msg = text(OrderState.FAILED, language)
    return encode(envelope(status, msg, data))


def error_data(code: str, message: str | None) -> dict[str, Any]:
    """Describe why an order failed. ``partial``: part of its work is stored, and stays."""
    data: dict[str, Any] = {"code": code, "message": message}
    return data | {"partial": True} if code == TRANSACTION_ENDED else data


def _conclusion(result: str | None, error_code: str | None, message: str | None) -> dict[str, Any]:
    if error_code is not None:
        return {"error": error_data(error_code, message)}
    return {"result": json.loads(result or "{}")}
