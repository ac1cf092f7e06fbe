"""`kernel callers set | add-key`: change a caller's callback rules, give it one more API key."""

from collections.abc import Sequence
from datetime import timedelta

import click

from kernel.callers import identity, keys
from kernel.callers.callback_rules import CallerRules
from kernel.cli.commands.callers import callers, print_once
from kernel.cli.opening import opened
from kernel.cli.terminal.output import as_json


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
@click.option(
    "--header",
    "header_names",
    multiple=True,
    metavar="NAME",
    help="Send this header with every callback; prompts for its value.  [repeatable]",
)
@click.option("--no-header", "removed", multiple=True, metavar="NAME", help="[repeatable]")
def set_rules(
    name: str,
    nets: Sequence[str],
    hosts: Sequence[str],
    no_callback_rules: bool,
    schedule: str | None,
    **headers: Sequence[str],
) -> None:
    """Change a caller's callback rules: networks, hosts, schedule, headers.

    Rules without an option stay. The value of each header is read from the terminal, or from a
    line of standard input: it is a secret and never shown again.
    """
    values = {one: _ask(one) for one in headers["header_names"]}
    values |= dict.fromkeys(headers["removed"], "")
    try:
        rules = CallerRules(
            nets=nets or (() if no_callback_rules else None),
            hosts=hosts or (() if no_callback_rules else None),
            schedule=None if schedule is None else [float(s) for s in schedule.split(",") if s],
            headers=values,
        )
        with opened() as kernel, kernel.write_session() as session:
            keys.change(session, name, rules)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    click.echo(f"{name}: changed; callbacks follow within a second")


def _ask(header: str) -> str:
    value: str = click.prompt(f"Value of {header}", hide_input=True, err=True)
    return value


@callers.command("add-key")
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice([scope.value for scope in identity.Scope]),
    help="What the key allows.  [repeatable; default: orders:write and orders:read]",
)
@click.option("--expires-days", type=click.FloatRange(min=0, min_open=True), metavar="DAYS")
@as_json
def add_key(name: str, scopes: Sequence[str], expires_days: float | None, machine: bool) -> None:
    """Give a caller one more API key; print it, this once. Its other keys stay valid."""
    with opened() as kernel, kernel.write_session() as session:
        now = kernel.clock.now()
        expires = None if expires_days is None else now + timedelta(days=expires_days)
        terms = keys.KeyTerms(frozenset(scopes) or identity.CALLERS_OWN, expires)
        made = keys.add_key(session, name, now, terms)
    print_once(made, machine)
