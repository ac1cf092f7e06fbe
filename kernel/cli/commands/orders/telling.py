"""`kernel orders tell` and `kernel orders events`: what an order is told from outside."""

import click

from kernel.cli.acting import by_command, with_reason
from kernel.cli.commands.orders.pauses import orders
from kernel.cli.opening import opened, say
from kernel.cli.terminal.output import as_json, print_json, print_table
from kernel.formats.envelope import encode
from kernel.formats.representations import event_data
from kernel.formats.strictjson import parse_json
from kernel.handlers.events import check_event_name
from kernel.orders.gates.events import BY_KEY, MAX_DATA_BYTES, Told, events_of, tell
from kernel.orders.pages import get_order
from kernel.orders.submit import check_key

__all__ = ["orders"]


@orders.command("tell")
@click.argument("order_id")
@click.argument("name")
@click.option("--data", default="{}", metavar="JSON", help="An object that the handler is given.")
@click.option("--event-id", metavar="ID", help="Telling it again with this id changes nothing.")
@with_reason
@as_json
def tell_event(order_id: str, name: str, data: str, event_id: str | None, machine: bool) -> None:
    """Tell an order the event NAME, such as an approval; one that waits for it goes on.

    An event that comes early is kept. An order that has ended takes none.
    """
    try:
        check_event_name(name, "tell")
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    given = encode(parse_json(data.encode()))
    if len(given) > MAX_DATA_BYTES:
        raise click.UsageError(f"--data: at most {MAX_DATA_BYTES} bytes of JSON")
    check_key(event_id)
    key = None if event_id is None else BY_KEY + event_id
    with opened() as kernel:
        telling = tell(kernel, order_id, Told(name, given.decode(), key), by=by_command())
        say(kernel, lambda broker: broker.hint(telling.hints))
    if machine:
        print_json({"order_id": order_id, **event_data(telling.event)})
    elif telling.replayed:
        click.echo(f"told before, by {telling.event.told_by}")
    else:
        click.echo("told; the order goes on" if telling.woken else "told, and kept")


@orders.command("events")
@click.argument("order_id")
@as_json
def list_events(order_id: str, machine: bool) -> None:
    """List what an order was told, in the order of telling."""
    with opened() as kernel, kernel.read_session() as session:
        get_order(session, None, order_id)
        found = [event_data(one) for one in events_of(session, order_id)]
    if machine:
        print_json({"events": found})
    else:
        rows = [one | {"data": encode(one["data"]).decode()} for one in found]
        print_table(rows, "no events")
