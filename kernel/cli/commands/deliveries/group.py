"""`kernel deliveries`: list callbacks, show one with its attempts, send one again."""

from typing import Any

import click

from kernel.cli.acting import by_command, with_reason
from kernel.cli.commands.orders.finding import count_all_callbacks, export_callbacks
from kernel.cli.filter_options import callback_filter, with_callback_filter
from kernel.cli.opening import opened
from kernel.cli.terminal.output import as_json, print_fields, print_json, print_table
from kernel.delivery.redeliver import get_delivery, redeliver
from kernel.formats.representations import delivery_data
from kernel.insight.search.deliveries import first_callbacks, read_cursor, written_cursor
from kernel.insight.standing.described import described
from kernel.orders.pages import MAX_PAGE


@click.group()
def deliveries() -> None:
    """Callbacks: pending, delivered and dead."""


deliveries.add_command(count_all_callbacks)
deliveries.add_command(export_callbacks)


@deliveries.command("list")
@with_callback_filter
@click.option("--limit", type=click.IntRange(1, MAX_PAGE), default=20, show_default=True)
@click.option("--before", metavar="CURSOR", help="The next page: next_cursor of the last one.")
@as_json
def list_(limit: int, before: str | None, machine: bool, **fields: Any) -> None:
    """List callbacks, the newest first.

    \b
    Examples:
      kernel deliveries list --state dead --since 2h
      kernel deliveries list --receiver jira --error timed_out
    """
    with opened() as kernel:
        wanted = callback_filter(kernel, fields)
        with kernel.read_session() as session:
            try:
                below = read_cursor(before, wanted)
            except ValueError as error:
                raise click.UsageError(f"--before: {error}") from None
            page = first_callbacks(session, wanted, below, limit)
            found = [_describe(delivery) for delivery in page.rows]
    if machine:
        cursor = None if page.next is None else written_cursor(page.next)
        print_json({"deliveries": found, "next_cursor": cursor})
    else:
        print_table(
            list(map(_row, found)),
            "no matching callbacks" if any(fields.values()) else "no callbacks",
        )


def _describe(delivery: Any) -> dict[str, Any]:
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
    """Show a delivery, why it stands as it does, and every attempt with what it sent."""
    with opened() as kernel, kernel.read_session() as session:
        delivery = get_delivery(session, None, delivery_id)
        told = described(kernel, session, delivery.order_id)["deliveries"]
        (found,) = (one for one in told if one["delivery_id"] == delivery_id)
        body = delivery.body.decode("utf-8", "replace")
        data = {**found, "order_id": delivery.order_id, "body": body}
    if machine:
        print_json(data)
        return
    attempts = data.pop("attempts")
    print_fields(data)
    click.echo()
    hidden = ("sent", "phases", "excerpt")
    rows = [{k: v for k, v in one.items() if k not in hidden} for one in attempts]
    print_table(rows, "no attempts yet")
    for one in attempts[-1:]:
        click.echo()
        print_fields(one["sent"])


@deliveries.command("redeliver")
@click.argument("delivery_id")
@click.option(
    "--with-current-shape",
    "reshaped",
    is_flag=True,
    help="Send it as its receiver's shape is now: other bytes, the same id.",
)
@with_reason
@as_json
def redeliver_delivery(delivery_id: str, reshaped: bool, machine: bool) -> None:
    """Send a callback again: same id and bytes, a fresh schedule.

    A worker or dispatcher sends it within a second. Changes nothing while an attempt is in
    flight.
    """
    with opened() as kernel:
        by = by_command()
        changed = redeliver(kernel, None, delivery_id, with_current_shape=reshaped, by=by)
    if machine:
        print_json({"delivery_id": delivery_id, "redelivered": changed})
    else:
        click.echo("due now" if changed else "nothing changed: an attempt is in flight")
