"""What views read of a request: the body within its limit, and the order in it."""

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Annotated, Any, TypeVar

from flask import request
from gunicorn.http.errors import ParseException
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    Field,
    ValidationError,
)
from pydantic_core import PydanticCustomError
from werkzeug.wsgi import get_input_stream

from kernel.callers.identity import Identity
from kernel.db.tables.orders import Order
from kernel.errors import (
    BodyTooLarge,
    InvalidJson,
    InvalidOrder,
    InvalidQuery,
    NotJson,
    RequestRefused,
    TooManyPending,
    Unauthenticated,
)
from kernel.formats.envelope import encode
from kernel.formats.hosts import read_host
from kernel.formats.moments import WORDS as MOMENT
from kernel.formats.moments import moment
from kernel.formats.order_request import body_problems, problem
from kernel.formats.reference import WORDS, is_reference
from kernel.formats.strictjson import escape_pointer, parse_json
from kernel.orders import accept as orders
from kernel.orders.accept import Submission
from kernel.orders.batches.accept import AcceptedBatch, BatchSubmission, accept_batch
from kernel.orders.submit import Accepted, Along, check_callers_key, check_key
from kernel.runtime.kernel import Kernel
from kernel.views.http.credentials import recheck
from kernel.views.http.gate import gate
from kernel.views.http.tracking import trace_of_request

log = logging.getLogger(__name__)

# For callers whose bodies are fixed. UTF-8, or ISO 8859-1 where it is no UTF-8.
REFERENCE_HEADER = "X-Reference"
# In this order: the draft standard's, Zammad's, Jira's. A sender's retries repeat the value.
KEY_HEADERS = ("Idempotency-Key", "X-Zammad-Delivery", "X-Atlassian-Webhook-Identifier")


def _moment(value: Any) -> Any:
    """Read a time as an order's own times are read: what is kept of it is read so, too."""
    if (found := moment(value)) is None:
        raise PydanticCustomError("invalid_time", MOMENT)
    return found


Body = TypeVar("Body", bound=BaseModel)
Query = TypeVar("Query", bound=BaseModel)
# A time with an offset, in a body.
Moment = Annotated[AwareDatetime, BeforeValidator(_moment)]
# A host in a body, in the one spelling that pauses and filters go by.
Host = Annotated[str, Field(max_length=300), AfterValidator(read_host)]


def limit_body(limit: int) -> None:
    """Let no more than ``limit`` bytes of the body be read: 413 for more.

    As `request.max_content_length = limit` does, which Flask 3.0 refuses.
    """
    request.stream = get_input_stream(request.environ, max_content_length=limit)


def read_body(limit: int) -> bytes:
    """Read the body, at most ``limit`` bytes, however it is framed.

    Raises BodyTooLarge, and InvalidJson for a body that ends early or cannot be read. Werkzeug
    cuts a chunked body at the limit in silence: one byte more shows it.
    """
    if (request.content_length or 0) > limit:
        raise BodyTooLarge(limit=limit)
    limit_body(limit + 1)
    try:
        body = request.get_data(cache=False)
    except (OSError, ParseException):  # how the server reports a broken connection or chunk
        raise InvalidJson("the body could not be read to its end") from None
    if len(body) > limit:
        raise BodyTooLarge(limit=limit)
    if request.content_length is not None and len(body) < request.content_length:
        raise InvalidJson("the body is shorter than its Content-Length")
    return body


def read_members(limit: int) -> dict[str, Any]:
    """Read the body as one JSON object. Raises NotJson, BodyTooLarge, InvalidJson."""
    if request.mimetype != "application/json" and not request.mimetype.endswith("+json"):
        raise NotJson
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise NotJson("send the body as it is, without a Content-Encoding")
    return parse_json(read_body(limit))


def read_as(kind: type[Body], limit: int) -> Body:
    """Read the body strictly as ``kind`` says. Raises InvalidOrder, and as `read_members`."""
    members = read_members(limit)
    try:
        return kind.model_validate_json(encode(members), strict=True)
    except ValidationError as error:
        raise InvalidOrder("the request is not valid", errors=body_problems(error)) from None


def accept(
    kernel: Kernel, who: Identity, members: Mapping[str, Any], *, is_original: bool = False
) -> Accepted:
    """Have the submitted order accepted, with the key, the trace and the limits of the request.

    ``is_original``: it came by the original system's address, and is called back as that one did.
    Raises what `kernel.orders.accept` raises. ``who`` may be a second old (`orderer`): storing an
    order asks for the key again, and so does any other answer.
    """
    with refusing(kernel, who):
        given = (_orders_key(), reference_header())
        submission = _submission(who, members, *given)
        if is_original:
            submission = replace(submission, is_original=True)
        accepted = orders.accept(kernel, submission)
        if accepted.replayed:
            recheck(kernel, who)
    log.info(
        "order repeated" if accepted.replayed else "order accepted",
        extra=_ids(accepted, who),
    )
    return accepted


