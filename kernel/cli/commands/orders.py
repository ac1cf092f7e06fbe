"""`kernel orders`: list orders, show, submit or cancel one."""

import json
import time
from collections.abc import Sequence
from typing import Any, BinaryIO

import click
from sqlalchemy.orm import Session

from kernel.callers import identity
from kernel.cli.opening import opened, say
from kernel.cli.terminal.output import as_json, cell, print_fields, print_json, print_table
from kernel.db.states import OrderState
from kernel.db.tables.callers import ANONYMOUS
from kernel.delivery.redeliver import list_deliveries
from kernel.formats.envelope import encode
from kernel.formats.representations import delivery_data, order_data, order_summary
from kernel.formats.strictjson import parse_json
from kernel.orders.accept import checked_order
from kernel.orders.cancel import cancel
from kernel.orders.pages import MAX_PAGE, OrderFilter, get_order, list_orders
from kernel.orders.submit import submit
from kernel.orders.transitions import ending
from kernel.runtime.kernel import Kernel

POLL_SECONDS = 0.1


@click.group()
def orders() -> None:
    """Work orders."""


@orders.command("list")
@click.option("--state", type=click.Choice([state.value for state in OrderState]))
@click.option("--tag", help="Only orders of this select_tag.")
@click.option("--caller", help="Only orders of this caller.")
@click.option("--limit", type=click.IntRange(1, MAX_PAGE), default=20, show_default=True)
@click.option("--before", metavar="ID", help="Only orders older than this one: the next page.")
@as_json
def list_(caller: str | None, machine: bool, **given: Any) -> None:
    """List orders, the newest first."""
    wanted = OrderFilter(given["state"], given["tag"], None, None, given["before"], given["limit"])
    with opened() as kernel, kernel.read_session() as session:
        owner = None if caller is None else identity.find(session, caller).id
        found = [order_summary(order) for order in list_orders(session, owner, wanted)]
    if machine:
        cursor = found[-1]["order_id"] if len(found) == wanted.limit else None
        print_json({"orders": found, "next_cursor": cursor})
    else:
        print_table([_row(order) for order in found], "no orders")


def _row(order: dict[str, Any]) -> dict[str, Any]:
    return {
        "order_id": order["order_id"],
        "select_tag": order["select_tag"],
        "state": order["state"],
        "progress": _progress(order),
        "created_at": order["created_at"][:19] + "Z",
    }


def _progress(order: dict[str, Any]) -> str | None:
    progress = order.get("progress")
    if progress is None or progress["total"] is None:
        return None
    return f"{progress['current']} of {progress['total']}"


@orders.command()
@click.argument("order_id")
@as_json
def show(order_id: str, machine: bool) -> None:
    """Show an order and its deliveries."""
    with opened() as kernel, kernel.read_session() as session:
        data = _described(session, order_id)
    _print_order(data, machine)


def _described(session: Session, order_id: str) -> dict[str, Any]:
    order = get_order(session, None, order_id)
    deliveries = [delivery_data(one) for one in list_deliveries(session, order_id)]
    return order_data(order) | {"deliveries": deliveries}


def _print_order(data: dict[str, Any], machine: bool) -> None:
    if machine:
        print_json(data)
        return
    deliveries = data.pop("deliveries")
    print_fields(data)
    click.echo()
    print_table(deliveries, "no deliveries: the order has not ended")


@orders.command("submit")
@click.argument("file", type=click.File("rb"), required=False)
@click.option("--tag", help="The select_tag, instead of FILE.")
@click.option("--callback-url", help="Where its callback is sent, instead of FILE.")
@click.option(
    "--arg",
    "arguments",
    multiple=True,
    metavar="NAME=TEXT",
    help="A member of the order; NAME:=JSON unless it is text.  [repeatable]",
)
@click.option("--caller", default=ANONYMOUS, show_default=True, help="Whose order it is.")
@click.option("--idempotency-key", metavar="KEY", help="Return the first order for this key.")
@click.option("--wait", is_flag=True, help="Wait until the order has ended.")
@as_json
def submit_order(
    file: BinaryIO | None, caller: str, idempotency_key: str | None, wait: bool, **given: Any
) -> None:
    """Submit the order in FILE (JSON; - for standard input), or one made of options.

    Without a broker the order runs after the next sweep, within KERNEL_SWEEP_SECONDS. With --wait
    the exit code is 1 when the order fails or is cancelled.
    """
    members = parse_json(_body(file, given["tag"], given["callback_url"], given["arguments"]))
    with opened(handlers=True) as kernel:
        with kernel.read_session() as session:
            owner = identity.identity_of(session, caller)
        request = checked_order(kernel, owner, members)
        accepted = submit(kernel, owner, request, idempotency_key)
        say(kernel, lambda broker: broker.hint([accepted.order_id]))
        data = _await(kernel, accepted.order_id) if wait else _now(kernel, accepted.order_id)
    _print_order(data, given["machine"])
    if wait and OrderState(data["state"]).wire_status < 0:
        click.get_current_context().exit(1)


def _body(
    file: BinaryIO | None, tag: str | None, url: str | None, arguments: Sequence[str]
) -> bytes:
    """Return the order as bytes of JSON, from the file or from the options."""
    if (file is None) == (tag is None and url is None and not arguments):
        raise click.UsageError("give either FILE, or --tag, --callback-url and --arg")
    if file is not None:
        return file.read()
    members = {"select_tag": tag, "callback_url": url}
    members = {name: value for name, value in members.items() if value is not None}
    return encode(members | dict(map(_member, arguments)))


def _member(argument: str) -> tuple[str, Any]:
    name, equals, value = argument.partition("=")
    if not name.rstrip(":") or not equals:
        raise click.UsageError(f"--arg {argument}: write NAME=TEXT or NAME:=JSON")
    if not name.endswith(":"):
        return name, value
    try:
        return name[:-1], json.loads(value)
    except ValueError as error:
        raise click.UsageError(f"--arg {argument}: not JSON: {error}") from None


def _now(kernel: Kernel, order_id: str) -> dict[str, Any]:
    with kernel.read_session() as session:
        return _described(session, order_id)


def _await(kernel: Kernel, order_id: str) -> dict[str, Any]:
    """Print an order's state and progress on stderr until it has ended."""
    shown = ""
    while not OrderState((data := _now(kernel, order_id))["state"]).is_final:
        line = cell(f"{data['state']} {_progress(data) or ''}".strip())
        if line != shown:
            click.echo(line, err=True)
            shown = line
        time.sleep(POLL_SECONDS)  # polls the row: no message reaches this process
    return data


@orders.command("cancel")
@click.argument("order_id")
@as_json
def cancel_order(order_id: str, machine: bool) -> None:
    """Cancel an order: a pending one at once, a running one at its next checkpoint."""
    with opened() as kernel:
        state = cancel(kernel, None, order_id)
        if state is OrderState.CANCELLED:
            outcome = ending(kernel, "cancelled")
            say(kernel, lambda broker: broker.finished(order_id, outcome))
    if machine:
        print_json({"order_id": order_id, "state": state})
    elif state is OrderState.RUNNING:
        click.echo("running: its handler sees the request at its next checkpoint")
    else:
        click.echo(str(state))
