"""The states, and what an order can come to.

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


# Nobody is going to send it, unless somebody asks for it.
OVER = (DeliveryState.DELIVERED, DeliveryState.DEAD)


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