@contextmanager
def refusing(kernel: Kernel, who: Identity) -> Iterator[None]:
    """Ask for the key again before any refusal is told: Unauthenticated takes its place."""
    try:
        yield
    except Unauthenticated:
        raise
    except (RequestRefused, TooManyPending):
        recheck(kernel, who)
        raise


def accept_many(kernel: Kernel, who: Identity, members: Mapping[str, Any]) -> AcceptedBatch:
    """Have a batch accepted, as `accept` has one order.

    Raises what `kernel.orders.batches.accept` raises.
    """
    with refusing(kernel, who):
        found, key = gate(), _orders_key()
        pressure = None if found is None else found.pressure
        sent = BatchSubmission(who, members, key, trace_of_request(), pressure)
        accepted = accept_batch(kernel, sent)
        if accepted.replayed:
            recheck(kernel, who)
    what = "batch repeated" if accepted.replayed else "batch accepted"
    counts = {"orders": len(accepted.items), "batch_id": accepted.batch_id, "caller": who.name}
    log.info(what, extra={name: one for name, one in counts.items() if one is not None})
    return accepted


def read_query(kind: type[Query]) -> Query:
    """Read the query string strictly. Raises InvalidQuery with pointers."""
    given = request.args.to_dict(flat=False)
    problems = [
        problem(f"/{escape_pointer(name)}", "repeated", "give it once")
        for name, values in given.items()
        if len(values) > 1
    ]
    try:
        read = kind.model_validate_strings({name: values[0] for name, values in given.items()})
        if not problems:
            return read
    except ValidationError as error:
        problems += [
            problem(f"/{escape_pointer(found['loc'][0])}", found["type"], found["msg"])
            for found in error.errors()
            if len(given.get(str(found["loc"][0]), ())) < 2
        ]
    raise InvalidQuery(errors=problems)


def _ids(accepted: Accepted, who: Identity) -> dict[str, str]:
    """What a log line says of a submit."""
    named = {} if accepted.reference is None else {"reference": accepted.reference}
    return {"order_id": accepted.order_id, "caller": who.name} | named


def accept_again(
    kernel: Kernel, who: Identity, members: Mapping[str, Any], first: Order, along: Along
) -> Accepted:
    """Have an order accepted that an operator repeats for its caller; always a new one.

    It is called back as ``first`` was, and has its reference. ``along`` writes the act in the
    transaction of the new order. Raises InvalidOrder when it would be refused today,
    TooManyPending, Unavailable.
    """
    submission = _submission(who, members, None, first.reference, along)
    accepted = orders.accept(kernel, replace(submission, is_original=first.is_original))
    log.info("order submitted again", extra=_ids(accepted, who))
    return accepted


def _submission(
    who: Identity,
    members: Mapping[str, Any],
    key: str | None,
    reference: str | None,
    along: Along | None = None,
) -> Submission:
    found = gate()
    pressure = None if found is None else found.pressure
    return Submission(who, members, key, trace_of_request(), pressure, reference, along=along)


def idempotency_key() -> str | None:
    """Return the request's idempotency key, quoted or bare (draft-ietf-httpapi-idempotency-key).

    Raises InvalidOrder for a malformed one.
    """
    name = next((name for name in KEY_HEADERS if name in request.headers), None)
    if name is None:
        return None
    key = request.headers[name].strip()
    if len(key) > 1 and key[0] == key[-1] == '"':
        key = re.sub(r"\\(.)", r"\1", key[1:-1])
    check_key(key)
    return key


def _orders_key() -> str | None:
    """Return the idempotency key of a request that submits. Raises InvalidOrder."""
    key = idempotency_key()
    check_callers_key(key)
    return key


def reference_header() -> str | None:
    """Return the order's reference as a header has it; None without one, or with an empty one.

    Raises InvalidOrder for one that no reference can be.
    """
    given = request.headers.get(REFERENCE_HEADER, "")
    with suppress(UnicodeError):
        given = given.encode("latin-1").decode()
    if not (given := given.strip()):
        return None
    if not is_reference(given):
        detail = f"{REFERENCE_HEADER}: a reference is {WORDS}"
        raise InvalidOrder(errors=[problem("", "invalid_reference", detail)])
    return given
