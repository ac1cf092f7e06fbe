"""The states of orders and deliveries, with all that the other rooms have to know of each.

The life of an order::

                     ┌──────────── Retry, lost connection, dead worker ────────────┐
                     ▼                                                             │
    submit ──► pending ──── claim: run + 1, lease ──► running ──── end_order ──────┴──► success
                  │                                      │                              warning
                  └── cancel ──► cancelled ◄── cancel, ──┘                              failed
                                               at its next checkpoint

The life of a delivery::

    end_order ─────► pending ── attempt ──► delivered
                      ▲  │ ▲                  │
               resume │  │ └── redeliver ─────┤
                      │  └── attempt, given up ──► dead
                     held (a person paused the host or the caller)

Names of states are part of the wire and of rows that outlive the code: never rename one.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

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
    DeliveryState.HELD: DeliveryTraits(False, Tone.WARN, label=("held", "已暂停")),
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
    """A claim of a delivery's next attempt: its token, and when it runs out."""

    token: str
    until: datetime
