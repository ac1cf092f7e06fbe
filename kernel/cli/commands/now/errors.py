"""`kernel errors`: failures by their kind; shown, resolved and opened again."""

from typing import Any

import click

from kernel.cli.acting import by_command, with_reason
from kernel.cli.opening import opened
from kernel.cli.terminal.output import (
    as_json,
    cell,
    print_fields,
    print_json,
    print_table,
    utc,
)
from kernel.insight.failures.errors import (
    PAGE,
    SeenError,
    Which,
    course_data,
    days_of,
    error_data,
    find_error,
    latest_of,
    list_errors,
    place_of,
    references_of,
    reopen,
    resolve,
    written_place,
)
from kernel.insight.failures.runs import failed_run_data

# How many failures in an hour are drawn, from none to the most.
BARS = " ▁▂▃▄▅▆▇█"


@click.group()
def errors() -> None:
    """Failures by their kind: the tag, the exception's type and the place that raised it.

    Failures without an exception, as those of Reject, are of one kind by the tag and the code.

    \b
    kernel errors list
    kernel errors show 0f1e2d3c4b5a6978
    kernel bulk rerun --fingerprint 0f1e2d3c4b5a6978
    kernel errors resolve 0f1e2d3c4b5a6978 --reason "mended in 1.4.1"
    """


@errors.command("list")
@click.option(
    "--state",
    type=click.Choice([one.value for one in Which]),
    default=Which.OPEN.value,
    show_default=True,
    help="Which errors.",
)
@click.option("--tag", metavar="TAG", help="Of this tag alone.")
@click.option("--limit", type=click.IntRange(1, PAGE), default=PAGE, show_default=True)
@click.option("--cursor", metavar="TEXT", help="The next page: next_cursor of --json.")
@as_json
def list_(state: str, tag: str | None, limit: int, cursor: str | None, machine: bool) -> None:
    """List errors, the latest seen first.

    The last column is the course of the last 24 hours.
    """
    below = None if cursor is None else place_of(cursor)
    if cursor is not None and below is None:
        raise click.UsageError("--cursor: give the next_cursor of an answer")
    with opened() as kernel, kernel.read_session() as session:
        page = (Which(state), tag, below, limit)
        found = list_errors(session, kernel.clock.now(), *page)
    if machine:
        told = [error_data(one) for one in found.errors]
        print_json({"errors": told, "next_cursor": written_place(found.next)})
        return
    print_table([_row(one) for one in found.errors], "no errors")


def _row(one: SeenError) -> dict[str, Any]:
    row = one.row
    return {
        "fingerprint": row.fingerprint,
        "tag": row.select_tag,
        "error": one.what,
        "place": row.place,
        "count": row.number,
        "first seen": utc(row.first_seen),
        "last seen": utc(row.last_seen),
        "state": Which.OPEN if row.is_open else Which.RESOLVED,
        "24 h": drawn([point.number for point in one.hours]),
    }


def drawn(numbers: list[int]) -> str:
    """Return numbers as bars of one line."""
    most = max(numbers, default=0)
    steps = len(BARS) - 1
    return "".join(BARS[-(-number * steps // most) if most else 0] for number in numbers)


@errors.command()
@click.argument("fingerprint")
@as_json
def show(fingerprint: str, machine: bool) -> None:
    """Show an error, its course by day, and its latest failures with their tracebacks."""
    with opened() as kernel, kernel.read_session() as session:
        now = kernel.clock.now()
        one = find_error(session, fingerprint, now)
        days = days_of(session, fingerprint, now)
        latest = latest_of(session, fingerprint)
        named = references_of(session, latest)
    failures = [failed_run_data(run, named) for run in latest]
    course = {"hours": course_data(one.hours), "days": course_data(days)}
    if machine:
        print_json(error_data(one) | course | {"failures": failures})
        return
    last_days = drawn([point.number for point in days])
    print_fields(error_data(one) | {"days": f"{last_days} {sum(point.number for point in days)}"})
    click.echo()
    shown = ("order_id", "reference", "run", "ended_at", "process", "how", "reason")
    print_table([{name: run[name] for name in shown} for run in failures], "no failure is left")
    for line in str(failures[0]["traceback"] or "").splitlines() if failures else ():
        click.echo(f"  {cell(line)}")


@errors.command("resolve")
@click.argument("fingerprint")
@with_reason
def resolve_(fingerprint: str) -> None:
    """Call an error mended; it opens by itself when it comes again."""
    with opened() as kernel:
        done = resolve(kernel, fingerprint, by_command())
    click.echo(f"{fingerprint}: {'resolved' if done else 'is resolved already'}")


@errors.command("reopen")
@click.argument("fingerprint")
@with_reason
def reopen_(fingerprint: str) -> None:
    """Open an error again that was resolved too early."""
    with opened() as kernel:
        done = reopen(kernel, fingerprint, by_command())
    click.echo(f"{fingerprint}: {'open again' if done else 'is open already'}")
