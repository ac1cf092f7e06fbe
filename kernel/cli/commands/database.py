"""`kernel migrate` and `kernel sweep`: commands for the database as a whole."""

import tempfile
from datetime import datetime

import click

from kernel.cli.commands.configuration import visible
from kernel.cli.opening import migrated, migrations, opened, say
from kernel.cli.terminal.output import as_json, print_json
from kernel.config.settings import load
from kernel.db.dialects import file_url
from kernel.runtime.kernel import Kernel
from kernel.worker.broker import Broker
from kernel.worker.maintenance.job import Swept
from kernel.worker.maintenance.prune import BEGINNING, prune
from kernel.worker.maintenance.sweep import sweep as sweep_once


@click.command()
@click.option(
    "--check",
    is_flag=True,
    help="Change nothing: say whether the migrations make the tables that this code expects.",
)
def migrate(check: bool) -> None:
    """Bring the database up to date.

    Processes of the old release may go on running meanwhile.

    --check tries the migrations on an empty database of its own, not on yours: it is for people
    who change the code. `kernel config check` tells whether yours is migrated.
    """
    if check:
        _check()
        return
    settings = load()
    shown = visible(settings.database_url)
    migrated(settings, told=click.echo)
    click.echo(f"{shown} is migrated")


def _check() -> None:
    alembic = migrations()
    with tempfile.TemporaryDirectory(prefix="kernel-migrate-") as folder:
        url = file_url(f"{folder}/kernel.db")
        alembic.upgrade(url)
        alembic.check(url)
    click.echo("models and migrations agree")


@click.command()
@click.option(
    "--rescue",
    is_flag=True,
    help="Also take over orders whose leases ran out. Use it only when their workers are dead: "
    "after an outage of the database, workers that are alive have expired leases, too.",
)
@as_json
def sweep(rescue: bool, machine: bool) -> None:
    """Hint due orders and prune old ones, now.

    Workers and dispatchers do so by themselves, every KERNEL_SWEEP_SECONDS.
    """
    with opened(handlers=True) as kernel:
        swept = Swept()
        try:
            sweep_once(kernel, rescue=rescue, swept=swept)
        finally:
            say(kernel, lambda broker: _tell(broker, swept))
        pruned = _prune_all(kernel)
    counts = {
        "hinted": len(swept.due) + len(swept.rescued),
        "rescued": len(swept.rescued),
        "failed": len(swept.failed),
        "pruned": pruned,
    }
    if machine:
        print_json(counts)
    else:
        click.echo(", ".join(f"{name} {count}" for name, count in counts.items()))


def _tell(broker: Broker, swept: Swept) -> None:
    broker.hint([*swept.due, *swept.rescued])
    for order_id, outcome in swept.failed.items():
        broker.finished(order_id, outcome)


def _prune_all(kernel: Kernel) -> int:
    """Prune until no old order is left; print the count of pruned orders on stderr."""
    total = 0
    after: datetime | None = BEGINNING
    while after is not None:
        orders, after = prune(kernel, after)
        total += orders
        click.echo(f"\rpruned {total}", err=True, nl=after is None)
    return total
