"""The states of orders and deliveries, with all that the other rooms have to know of each.

The life of an order::

                     ┌──────────── Retry, lost connection, dead worker ────────────┐
                     ▼                                                             │
    submit ──► pending ──── claim: run + 1, lease ──► running ──── end_order ──────┴──► success
                  │ ▲                                    │                              warning
                  │ └────────── waiting ◄── Wait ────────┤                              failed
                  └── cancel ──► cancelled ◄── cancel, ──┘
                                               at its next checkpoint

    waiting: nothing can claim it until what it waits for is there; a submit may begin there, too.

The life of a delivery::

    end_order ─────► pending ── attempt ──► delivered
                      ▲  │ ▲                  │
               resume │  │ └── redeliver ─────┤
                      │  └── attempt, given up ──► dead
                     held (a person paused the host, receiver or caller)

Names of states are part of the wire and of rows that outlive the code: never rename one.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum, StrEnum
from typing import Literal

# English, Chinese.
Words = tuple[str, str]


class Tone(StrEnum):
    """How a state is to be looked at. Pages have a class, terminals a colour for each."""

    WAIT = "wait"
    RUN = "run"
    GOOD = "good"
    WARN = "warn"
    BAD = "bad"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class OrderTraits:
    """What the other rooms make of an order's state."""

    is_final: bool
    # The envelope's ``status``: 2 unfinished, 0 success, 1 partly, -1 failed.
    wire_status: int
    # What `AsyncResult(order_id).state` says to the original system's Celery clients.
    celery_state: str
    tone: Tone
    # ``msg`` where the outcome has none of its own.
    message: Words
    # On the dashboard.
    label: Words
    # On the page for the person who ordered.
    public_label: Words


@dataclass(frozen=True, slots=True)
class DeliveryTraits:
    """What the other rooms make of a delivery's state."""

    # True: it is sent again only when a person redelivers it.
    is_over: bool
    tone: Tone
    # On the dashboard.
    label: Words


class OrderState(StrEnum):
    """Where an order is. What the other rooms make of a state stands in one table, `traits`."""

    PENDING = "pending"
    WAITING = "waiting"
    RUNNING = "running"
    SUCCESS = "success"
    WARNING = "warning"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def traits(self) -> OrderTraits:
        """This state's row of the table."""
        return _ORDER_TRAITS[self]

    @property
    def on_wire(self) -> "OrderState":
        """What callers are told: an order that waits is pending to them."""
        return OrderState.PENDING if self is OrderState.WAITING else self

    @property
    def is_final(self) -> bool:
        """Whether the order has ended."""
        return self.traits.is_final

    @property
    def wire_status(self) -> int:
        """The envelope's ``status``."""
        return self.traits.wire_status

    @property
    def celery_state(self) -> str:
        """What Celery clients are told."""
        return self.traits.celery_state

    @property
    def tone(self) -> Tone:
        """How it is to be looked at."""
        return self.traits.tone


# What callers are told; see `OrderState.on_wire`.
WireState = Literal[
    OrderState.PENDING,
    OrderState.RUNNING,
    OrderState.SUCCESS,
    OrderState.WARNING,
    OrderState.FAILED,
    OrderState.CANCELLED,
]

