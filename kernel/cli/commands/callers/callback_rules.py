"""`kernel callers set`: change a caller's callback rules."""

from collections.abc import Sequence
from typing import Any

import click

from kernel.callers import keys
from kernel.callers.callback_rules import CallerRules
from kernel.cli.acting import by_command, with_reason
from kernel.cli.commands.callers.keys import callers
from kernel.cli.opening import opened

__all__ = ["callers"]


@callers.command("set")
@click.argument("name")
@click.option("--callback-net", "nets", multiple=True, metavar="CIDR", help="[repeatable]")
@click.option("--callback-host", "hosts", multiple=True, metavar="HOST[:PORT]", help="[repeatable]")
@click.option("--no-callback-rules", is_flag=True, help="Remove all its networks and hosts.")
@click.option(
    "--schedule",
    metavar="SECONDS,...",
    help="Pauses between attempts; '' for KERNEL_CALLBACK_SCHEDULE.",
)
@click.option("--listed/--open", default=None, help="Send to its receivers alone, or anywhere.")
@click.option(
    "--max-running",
    type=click.IntRange(0, 1_000_000),
    metavar="N",
    help="How many of its orders run at once; 0 for any number.",
)
@with_reason
@click.option("--header", multiple=True, hidden=True)
@click.option("--no-header", "header", multiple=True, hidden=True)
def set_rules(
    name: str,
    nets: Sequence[str],
    hosts: Sequence[str],
    no_callback_rules: bool,
    schedule: str | None,
    **given: Any,
) -> None:
    """Change a caller's rules: callback networks, hosts, schedule, receivers, orders at once.

    Rules without an option stay. The callbacks of a listed caller go to its receivers alone.
    """
    if given["header"]:
        raise click.UsageError(
            "headers belong to the receiver that they are for: "
            f"kernel receivers add NAME --caller {name} --url URL --header {given['header'][0]}"
        )
    try:
        rules = CallerRules(
            nets=nets or (() if no_callback_rules else None),
            hosts=hosts or (() if no_callback_rules else None),
            schedule=None if schedule is None else [float(s) for s in schedule.split(",") if s],
            listed=given["listed"],
            max_running=given["max_running"],
        )
        with opened() as kernel, kernel.write_session() as session:
            rules.check(kernel.retry_policy)
            keys.change(session, name, rules, by_command())
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    click.echo(f"{name}: changed; callbacks follow within a second")
