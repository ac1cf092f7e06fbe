"""`count` and `export` of orders and of callbacks: what a filter holds, and all of it as a file."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

from kernel.cli.filter_options import (
    callback_filter,
    order_filter,
    with_callback_filter,
    with_order_filter,
)
from kernel.cli.opening import opened
from kernel.cli.terminal.output import as_json, print_json, print_table, seen
from kernel.filters.counts import Counts, count_callbacks, count_orders
from kernel.filters.fields import caller_names
from kernel.filters.plans import settle
from kernel.insight.search.export import (
    CALLBACK_COLUMNS,
    ORDER_COLUMNS,
    callback_rows,
    order_rows,
)
from kernel.insight.search.tables import PIECES, Row

# Values of each group that a terminal shows.
SHOWN = 10
as_format = click.option(
    "--format", "kind", type=click.Choice(sorted(PIECES)), default="csv", show_default=True
)


@click.command("count")
@with_order_filter
@as_json
def count_all_orders(machine: bool, **fields: Any) -> None:
    """Count orders by error, tag, caller and receiver.

    \b
    Example:
      kernel orders count --state failed --ended-since 14:00
    """
    with opened() as kernel:
        wanted = order_filter(kernel, fields)
        with kernel.read_session() as session:
            counts = count_orders(session, settle(session, wanted))
            callers = caller_names(session)
    _print_counts(counts, callers, "error", machine)


@click.command("count")
@with_callback_filter
@as_json
def count_all_callbacks(machine: bool, **fields: Any) -> None:
    """Count callbacks by why they died, tag, caller and receiver.

    \b
    Example:
      kernel deliveries count --state dead --since 24h
    """
    with opened() as kernel:
        wanted = callback_filter(kernel, fields)
        with kernel.read_session() as session:
            counts, callers = count_callbacks(session, wanted), caller_names(session)
    _print_counts(counts, callers, "died_of", machine)


def _print_counts(counts: Counts, callers: Mapping[int, str], reason: str, machine: bool) -> None:
    data = counts.data(callers)
    if machine:
        print_json(data)
        return
    click.echo(f"{'' if counts.complete else 'at least '}{counts.total:,}")
    for name in ("by_error", "by_tag", "by_caller", "by_receiver"):
        heading = reason if name == "by_error" else name.removeprefix("by_")
        rows = [{heading: one["value"], "count": one["count"]} for one in data[name][:SHOWN]]
        if rows:
            click.echo()
            print_table(rows, "")


@click.command("export")
@with_order_filter
@as_format
def export_orders(kind: str, **fields: Any) -> None:
    """Write all orders of a filter to standard output, the newest first, as CSV or JSON.

    \b
    Example:
      kernel orders export --state failed --since 2026-11-01 > failed.csv
    """
    with opened() as kernel:
        rows = order_rows(kernel, order_filter(kernel, fields))
        _write(kind, ORDER_COLUMNS, rows)


@click.command("export")
@with_callback_filter
@as_format
def export_callbacks(kind: str, **fields: Any) -> None:
    """Write all callbacks of a filter to standard output, the newest first, as CSV or JSON.

    \b
    Example:
      kernel deliveries export --state dead --format json
    """
    with opened() as kernel:
        rows = callback_rows(kernel, callback_filter(kernel, fields))
        _write(kind, CALLBACK_COLUMNS, rows)


def _write(kind: str, columns: Sequence[str], batches: Iterable[Sequence[Row]]) -> None:
    for piece in PIECES[kind](columns, batches):
        click.echo((seen(piece) if kind == "json" else piece).encode(), nl=False)
