"""`kernel schedules`: recurring orders are added, changed, listed, paused, removed, run now."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import click

from kernel.cli.acting import by_command, with_reason
from kernel.cli.opening import opened, say
from kernel.cli.terminal.output import as_json, print_fields, print_json, print_table
from kernel.errors import InvalidJson
from kernel.formats.durations import seconds
from kernel.formats.strictjson import parse_json
from kernel.runtime.kernel import Kernel
from kernel.schedules import changes
from kernel.schedules.definition import Definition
from kernel.schedules.rows import find, list_schedules, next_times, schedule_data

Command = TypeVar("Command", bound=Callable[..., Any])
NO_URL = "none"
# What `kernel schedules list` shows of each.
SHOWN = ("name", "caller", "cron", "zone", "next_at", "last_order_state", "last_error")


class Arguments(click.ParamType[dict[str, Any]]):
    """A JSON object: the members of an order besides those that have options of their own."""

    name = "json"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, Any]:
        """Read the object as the API reads an order."""
        try:
            return value if isinstance(value, dict) else parse_json(value.encode())
        except InvalidJson:
            self.fail(f'{value!r} is no JSON object such as \'{{"host": "db1"}}\'', param, ctx)


class Duration(click.ParamType[int]):
    """A number of seconds, written with its unit."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read it."""
        try:
            return round(value if isinstance(value, int) else seconds(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _with_definition(command: Command) -> Command:
    """Give a command the options of a definition; None where one is left out."""
    for option in reversed(
        (
            click.option("--cron", metavar="FIELDS", help='When, as cron has it: "0 2 * * *".'),
            click.option("--zone", metavar="NAME", help="The time zone of --cron: Europe/Berlin."),
            click.option("--tag", "select_tag", metavar="TAG", help="The select_tag."),
            click.option("--args", type=Arguments(), metavar="JSON", help="The other members."),
            click.option("--callback-url", metavar="URL", help="Where callbacks go, or none."),
            click.option("--reference", help="The reference of its orders; '' for none."),
            click.option(
                "--catch-up",
                type=Duration(),
                metavar="DURATION",
                help="How old a missed time may be to be made up: 1m to 7d.",
            ),
        )
    ):
        command = option(command)
    return command


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """Return the members of a definition that were given."""
    found = {name: value for name, value in options.items() if value is not None}
    if found.get("callback_url") == NO_URL:
        found["callback_url"] = None
    if found.get("reference") == "":
        found["reference"] = None
    return found


@click.group()
def schedules() -> None:
    """Recurring orders: submitted at the times of a cron expression."""


@schedules.command()
@click.argument("name")
@click.option("--caller", metavar="NAME", required=True, help="Whose orders they are.")
@_with_definition
@with_reason
@as_json
def add(name: str, caller: str, machine: bool, **options: Any) -> None:
    """Add a recurring order.

    --cron, --tag and --callback-url are needed; --zone is UTC, --args is {} and --catch-up is 1h
    unless they are given. Without a process that sweeps nothing is submitted.
    """
    for needed in ("cron", "select_tag", "callback_url"):
        if options[needed] is None:
            option = needed.replace("select_", "").replace("_", "-")
            raise click.UsageError(f"--{option} is missing")
    given = {"zone": "UTC", "args": {}} | _given(options)
    with opened(handlers=True) as kernel:
        changes.add(kernel, name, Definition(caller, **given), by_command())
        _print(kernel, name, machine, "added")


@schedules.command("set")
@click.argument("name")
@_with_definition
@with_reason
@as_json
def set_(name: str, machine: bool, **options: Any) -> None:
    """Change a recurring order; what has no option stays. Its times count from now on."""
    given = _given(options)
    if not given:
        raise click.UsageError("say what to change: see --help")
    with opened(handlers=True) as kernel:
        changed = changes.change(kernel, name, given, by_command())
        _print(kernel, name, machine, "changed" if changed else "it was so already")


@schedules.command("list")
@click.option("--caller", metavar="NAME", help="Only those of this caller.")
@as_json
def list_(caller: str | None, machine: bool) -> None:
    """List recurring orders, with the next time and what became of the last order."""
    with opened() as kernel, kernel.read_session() as session:
        found = [schedule_data(row) for row in list_schedules(session, caller)]
    if machine:
        print_json({"schedules": found})
        return
    rows = [{name: one[name] for name in SHOWN} | _next(one) for one in found]
    print_table(rows, "no recurring orders")


def _next(one: dict[str, Any]) -> dict[str, Any]:
    """Return what stands under next_at: the time, or why there is none."""
    if one["paused_at"] is not None:
        return {"next_at": "paused"}
    return {"next_at": one["next_at"] and one["next_at"][:19] + "Z"}


@schedules.command()
@click.argument("name")
@as_json
def show(name: str, machine: bool) -> None:
    """Show a recurring order, its last order, and its next five times."""
    with opened() as kernel:
        _print(kernel, name, machine)


def _print(kernel: Kernel, name: str, machine: bool, done: str | None = None) -> None:
    """Print a schedule as it is now, or after a change what was done and when it is due next."""
    with kernel.read_session() as session:
        row = find(session, name)
    try:
        times = next_times(row)
    except ValueError as error:
        times = []
        click.echo(str(error), err=True)
    data = schedule_data(row)
    if machine:
        print_json(data | {"next_times": times})
    elif done is not None:
        click.echo(f"{name}: {done}; next: {_local(times[0], row.zone) if times else 'never'}")
    else:
        print_fields(data)
        click.echo()
        print_table([{"next": _local(at, row.zone), "UTC": at} for at in times], "no next time")


def _local(moment: str, zone: str) -> str:
    """Return a time as the clock of its zone shows it."""
    return f"{datetime.fromisoformat(moment).astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} {zone}"


@schedules.command()
@click.argument("name")
@with_reason
def pause(name: str) -> None:
    """Submit nothing until it is resumed. Times that pass meanwhile are not made up."""
    with opened() as kernel:
        done = changes.pause(kernel, name, by_command())
    click.echo(f"{name}: {'paused' if done else 'it was paused already'}")


@schedules.command()
@click.argument("name")
@with_reason
def resume(name: str) -> None:
    """Go on with the next time."""
    with opened() as kernel:
        done = changes.resume(kernel, name, by_command())
        _print(kernel, name, False, "resumed" if done else "it was not paused")


@schedules.command()
@click.argument("name")
@with_reason
def remove(name: str) -> None:
    """Remove a recurring order; the orders that it has made stay."""
    with opened() as kernel:
        changes.remove(kernel, name, by_command())
    click.echo(f"{name}: removed")


@schedules.command("run-now")
@click.argument("name")
@with_reason
@as_json
def run_now(name: str, machine: bool) -> None:
    """Submit its order now, paused or not. Its times stay as they are."""
    with opened(handlers=True) as kernel:
        order_id = changes.run_now(kernel, name, by_command())
        say(kernel, lambda broker: broker.hint([order_id]))
    if machine:
        print_json({"order_id": order_id})
    else:
        click.echo(f"{name}: order {order_id}")
