"""`kernel copy`: takes an installation from one database to another."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import click
from sqlalchemy import Engine, Table, inspect

from kernel.builtin import projects
from kernel.cli.commands.configuration.group import visible
from kernel.cli.opening import migrated, migrations, opened
from kernel.config.settings import Settings, load
from kernel.db.copying.compare import TableSum, compare_rows, left_out
from kernel.db.copying.copy import copy_rows, holds_rows
from kernel.db.copying.pages import Sides
from kernel.db.dialects import url_of
from kernel.db.engine import make_engine
from kernel.db.schema.version import SCHEMA
from kernel.errors import ConfigurationError, Conflict
from kernel.insight.standing.rest import unrest
from kernel.runtime.kernel import Kernel


@click.command()
@click.option(
    "--to", "target", required=True, metavar="URL", help="The database to copy to, - for stdin."
)
@click.option("--check", is_flag=True, help="Copy nothing: compare the two databases.")
def copy(target: str, check: bool) -> None:
    """Take the installation to another database.

    All rows of KERNEL_DATABASE_URL are copied, and the two are compared. Stop API, workers and
    dispatchers first; pending orders and callbacks go on at the target. The target is made and
    migrated where it is empty; one that holds other rows is refused. The source is only read. A
    copy that was interrupted goes on when it is run again.
    """
    url = sys.stdin.readline().strip() if target == "-" else target
    settings = load()
    there = load(database_url=url)
    with opened(settings) as kernel, _sides(kernel, settings, there, check=check) as sides:
        written = 0 if check else copy_rows(sides)
        _tell_left_out(left_out(sides))
        _tell(compare_rows(sides))
        _refuse_unrest(kernel)
    shown = visible(there.database_url)
    click.echo(f"{shown} is equal to {visible(settings.database_url)}; {written} rows copied")
    if not check:
        click.echo(f"Set KERNEL_DATABASE_URL to {shown} everywhere, then start API and workers.")


@contextmanager
def _sides(kernel: Kernel, source: Settings, target: Settings, *, check: bool) -> Iterator[Sides]:
    """Open both databases, the target migrated, once all that can be refused was looked at."""
    here, there = (url_of(one) for one in (source, target))
    if here == there:
        raise ConfigurationError("--to is the database of KERNEL_DATABASE_URL itself")
    engine = make_engine(there)
    try:
        _refuse_unrest(kernel)
        _refuse_other_release(here, "KERNEL_DATABASE_URL")
        tables = _tables(kernel.engine)
        if not check:
            _refuse_older_installation(there, engine, tables)
            migrated(target, told=click.echo)
        _refuse_other_release(there, "the target")
        yield Sides(kernel.engines.single, engine, tables, partial(click.echo, err=True))
    finally:
        engine.dispose()


def _tables(engine: Engine) -> list[Table]:
    """Return kernel's tables and that of the built-in handlers, unless it was dropped."""
    there = set(inspect(engine).get_table_names())
    return [one for one in projects.metadata.sorted_tables if one.name in there]


def _refuse_unrest(kernel: Kernel) -> None:
    if found := unrest(kernel):
        raise Conflict(f"the installation is not at rest. {'; '.join(found)}")


def _refuse_other_release(url: str, what: str) -> None:
    """Refuse a newer schema as well: columns that this code does not know would be lost."""
    found = migrations().current(url)
    if found != SCHEMA:
        raise ConfigurationError(
            f"{what} is at migration {found or 'none'}, and this release copies {SCHEMA}"
        )


def _refuse_older_installation(url: str, engine: Engine, tables: Sequence[Table]) -> None:
    """Leave an installation alone that stands at the target: it would be migrated otherwise."""
    found = migrations().current(url)
    if found not in (None, SCHEMA) and holds_rows(engine, tables):
        raise ConfigurationError(f"the target is an installation, at migration {found}")


def _tell_left_out(names: Sequence[str]) -> None:
    if names:
        click.echo(f"not kernel's, so not copied: {', '.join(names)}", err=True)


def _tell(sums: Sequence[TableSum]) -> None:
    width = max(len(one.name) for one in sums)
    for one in sums:
        click.echo(f"{one.name:{width}}  {one.rows:>9} rows  sha256 {one.sha256[:16]}")