_ORDER_TRAITS = {
    OrderState.PENDING: OrderTraits(
        is_final=False,
        wire_status=2,
        celery_state="PENDING",
        tone=Tone.WAIT,
        message=("pending", "等待执行"),
        label=("pending", "等待"),
        public_label=("Waiting to begin", "等待执行"),
    ),
    OrderState.WAITING: OrderTraits(
        is_final=False,
        wire_status=2,
        celery_state="PENDING",
        tone=Tone.WAIT,
        message=("waiting", "等待条件满足"),
        label=("waiting", "等待条件"),
        public_label=("Waiting for something else", "等待其他条件"),
    ),
    OrderState.RUNNING: OrderTraits(
        is_final=False,
        wire_status=2,
        celery_state="PROGRESS",
        tone=Tone.RUN,
        message=("running", "执行中"),
        label=("running", "执行中"),
        public_label=("In progress", "执行中"),
    ),
    OrderState.SUCCESS: OrderTraits(
        is_final=True,
        wire_status=0,
        celery_state="SUCCESS",
        tone=Tone.GOOD,
        message=("success", "成功"),
        label=("success", "成功"),
        public_label=("Done", "已完成"),
    ),
    OrderState.WARNING: OrderTraits(
        is_final=True,
        wire_status=1,
        celery_state="SUCCESS",
        tone=Tone.WARN,
        message=("partly done", "部分成功"),
        label=("warning", "部分成功"),
        public_label=("Partly done", "部分完成"),
    ),
    OrderState.FAILED: OrderTraits(
        is_final=True,
        wire_status=-1,
        celery_state="FAILURE",
        tone=Tone.BAD,
        message=("failed", "失败"),
        label=("failed", "失败"),
        public_label=("Failed", "失败"),
    ),
    OrderState.CANCELLED: OrderTraits(
        is_final=True,
        wire_status=-1,
        celery_state="FAILURE",
        tone=Tone.OFF,
        message=("cancelled", "已取消"),
        label=("cancelled", "已取消"),
        public_label=("Cancelled", "已取消"),
    ),
}


class DeliveryState(StrEnum):
    """Where a callback is. What the other rooms make of a state stands in one table, `traits`."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"
    HELD = "held"

    @property
    def traits(self) -> DeliveryTraits:
        """This state's row of the table."""
        return _DELIVERY_TRAITS[self]

    @classmethod
    def over(cls) -> "tuple[DeliveryState, ...]":
        """Return the states in which `is_over` holds."""
        return tuple(state for state in cls if state.is_over)

    @property
    def is_over(self) -> bool:
        """Whether it is sent again only when a person redelivers it."""
        return self.traits.is_over

    @property
    def tone(self) -> Tone:
        """How it is to be looked at."""
        return self.traits.tone


_DELIVERY_TRAITS = {
    DeliveryState.PENDING: DeliveryTraits(False, Tone.WAIT, label=("pending", "待发送")),
    DeliveryState.DELIVERED: DeliveryTraits(True, Tone.GOOD, label=("delivered", "已送达")),
    DeliveryState.DEAD: DeliveryTraits(True, Tone.BAD, label=("dead", "已放弃")),
    DeliveryState.HELD: DeliveryTraits(False, Tone.WARN, label=("held", "已暂扣")),
}


class StepState(StrEnum):
    """How a step of a handler stands."""

    DONE = "done"
    FAILED = "failed"
    # An attempt without an end: it is going on, or its process has died.
    BEGUN = "begun"
    # To be done again, because an operator said so.
    PENDING = "pending"

    @property
    def tone(self) -> Tone:
        """How it is to be looked at."""
        return _STEP_TONES[self]


_STEP_TONES = {
    StepState.DONE: Tone.GOOD,
    StepState.FAILED: Tone.BAD,
    StepState.BEGUN: Tone.RUN,
    StepState.PENDING: Tone.WAIT,
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an order ended. ``result`` is JSON text for success and warning, else None."""

    state: OrderState
    message: str
    result: str | None = None
    error_code: str | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim of a delivery's first attempt: its token, and for how long it lasts.

    ``origin``: where the process that claims it means to send it. ``shapes_until``: the highest
    id of a shape of the caller's that it knows, 0 for none: the row gets it, so that every attempt
    has the bytes of the first.
    """

    token: str
    lasts: timedelta
    origin: str
    shapes_until: int


class Priority(IntEnum):
    """How soon an order's turn comes among its caller's orders; see `kernel.orders.gates.turns`.

    The numbers stand in rows: never change one.
    """

    HIGH = -1
    NORMAL = 0
    LOW = 1

    @property
    def word(self) -> str:
        """The priority as callers say it."""
        return self.name.lower()


PRIORITIES = {priority.word: priority for priority in sorted(Priority, reverse=True)}
