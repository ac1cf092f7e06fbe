"""`kernel limits list | set | clear`: how many orders of a tag run at once, and how often."""

from typing import Any

import click

from kernel.cli.acting import by_command, with_reason
from kernel.cli.opening import opened
from kernel.cli.terminal.output import as_json, print_json, print_table
from kernel.formats.envelope import rfc3339
from kernel.handlers.limits import MAX_CONCURRENCY
from kernel.insight.limits import Standing, standings
from kernel.orders.gates.limits.changes import Change, clear_limit, set_limit

NONE = "none"


class Concurrency(click.ParamType[int]):
    """A number of orders, or ``none``."""

    name = "concurrency"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read it; 0 for ``none``."""
        if value == NONE:
            return 0
        if not str(value).isdecimal() or not 0 < int(value) <= MAX_CONCURRENCY:
            self.fail(f"{value!r} is no number from 1 to {MAX_CONCURRENCY}, nor {NONE}", param, ctx)
        return int(value)


@click.group()
def limits() -> None:
    """How many orders of a tag run at once, and how often one begins."""


@limits.command("list")
@as_json
def list_limits(machine: bool) -> None:
    """List the limits, how much of each is in use, and how many orders wait for it."""
    with opened(handlers=True) as kernel:
        found = [_row(one) for one in standings(kernel)]
    if machine:
        print_json(found)
    else:
        print_table(found, "no tag has a limit")


def _row(one: Standing) -> dict[str, Any]:
    rate, registered = one.limit.rate, one.registered.rate
    return {
        "tag": one.tag,
        "concurrency": one.limit.concurrency,
        "rate": rate and rate.text,
        "per": one.registered.per,
        "in_use": one.in_use,
        "waiting": one.waiting,
        "registered": {
            "concurrency": one.registered.concurrency,
            "rate": registered and registered.text,
        },
        "set_at": rfc3339(one.set_at),
    }


@limits.command("set")
@click.argument("tag")
@click.option(
    "--concurrency", type=Concurrency(), metavar="N", help="Run N at once; none: any number."
)
@click.option("--rate", metavar="RATE", help="Begin that often, as 30/m; none: at any time.")
@with_reason
def set_one(tag: str, concurrency: int | None, rate: str | None) -> None:
    """Set the limit of a tag for all workers; what is left out stays as it is.

    They follow within a few seconds. Orders that run already go on.
    """
    change = Change(concurrency, "" if rate == NONE else rate)
    with opened(handlers=True) as kernel:
        set_limit(kernel, tag, change, by=by_command())
    click.echo(f"{tag}: set")


@limits.command("clear")
@click.argument("tag")
@with_reason
def clear_one(tag: str) -> None:
    """Have the limit of a tag be what its handler registers again."""
    with opened() as kernel:
        clear_limit(kernel, tag, by=by_command())
    click.echo(f"{tag}: as registered")
