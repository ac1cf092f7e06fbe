"""`kernel migrate` and `kernel sweep`: what is done to the database as a whole."""

import tempfile
from collections.abc import Sequence
from datetime import datetime

import click

from kernel.cli.commands.configuration.group import visible
from kernel.cli.opening import handlers_migrations, migrated, migrations, opened, say
from kernel.cli.terminal.output import as_json, print_json
from kernel.config.settings import Settings, load
from kernel.db.dialects import file_url, url_of
from kernel.db.schema.scripts import Scripts, scripts_of
from kernel.db.schema.version import SCHEMA
from kernel.orders.due import HINTS, due_orders
from kernel.runtime.kernel import Kernel
from kernel.worker.broker import Broker
from kernel.worker.maintenance.job import Swept
from kernel.worker.maintenance.prune import BEGINNING, kept_orders, prune
from kernel.worker.maintenance.sweep import sweep as sweep_once


@click.command()
@click.option(
    "--check",
    is_flag=True,
    help="Change nothing: say whether the migrations make the tables that this code expects.",
)
@click.option(
    "--status",
    is_flag=True,
    help="Change nothing: say how far your database is; exit code 1 when a migration is missing.",
)
@click.option(
    "--force",
    is_flag=True,
    help="Rename the tables of an older installation although a process was seen in the last "
    "minute. Only when it has ended without saying so.",
)
def migrate(check: bool, status: bool, force: bool) -> None:
    """Bring the database up to date. Run again, it goes on where it was interrupted.

    The tables of handlers follow, if KERNEL_HANDLERS_MIGRATIONS names their migrations.

    The old code may go on running meanwhile, unless its tables are still called orders,
    deliveries and so on, without kernel_ in front: then stop all of it first.

    --check tries the migrations on an empty database of its own, not on yours: it is for those
    who change the code. Whether yours is migrated, --status tells.
    """
    settings = load()
    if check:
        _check(scripts_of(settings.handlers_migrations))
        return
    if status:
        _status(settings)
        return
    shown = visible(settings.database_url)
    migrated(settings, told=click.echo, force=force)
    click.echo(f"{shown} is migrated")


def _check(folders: Sequence[Scripts]) -> None:
    alembic = migrations()
    with tempfile.TemporaryDirectory(prefix="kernel-migrate-") as folder:
        url = file_url(f"{folder}/kernel.db")
        alembic.upgrade(url)
        for one in folders:
            handlers_migrations().upgrade(url, [one])
            handlers_migrations().check(url, one)
        alembic.check(url)
    click.echo("models and migrations agree")


def _status(settings: Settings) -> None:
    url, current = url_of(settings), migrations().current(url_of(settings))
    behind = current is None or current < SCHEMA
    mend = f", and this code needs {SCHEMA}: run `kernel migrate`" if behind else ""
    click.echo(f"kernel: at migration {current or 'none'}{mend}")
    for one in scripts_of(settings.handlers_migrations):
        standing = handlers_migrations().standing(url, one)
        click.echo(standing.told)
        behind = behind or standing.is_behind
    if behind:
        click.get_current_context().exit(1)


@click.command()
@click.option(
    "--rescue",
    is_flag=True,
    help="Take over orders whose leases ran out, too. Only when their workers are dead and the "
    "database was not away: an outage is not a death.",
)
@as_json
def sweep(rescue: bool, machine: bool) -> None:
    """Hint what is due, prune what is old.

    Dispatchers do so by themselves, every KERNEL_SWEEP_SECONDS; this does it now.
    """
    with opened(handlers=True) as kernel:
        due = due_orders(kernel, HINTS)
        swept = sweep_once(kernel, rescue=rescue)
        due = list(dict.fromkeys([*due, *swept.due]))  # with what recurring orders have made
        say(kernel, lambda broker: _tell(broker, due, swept))
        pruned = _prune_all(kernel)
    counts = {
        "hinted": len(due) + len(swept.rescued),
        "rescued": len(swept.rescued),
        "failed": len(swept.failed),
        "pruned": pruned,
    }
    if machine:
        print_json(counts)
    else:
        click.echo(", ".join(f"{name} {count}" for name, count in counts.items()))


def _tell(broker: Broker, due: Sequence[str], swept: Swept) -> None:
    broker.hint([*due, *swept.rescued])
    for order_id, outcome in swept.failed.items():
        broker.finished(order_id, outcome)


def _prune_all(kernel: Kernel) -> int:
    """Prune until nothing is left to; say on stderr how far it is."""
    total = 0
    after: datetime | None = BEGINNING
    kept = kept_orders()
    while after is not None:
        orders, after = prune(kernel, after, kept)
        total += orders
        click.echo(f"\rpruned {total}", err=True, nl=after is None)
    return total
