"""The states, and what an order can come to.

The life of an order::

                     ┌──────────── Retry, lost connection, dead worker ────────────┐
                     ▼                                                             │
    submit ──► pending ──── claim: run + 1, lease ──► running ──── Order.finish ───┴──► success
                  │                                      │                              warning
                  └── cancel ──► cancelled ◄── cancel, ──┘                              failed
                                               at its next checkpoint

The life of a delivery::

    Order.finish ──► pending ── attempt ──► delivered
                      ▲  │ ▲                  │
               resume │  │ └── redeliver ─────┤
                      │  └── attempt, given up ──► dead
                     held (a person paused the host or the caller)

Names of states are part of the wire and of rows that outlive the code: never rename one.
"""

from dataclasses import dataclass
from enum import StrEnum


class OrderState(StrEnum):
    """Where an order is; the last four are final."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCESS = "success"
    WARNING = "warning"
    FAILED = "failed"
    CANCELLED = "cancelled"


FINAL = frozenset(OrderState) - {OrderState.PENDING, OrderState.RUNNING}


class DeliveryState(StrEnum):
    """Where a callback is."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an order ended. ``result`` is JSON text for success and warning, else None."""

    state: OrderState
    message: str
    result: str | None = None
    error_code: str | None = None


@dataclass(frozen=True, slots=True)
class Callback:
    """What will be POSTed for an outcome, byte for byte, and the origin it goes to."""

    origin: str
    body: bytes
