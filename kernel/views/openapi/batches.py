"""The shapes of what the API answers about batches."""

from typing import Annotated, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from kernel.views.openapi.answers import CLOSED, Id, Page, Problem


@CLOSED
class BatchItem(TypedDict):
    """What became of an order of a batch: its id, or why it was refused."""

    order_id: NotRequired[Id]
    replayed: Annotated[NotRequired[bool], Field(description="it was accepted before")]
    page: NotRequired[Page]
    code: NotRequired[str]
    errors: NotRequired[list[Problem]]


@CLOSED
class BatchOrder(TypedDict):
    """The order that a batch itself is."""

    order_id: Id
    page: NotRequired[Page]


@CLOSED
class Batch(TypedDict):
    """What became of the orders of a batch, in the order of the body."""

    batch: BatchOrder | None
    accepted: int
    replayed: int
    refused: int
    orders: list[BatchItem]
