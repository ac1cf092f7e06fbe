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

from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any


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


@dataclass(frozen=True, slots=True)
class Callback:
    """What will be POSTed for an outcome, byte for byte, and the origin it goes to.

    ``claim``: who commits the outcome has claimed the first attempt already.
    """

    origin: str
    body: bytes
    claim: Claim | None = None


@dataclass(frozen=True, slots=True)
class OwedDelivery:
    """The delivery that came with an outcome."""

    id: str
    order_id: str
    caller_id: int
    origin: str
    url: str
    body: bytes
    created_at: datetime
    claim: Claim | None

    def row(self) -> dict[str, Any]:
        """Return it as a row: due now, or with its first attempt claimed."""
        row = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "claim"}
        if self.claim is None:
            untouched = {"claim_token": None, "attempt": 0, "tries": 0, "late": False}
            return row | untouched | {"next_attempt_at": self.created_at}
        taken = {"claim_token": self.claim.token, "next_attempt_at": self.claim.until}
        return row | taken | {"attempt": 1, "tries": 1, "late": True}
