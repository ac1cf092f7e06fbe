"""`kernel orders`: list and find orders, show, submit or cancel one."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, BinaryIO

import click
from sqlalchemy import Connection

from kernel.callers import identity
from kernel.cli.acting import by_command, with_reason
from kernel.cli.commands.orders.finding import count_all_orders, export_orders
from kernel.cli.filter_options import order_filter, with_order_filter
from kernel.cli.opening import opened, say
from kernel.cli.order_options import BODY_OPTIONS, order_body
from kernel.cli.terminal.output import (
    as_json,
    cell,
    going_on,
    print_fields,
    print_json,
    print_table,
)
from kernel.db.ids import ID
from kernel.db.states import PRIORITIES, OrderState
from kernel.db.tables.callers import ANONYMOUS
from kernel.formats.order_request import WINDOW
from kernel.formats.representations import order_summary
from kernel.formats.strictjson import parse_json
from kernel.insight.search.listing import first_orders
from kernel.insight.search.orders import callbacks_of
from kernel.insight.standing.described import described
from kernel.orders.accept import checked_order
from kernel.orders.gates.shown import gates_shown
from kernel.orders.pages import (
    MAX_PAGE,
    LaneFilter,
    list_orders,
    orders_by_id,
    with_prefix,
)
from kernel.orders.submit import submit
from kernel.runtime.kernel import Kernel

POLL_SECONDS = 0.1


@click.group()
def orders() -> None:
    """Work orders."""


orders.add_command(count_all_orders)
orders.add_command(export_orders)


@orders.command("list")
@with_order_filter
@click.option("--limit", type=click.IntRange(1, MAX_PAGE), default=20, show_default=True)
@click.option("--before", metavar="ID", help="Only orders older than this one: the next page.")
@as_json
def list_(limit: int, before: str | None, machine: bool, **fields: Any) -> None:
    """List orders, the newest first.

    \b
    Examples:
      kernel orders list --state failed --ended-since 14:00
      kernel orders list --callback dead --host jira.example.net --since 2h
      kernel orders list --reference-prefix INC0012 --error timed_out
    """
    if before is not None and not ID.fullmatch(before):
        raise click.UsageError("--before: give the next_cursor of an answer")
    with opened() as kernel, kernel.read_session() as session:
        page = first_orders(session, order_filter(kernel, fields), before, limit)
        gates = gates_shown(session, page.orders)
        callbacks = callbacks_of(session, [one.id for one in page.orders])
        found = [order_summary(order, gates.get(order.id)) for order in page.orders]
        found = [one | _callback(callbacks.get(one["order_id"])) for one in found]
    if machine:
        print_json({"orders": found, "next_cursor": page.next})
    else:
        _print_orders(found, "no matching orders" if any(fields.values()) else "no orders")


def _callback(owed: Any) -> dict[str, Any]:
    return {"callback": None if owed is None else owed.state}


@orders.command()
@click.argument("reference")
@click.option("--limit", type=click.IntRange(1, MAX_PAGE), default=20, show_default=True)
@as_json
def find(reference: str, limit: int, machine: bool) -> None:
    """Find orders by REFERENCE, the caller's own name for them, such as a ticket's number.

    Lists the newest orders that have it; if there are none, those whose reference begins so. The
    exit code is 1 when there are none either.
    """
    if not reference.strip():  # a variable of a script may be unset, and all begin with nothing
        raise click.UsageError("REFERENCE: it says nothing")
    with opened() as kernel, kernel.read_session() as session:
        rows = list_orders(session, None, LaneFilter(reference=reference, limit=limit))
        if not rows:
            rows = orders_by_id(session, with_prefix(session, reference, limit))
        gates = gates_shown(session, rows)
        found = [order_summary(order, gates.get(order.id)) for order in rows]
    if machine:
        print_json({"orders": found})
    else:
        _print_orders(found, "no matching orders")
    if not found:
        click.get_current_context().exit(1)


def _print_orders(found: Sequence[dict[str, Any]], nothing: str) -> None:
    """Print orders as a table, with a first column of references if one of them has any."""
    named = any(order["reference"] is not None for order in found)
    names = [{"reference": order["reference"]} if named else {} for order in found]
    print_table([name | _row(order) for name, order in zip(names, found, strict=True)], nothing)


def _row(order: dict[str, Any]) -> dict[str, Any]:
    return {
        "order_id": order["order_id"],
        "select_tag": order["select_tag"],
        "state": order.get("waiting_for") or order["state"],
        "error": (order.get("error") or {}).get("code"),
        "callback": order.get("callback"),
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
    """Show an order: its runs, steps and callbacks, and why it stands as it does.

    For example: kernel orders show 0194f3b2-7a11-7c3e-9d20-1f0a55c1be01
    """
    with opened() as kernel, kernel.read_session() as session:
        data = described(kernel, session, order_id)
    _print_order(data, machine)


def _print_order(data: dict[str, Any], machine: bool) -> None:
    if machine:
        print_json(data)
        return
    deliveries, steps = data.pop("deliveries"), data.pop("steps", [])
    runs, acts = data.pop("runs", []), data.pop("acts", [])
    print_fields(data)
    click.echo()
    if runs:
        print_table([_run_row(run) for run in runs], "")
        click.echo()
        if said := next((run["traceback"] for run in reversed(runs) if run["traceback"]), None):
            click.echo("\n".join(cell(line) for line in said.splitlines()) + "\n")
    if steps:
        print_table([_step_row(step) for step in steps], "")
        click.echo()
    if acts:
        print_table([_act_row(act) for act in acts], "")
        click.echo()
    _print_deliveries(deliveries)


def _print_deliveries(deliveries: Sequence[dict[str, Any]]) -> None:
    hidden = ("why", "url", "attempts")
    rows = [{k: v for k, v in one.items() if k not in hidden} for one in deliveries]
    print_table(rows, "no deliveries: none is owed yet, or the caller polls")
    for one in deliveries:
        click.echo(f"\n{cell(one['url'])}: {one['why']}")
        if one["attempts"]:
            print_table([_attempt_row(each) for each in one["attempts"]], "")


def _attempt_row(attempt: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "attempt": attempt["number"],
        "began": attempt["started_at"],
        "took": f"{attempt['duration_ms'] / 1000:.1f} s",
        "ended": attempt["ended"],
        "judged": attempt["judged"],
    }


def _act_row(act: Mapping[str, Any]) -> dict[str, Any]:
    return {name: act[name] for name in ("at", "actor", "via", "verb", "reason")}


def _run_row(run: Mapping[str, Any]) -> dict[str, Any]:
    of = (run["error_type"], run["place"], run["reason"] or run["message"])
    return {
        "run": run["run"],
        "began": run["began_at"] or "did not begin",
        "ended": run["ended_at"] or "",
        "process": run["process"] or "",
        "how": run["how"],
        "error": cell(", ".join(one for one in of if one)),
    }


def _step_row(step: dict[str, Any]) -> dict[str, Any]:
    lasted, said = step["duration_ms"], step["error"] if step["state"] == "failed" else ""
    return {
        "step": step["name"],
        "state": step["state"],
        "attempts": step["attempts"],
        "took": "" if lasted is None else f"{lasted / 1000:.1f} s",
        "error": cell(said or ""),
    }


@orders.command("submit")
@click.argument("file", type=click.File("rb"), required=False)
@click.option("--tag", help="The select_tag, instead of FILE.")
@click.option("--callback-url", help="Where its callback is sent, instead of FILE.")
@click.option("--no-callback", is_flag=True, help="Send none, instead of --callback-url.")
@click.option(
    "--arg",
    "arguments",
    multiple=True,
    metavar="NAME=TEXT",
    help="A member of the order; NAME:=JSON unless it is text.  [repeatable]",
)
@click.option("--not-before", metavar="TIME", help="Begin no run before: 2026-11-20T08:00:00Z.")
@click.option("--not-after", metavar="TIME", help="Let it expire if no run has begun by then.")
@click.option("--ordering-key", metavar="KEY", help="Run it after the caller's others of KEY.")
@click.option("--priority", type=click.Choice(list(PRIORITIES)), help="Among its caller's orders.")
@click.option("--caller", default=ANONYMOUS, show_default=True, help="Whose order it is.")
@click.option("--reference", help="Your own name for the order, such as a ticket's number.")
@click.option("--idempotency-key", metavar="KEY", help="Return the first order for this key.")
@click.option("--wait", is_flag=True, help="Wait until the order has ended.")
@with_reason
@as_json
def submit_order(
    file: BinaryIO | None, caller: str, idempotency_key: str | None, wait: bool, **given: Any
) -> None:
    """Submit the order in FILE (JSON; - for standard input), or one made of options.

    Without a broker the order runs after the next sweep, within KERNEL_SWEEP_SECONDS. With --wait
    the exit code is 1 when the order fails or is cancelled.
    """
    members = parse_json(order_body(file, **{name: given[name] for name in BODY_OPTIONS}))
    own = (*WINDOW, "ordering_key", "priority")
    members |= {name: given[name] for name in own if given[name] is not None}
    with opened(handlers=True) as kernel:
        with kernel.read_session() as session:
            owner = identity.identity_of(session, caller)
        request = checked_order(kernel, owner, members, given["reference"])
        by = by_command()

        def along(connection: Connection, order_id: str) -> None:
            by.record(connection, "order.submit", f"order {order_id}", after={"caller": caller})

        accepted = submit(kernel, owner, request, idempotency_key, along=along)
        order_id = accepted.order_id
        with going_on(f"the order goes on: kernel orders watch {order_id}") as pause:
            say(kernel, lambda broker: broker.hint(accepted.hints))
            data = _await(kernel, order_id, pause) if wait else _now(kernel, order_id)
    _print_order(data, given["machine"])
    if wait and OrderState(data["state"]).wire_status < 0:
        click.get_current_context().exit(1)


def _now(kernel: Kernel, order_id: str) -> dict[str, Any]:
    with kernel.read_session() as session:
        return described(kernel, session, order_id)


def _await(kernel: Kernel, order_id: str, pause: Callable[[float], None]) -> dict[str, Any]:
    """Print an order's state and progress on stderr until it has ended."""
    shown = ""
    while not OrderState((data := _now(kernel, order_id))["state"]).is_final:
        line = cell(f"{data['state']} {_progress(data) or ''}".strip())
        if line != shown:
            click.echo(line, err=True)
            shown = line
        pause(POLL_SECONDS)  # polls the row: no message reaches this process
    return data
