"""`kernel deliveries replay`: a bulk act, by the name that it has among the callbacks."""

from typing import Any

import click

from kernel.bulk.kinds import Kind, Plan
from kernel.cli.commands.bulk import act, with_act
from kernel.cli.commands.deliveries.pauses import deliveries
from kernel.cli.filter_options import callback_filter, with_callback_filter
from kernel.cli.opening import opened

__all__ = ["deliveries"]


@deliveries.command("replay")
@with_callback_filter
@click.option("--status", metavar="STATE", help="The same as --state.")
@with_act
def replay(status: str | None, machine: bool, **given: Any) -> None:
    """Send dead callbacks again; delivered ones with --state delivered.

    Says first how many there are, by what they died of, tag, caller and receiver, and asks. Same
    ids and bytes, a fresh schedule. It is a bulk act: when this command is interrupted, the
    workers go on with it, and `kernel bulk abort` ends it.

    \b
    kernel deliveries replay --since 2h --receiver desk
    kernel deliveries replay --since 02:00 --until 04:00 --rate 600 --yes
    """
    if status is not None:
        if given["by_state"] is not None:
            raise click.UsageError("give --state or --status")
        given["by_state"] = status
    with opened() as kernel:
        plan = Plan(Kind.REDELIVER, callback_filter(kernel, given), rate=given["rate"])
        act(kernel, plan, given | {"machine": machine})
