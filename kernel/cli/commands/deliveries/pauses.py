"""`kernel deliveries pause | resume | pauses`: callbacks are held and let go."""

from typing import Any

import click

from kernel.cli.acting import with_reason
from kernel.cli.commands.deliveries.group import deliveries
from kernel.cli.pausing import F, Host, begin, end, show, with_end
from kernel.cli.terminal.output import as_json

__all__ = ["deliveries"]

WHICH = "give either --host, or --caller, or --caller with --receiver"


def _with_which(command: F) -> F:
    for option in (
        click.option("--receiver", metavar="NAME", help="Only to this receiver of the caller's."),
        click.option("--caller", metavar="NAME", help="Only callbacks for this caller."),
        click.option(
            "--host", type=Host(), metavar="NAME[:PORT]", help="Only callbacks to this host."
        ),
    ):
        command = option(command)
    return command


@deliveries.command("pause")
@_with_which
@with_end
@with_reason
@as_json
def pause_deliveries(machine: bool, **given: Any) -> None:
    """Hold the callbacks to a host, of a caller, or to a caller's receiver. None is dropped.

    They are held until `resume`, or until the end that is given. Paused again, it gets another
    end and reason.
    """
    begin(given | {"which": WHICH}, machine)


@deliveries.command("resume")
@_with_which
@with_reason
@as_json
def resume_deliveries(machine: bool, **given: Any) -> None:
    """Send the callbacks to a host, of a caller or to a receiver again; those held are due now."""
    end(given | {"which": WHICH}, machine)


@deliveries.command("pauses")
@as_json
def show_pauses(machine: bool) -> None:
    """List the hosts, callers and receivers whose callbacks are paused."""
    show(machine, of_orders=False)
