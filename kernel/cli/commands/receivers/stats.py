"""`kernel receivers stats`: how callbacks to each receiver went, and which breakers are open."""

import click

from kernel.cli.commands.now.trends import print_parts, with_span
from kernel.cli.commands.receivers import testing
from kernel.cli.commands.receivers.group import caller_option, receivers
from kernel.cli.opening import opened
from kernel.cli.terminal.output import as_json
from kernel.insight.trends.parts import rows_of
from kernel.insight.trends.series import Span, Trends
from kernel.insight.trends.tallies import Kind

__all__ = ["receivers", "testing"]  # importing `testing` adds `test` to the group


@receivers.command()
@with_span
@caller_option
@click.option("--hosts", is_flag=True, help="By host instead, with or without a receiver.")
@as_json
def stats(span: str, caller: str | None, hosts: bool, machine: bool) -> None:
    """Show attempts, delivered share, times and reasons of each receiver.

    \b
    kernel receivers stats --span day --caller zammad
    kernel trends --receiver zammad/desk     its course over time
    """
    if hosts and caller:
        raise click.UsageError("hosts belong to no caller: leave --caller out")
    kind = Kind.HOST if hosts else Kind.RECEIVER
    with opened() as kernel:
        found = rows_of(kernel, Trends(kernel), Span(span), kind)
    ours = f"{caller}/" if caller else ""
    print_parts([one for one in found if one.part.name.startswith(ours)], machine)
