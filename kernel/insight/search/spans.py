"""How long an order has waited for its run, and how long the run took. Pure."""

from datetime import datetime, timedelta
from typing import Any

from kernel.db.states import OrderState


def queue_seconds(order: Any, now: datetime) -> float | None:
    """Return how long an order was due before its latest run began, or has been due until ``now``.

    None for an order that is not due yet, waits for something, or ended without a run.
    """
    if order.state == OrderState.PENDING:
        due: float = (now - order.run_after).total_seconds()
        return due if due >= 0 else None
    if order.state == OrderState.WAITING or not _has_run(order):
        return None
    waited: float = (order.started_at - order.run_after).total_seconds()
    return waited


def run_seconds(order: Any, now: datetime) -> float | None:
    """Return how long the latest run took, or has taken until ``now``; None without one.

    None, too, for an order that did not end by a run: its row does not say when the latest ended.
    """
    if order.state == OrderState.RUNNING and order.started_at is not None:
        ran: timedelta = now - order.started_at
        return max(0.0, ran.total_seconds())
    if not ended_by_run(order) or not _has_run(order):
        return None
    took: timedelta = order.finished_at - order.started_at
    return max(0.0, took.total_seconds())


def ended_by_run(order: Any) -> bool:
    """Tell whether a run ended the order; else it had waited, or was put off, or never begun.

    What goes back from a run has no ``runner`` any more. Before migration 0009 none had one; what
    succeeded then had a run, unless it never began one.
    """
    if order.finished_at is None or order.started_at is None:
        return False
    return order.runner is not None or order.state in (OrderState.SUCCESS, OrderState.WARNING)


def _has_run(order: Any) -> bool:
    """Tell whether a run began after the order was last made due."""
    return order.started_at is not None and order.started_at >= order.run_after
