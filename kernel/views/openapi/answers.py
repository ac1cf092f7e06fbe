"""The shapes of what the API answers, for the API document.

`kernel.formats.representations` makes most of the answers. The tests hold the two together: they
send requests and check each answer against these shapes.
"""

from typing import Annotated, Any, NotRequired

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from kernel.db.ids import ID
from kernel.db.states import DeliveryState, OrderState

Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Id = Annotated[str, Field(pattern=f"^{ID.pattern}$", json_schema_extra={"format": "uuid"})]
CLOSED = with_config(ConfigDict(extra="forbid", use_enum_values=True))


Page = Annotated[
    str,
    Field(
        description="for the person who ordered: how far it is, without a sign-in",
        json_schema_extra={"format": "uri"},
    ),
]


@CLOSED
class Problem(TypedDict):
    """One thing that is wrong with a request."""

    pointer: Annotated[str, Field(description="RFC 6901, into the body or the query")]
    code: str
    detail: str
    rule: Annotated[NotRequired[str], Field(description="which callback rule refused")]


@CLOSED
class Refused(TypedDict):
    """Why a request was refused."""

    code: str
    detail: NotRequired[str]
    pointer: NotRequired[str]
    errors: NotRequired[list[Problem]]
    limit: NotRequired[int]
    retry_after: Annotated[NotRequired[int], Field(description="seconds")]
    state: NotRequired[OrderState]
    scope: NotRequired[str]


@CLOSED
class Accepted(TypedDict):
    """An order that was stored just now."""

    order_id: Id
    select_tag: str
    state: OrderState
    page: Page


@CLOSED
class Progress(TypedDict):
    """How far a run is."""

    current: int
    total: int | None
    note: str | None


@CLOSED
class Failure(TypedDict):
    """Why an order failed or was cancelled."""

    code: str
    message: str | None
    # Part of the work is stored, and stays: with transaction_ended alone.
    partial: NotRequired[bool]


@CLOSED
class Delivery(TypedDict):
    """A callback that is owed, or was."""

    delivery_id: Id
    state: DeliveryState
    attempt_count: int
    next_attempt_at: Moment | None
    finished_at: Moment | None
    died_of: Annotated[
        NotRequired[str | None],
        Field(description="of a dead one: gone, client_errors or deadline; null: not known"),
    ]


@CLOSED
class Attempt(TypedDict):
    """One POST of a callback. The excerpt is the receiver's text: hostile."""

    number: int
    started_at: Moment
    duration_ms: int
    status: int | None
    reason: str | None
    phases: Annotated[dict[str, float], Field(description="milliseconds, by what they went into")]
    excerpt: str | None


@CLOSED
class TriedDelivery(Delivery):
    """A delivery with every attempt."""

    attempts: list[Attempt]


@CLOSED
class Redelivered(Delivery):
    """A delivery after redeliver; false when an attempt was in flight."""

    redelivered: bool


@CLOSED
class OrderSummary(TypedDict):
    """An order without what may be large."""

    order_id: Id
    select_tag: str
    state: OrderState
    callback_url: str
    created_at: Moment
    started_at: Moment | None
    finished_at: Moment | None
    progress: NotRequired[Progress]
    error: NotRequired[Failure]


@CLOSED
class Order(OrderSummary):
    """An order: what was submitted, where it is, and how it ended."""

    page: Page
    args: dict[str, Any]
    result: NotRequired[dict[str, Any]]
    deliveries: list[Delivery]


@CLOSED
class Orders(TypedDict):
    """A page of orders, newest first."""

    orders: list[OrderSummary]
    next_cursor: Id | None


@CLOSED
class Deliveries(TypedDict):
    """The deliveries of one order."""

    deliveries: list[TriedDelivery]


@CLOSED
class Replayed(TypedDict):
    """How many deliveries matched, and how many were made due."""

    count: int
    replayed: int


@CLOSED
class Pause(TypedDict):
    """A host or a caller to whom nothing is sent."""

    pause_id: int
    host: str | None
    caller_id: int | None
    created_at: Moment


@CLOSED
class Pauses(TypedDict):
    """What is paused now."""

    pauses: list[Pause]


@CLOSED
class Held(TypedDict):
    """How many deliveries a pause holds."""

    held: int


@CLOSED
class Released(TypedDict):
    """How many deliveries were let go."""

    released: int


@CLOSED
class Outcome(TypedDict):
    """What a callback says of its order."""

    order_id: Id
    select_tag: str
    state: OrderState
    result: NotRequired[dict[str, Any]]
    error: NotRequired[Failure]
    created_at: Moment
    finished_at: Moment


ANSWERS = (
    *(Refused, Accepted, Order, Orders, Deliveries, Redelivered, Replayed),
    *(Pauses, Held, Released, Outcome),
)
