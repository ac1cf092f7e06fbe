"""`kernel deliveries`: list callbacks, show one with its attempts, send one again."""

from typing import Any

import click
from sqlalchemy import select

from kernel.cli.opening import opened
from kernel.cli.terminal.output import as_json, print_fields, print_json, print_table
from kernel.db.states import DeliveryState
from kernel.db.tables.deliveries import Attempt, Delivery
from kernel.delivery.redeliver import get_delivery, redeliver
from kernel.formats.representations import attempt_data, delivery_data
from kernel.orders.pages import MAX_PAGE


@click.group()
def deliveries() -> None:
    """Callbacks: pending, delivered and dead."""


@deliveries.command("list")
@click.option("--order", metavar="ID", help="Only deliveries of this order.")
@click.option("--state", type=click.Choice([state.value for state in DeliveryState]))
@click.option("--limit", type=click.IntRange(1, MAX_PAGE), default=20, show_default=True)
@as_json
def list_(order: str | None, state: str | None, limit: int, machine: bool) -> None:
    """List deliveries, the newest first."""
    query = select(Delivery).order_by(Delivery.id.desc()).limit(limit)
    if order is not None:
        query = query.where(Delivery.order_id == order)
    if state is not None:
        query = query.where(Delivery.state == state)
    with opened() as kernel, kernel.read_session() as session:
        found = [_describe(delivery) for delivery in session.scalars(query)]
    if machine:
        print_json({"deliveries": found})
    else:
        print_table([_row(delivery) for delivery in found], "no deliveries")


def _describe(delivery: Delivery) -> dict[str, Any]:
    return delivery_data(delivery) | {"order_id": delivery.order_id, "url": delivery.url}


def _row(delivery: dict[str, Any]) -> dict[str, Any]:
    return {
        "delivery_id": delivery["delivery_id"],
        "state": delivery["state"],
        "died_of": delivery.get("died_of"),
        "attempts": delivery["attempt_count"],
        "next_attempt_at": delivery["next_attempt_at"],
        "url": delivery["url"],
    }


@deliveries.command()
@click.argument("delivery_id")
@as_json
def show(delivery_id: str, machine: bool) -> None:
    """Show a delivery, its body and every attempt."""
    with opened() as kernel, kernel.read_session() as session:
        delivery = get_delivery(session, None, delivery_id)
        data = _describe(delivery) | {"body": delivery.body.decode("utf-8", "replace")}
        query = select(Attempt).where(Attempt.delivery_id == delivery_id).order_by(Attempt.id)
        attempts = [attempt_data(attempt) for attempt in session.scalars(query)]
    if machine:
        print_json(data | {"attempts": attempts})
    else:
        print_fields(data)
        click.echo()
        print_table(attempts, "no attempts yet")


@deliveries.command("redeliver")
@click.argument("delivery_id")
@as_json
def redeliver_delivery(delivery_id: str, machine: bool) -> None:
    """Send a callback again: same id and bytes, a fresh schedule.

    A worker or dispatcher sends it within a second. Changes nothing while an attempt is in
    flight.
    """
    with opened() as kernel:
        changed = redeliver(kernel, None, delivery_id)
    if machine:
        print_json({"delivery_id": delivery_id, "redelivered": changed})
    else:
        click.echo("due now" if changed else "nothing changed: an attempt is in flight")
