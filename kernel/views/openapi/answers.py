"""The shapes of what the API answers, for the API document.

`kernel.formats.representations` makes most of the answers. The tests hold the two together: they
send requests and check each answer against these shapes.
"""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from kernel.db.ids import ID
from kernel.db.states import DeliveryState, StepState, WireState

Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Id = Annotated[str, Field(pattern=f"^{ID.pattern}$", json_schema_extra={"format": "uuid"})]
Reference = Annotated[str, Field(description="the caller's own name for the order")]
Key = Annotated[str, Field(description="orders with the same one run one at a time")]
Sequence = Annotated[int, Field(description="the order's place among those of its ordering key")]
PriorityWord = Literal["high", "normal", "low"]
Why = Annotated[str, Field(description="one sentence for people why it stands as it does")]
CLOSED = with_config(ConfigDict(extra="forbid", use_enum_values=True))


Page = Annotated[
    str,
    Field(
        description="for the person who ordered: how far it is, without a sign-in; "
        "left out with KERNEL_ORDER_PAGES=off",
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
    state: NotRequired[WireState]
    scope: NotRequired[str]


@CLOSED
class Accepted(TypedDict):
    """An order that was stored just now."""

    order_id: Id
    reference: Reference | None
    select_tag: str
    state: WireState
    ordering_key: NotRequired[Key]
    sequence: NotRequired[Sequence]
    page: NotRequired[Page]


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
class Step(TypedDict):
    """A step of the order's handler: how it stands, without its result."""

    name: str
    state: StepState
    attempts: int
    started_at: Moment
    duration_ms: Annotated[
        int | None, Field(description="of the last attempt; null: it has no end yet")
    ]


@CLOSED
class Delivery(TypedDict):
    """A callback that is owed, or was."""

    delivery_id: Id
    state: DeliveryState
    attempt_count: int
    why: NotRequired[Why]
    next_attempt_at: Moment | None
    finished_at: Moment | None
    died_of: Annotated[
        NotRequired[str | None],
        Field(
            description="of a dead one: gone, client_errors, deadline, answer, template, lookup, "
            "dropped; null: not known"
        ),
    ]


@CLOSED
class Attempt(TypedDict):
    """One attempt of a callback. Excerpt and judged hold the receiver's text: hostile."""

    number: int
    started_at: Moment
    duration_ms: int
    status: int | None
    reason: str | None
    phases: Annotated[dict[str, float], Field(description="milliseconds, by what they went into")]
    excerpt: str | None
    judged: Annotated[str | None, Field(description="what the receiver's own rules saw in it")]


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
    reference: Reference | None
    select_tag: str
    state: WireState
    priority: PriorityWord
    callback_url: str | None
    created_at: Moment
    started_at: Moment | None
    finished_at: Moment | None
    not_before: NotRequired[Moment]
    not_after: NotRequired[Moment]
    ordering_key: NotRequired[Key]
    sequence: NotRequired[Sequence]
    waiting_for: Annotated[
        NotRequired[str],
        Field(description="of one that waits: `event:` and names, `children`, ..."),
    ]
    since: Annotated[NotRequired[Moment], Field(description="of one that waits")]
    progress: NotRequired[Progress]
    error: NotRequired[Failure]


@CLOSED
class Order(OrderSummary):
    """An order: what was submitted, where it is, and how it ended."""

    page: NotRequired[Page]
    why: NotRequired[Why]
    position: Annotated[
        NotRequired[int],
        Field(description="while it waits for its turn: 1 is next; at the most 1,001"),
    ]
    # There if another order or a batch has brought it, and if it has brought others.
    parent: NotRequired[Id]
    children: Annotated[NotRequired[dict[str, int]], Field(description="how many in each state")]
    args: dict[str, Any]
    result: NotRequired[dict[str, Any]]
    deliveries: list[Delivery]
    # There if its handler works in steps and has begun one.
    steps: NotRequired[list[Step]]
    rerun_of: Annotated[
        NotRequired[Id], Field(description="the order that this one runs again from a step on")
    ]


@CLOSED
class Deliveries(TypedDict):
    """The deliveries of one order."""

    deliveries: list[TriedDelivery]


@CLOSED
class Replayed(TypedDict):
    """How many deliveries matched, and how many were made due."""

    count: int
    replayed: int
    # The bulk act that goes on with it; not there when nothing fits.
    bulk_id: NotRequired[Id]


@CLOSED
class Pause(TypedDict):
    """What is paused: callbacks of a host, caller or receiver, orders of a tag or a caller."""

    pause_id: int
    host: str | None
    caller_id: int | None
    caller: str | None
    receiver: str | None
    tag: str | None
    orders_of: str | None
    created_at: Moment
    until: Moment | None
    by: str | None
    reason: str | None


@CLOSED
class Pauses(TypedDict):
    """What is paused now."""

    pauses: list[Pause]


@CLOSED
class Held(TypedDict):
    """How many callbacks or orders a pause holds at once.

    ``known`` is false for a host or a tag that was never seen: it may be misspelt.
    """

    held: int
    host: str | None
    known: bool
    until: Moment | None


@CLOSED
class Released(TypedDict):
    """How many callbacks or orders were let go."""

    released: int


@CLOSED
class Outcome(TypedDict):
    """What a callback says of its order."""

    order_id: Id
    reference: NotRequired[Reference]
    ordering_key: NotRequired[Key]
    sequence: NotRequired[Sequence]
    select_tag: str
    state: WireState
    result: NotRequired[dict[str, Any]]
    error: NotRequired[Failure]
    created_at: Moment
    finished_at: Moment


@CLOSED
class Receiver(TypedDict):
    """Where a caller's callbacks go. Of credentials: kinds, and names of headers and secrets."""

    caller: str
    name: str
    url: str
    draft: bool
    credentials: dict[str, bool | list[str]]
    ca: bool
    terms: dict[str, Any]


@CLOSED
class Receivers(TypedDict):
    """The receivers of every caller."""

    receivers: list[Receiver]


ANSWERS = (
    *(Refused, Accepted, Order, Deliveries, Redelivered, Replayed),
    *(Pauses, Held, Released, Outcome, Receiver, Receivers),
)
