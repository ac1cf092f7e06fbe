"""The body of a batch: its orders, and what the batch itself is to be."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field, ValidationError
from pydantic_core import PydanticCustomError

from kernel.errors import InvalidOrder
from kernel.formats.order_request import MAX_WORD, body_problems
from kernel.formats.reference import MAX_REFERENCE, WORDS, is_reference

MAX_ORDERS = 1000


def _reference(said: str) -> str:
    if not is_reference(said):
        raise PydanticCustomError("invalid_reference", f"a reference is {WORDS}")
    return said


Reference = Annotated[str, Field(max_length=MAX_REFERENCE), AfterValidator(_reference)]


class BatchTerms(BaseModel, extra="forbid", strict=True):
    """What the batch itself is: an order that ends when all of its orders have ended."""

    callback_url: str | None = Field(None, max_length=MAX_WORD)
    reference: (
        Annotated[str, Field(max_length=MAX_REFERENCE), AfterValidator(_reference)] | None
    ) = None


class BatchRequest(BaseModel, extra="forbid", strict=True):
    """A batch of orders as it is sent."""

    orders: list[Any] = Field(
        min_length=1,
        max_length=MAX_ORDERS,
        description="each as a single submit has it, and with an idempotency_key if wanted",
    )
    batch: BatchTerms | None = None


def batch_request(members: Mapping[str, Any]) -> BatchRequest:
    """Read a batch; its orders are not looked at yet. Raises InvalidOrder with pointers."""
    try:
        return BatchRequest.model_validate(dict(members))
    except ValidationError as error:
        raise InvalidOrder(errors=list(map(_as_of_orders, body_problems(error)))) from None


def _as_of_orders(found: dict[str, Any]) -> dict[str, Any]:
    return found | ({"code": "unknown_member"} if found["code"] == "extra_forbidden" else {})
