"""`kernel orders pause | resume | pauses`: orders of a tag or a caller do not begin."""

from typing import Any

import click

from kernel.cli.acting import with_reason
from kernel.cli.commands.orders.changing import orders
from kernel.cli.pausing import F, begin, end, show, with_end
from kernel.cli.terminal.output import as_json

__all__ = ["orders"]

WHICH = "give either --tag or --caller"


def _with_which(command: F) -> F:
    of = click.option("--caller", "orders_of", metavar="NAME", help="Only orders of this caller.")
    return click.option("--tag", metavar="TAG", help="Only orders of this select_tag.")(of(command))


@orders.command("pause")
@_with_which
@with_end
@with_reason
@as_json
def pause_orders(machine: bool, **given: Any) -> None:
    """Begin no order of a tag, or of a caller; they are accepted, and wait.

    Until `resume`, or until the end that is given. Orders that run go on; a paused one can be
    cancelled, and expires. Paused again, it gets another end and reason.
    """
    begin(given | {"which": WHICH}, machine)


@orders.command("resume")
@_with_which
@with_reason
@as_json
def resume_orders(machine: bool, **given: Any) -> None:
    """Have the orders of a tag or a caller begin again, those first that were due first."""
    end(given | {"which": WHICH}, machine)


@orders.command("pauses")
@as_json
def show_pauses(machine: bool) -> None:
    """List the tags and callers whose orders are paused."""
    show(machine, of_orders=True)
