"""`kernel audit list | verify | export`: who changed what, and whether it was altered since."""

import sys
from datetime import datetime
from typing import Any

import click

from kernel.callers.audit import seals, search
from kernel.callers.audit.search import ActFilter
from kernel.cli.filter_options import here
from kernel.cli.numbers import ROW_ID
from kernel.cli.opening import opened
from kernel.cli.terminal.output import (
    as_json,
    json_text,
    print_fields,
    print_json,
    print_table,
)
from kernel.filters.moments import WORDS, moment
from kernel.formats.envelope import rfc3339

_FILTERS = (
    click.option("--actor", metavar="NAME", help="Only what this caller, person or account did."),
    click.option("--verb", metavar="NOUN[.VERB]", help="Only acts such as key, or key.revoke."),
    click.option(
        "--target", metavar="TEXT", help="Only what was done to this: 'caller zammad', or an id."
    ),
    click.option("--since", metavar="TIME", help="Only acts from this time on: 14:00, 2h (ago)."),
    click.option("--until", metavar="TIME", help="Only acts before this time."),
)


def _with_filters(command: Any) -> Any:
    for option in reversed(_FILTERS):
        command = option(command)
    return command


def _filter(given: dict[str, Any]) -> ActFilter:
    """Read the options, times as everywhere. Raises click.UsageError."""
    since = _moment("since", given["since"])
    return ActFilter(**given | {"since": since, "until": _moment("until", given["until"], since)})


def _moment(name: str, given: str | None, after: datetime | None = None) -> datetime | None:
    try:
        return None if given is None else moment(given, here(), after)
    except ValueError:
        raise click.UsageError(f"--{name}: {given!r} is no time: write {WORDS}") from None


@click.group()
def audit() -> None:
    """Who changed what, from where and why."""


@audit.command("list")
@_with_filters
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@click.option("--before", type=ROW_ID, metavar="ID", help="Only acts below this id: the next page.")
@click.option("--refused", is_flag=True, help="Count refused keys instead, by network and minute.")
@as_json
def list_(limit: int, before: int | None, refused: bool, machine: bool, **given: Any) -> None:
    """List acts, the newest first."""
    wanted = _filter(given)
    with opened() as kernel, kernel.read() as connection:
        if refused:
            found = search.refused(connection, limit)
        else:
            found = search.find(connection, wanted, before, limit)
    found = [_shown(one) for one in found]
    if machine:
        print_json({"refused" if refused else "acts": found})
    elif refused:
        print_table(found, "no key was refused")
    else:
        print_table([_row(one) for one in found], "no acts")


def _shown(one: dict[str, Any]) -> dict[str, Any]:
    name = "minute" if "minute" in one else "at"
    return {**one, name: rfc3339(one[name])}


def _row(act: dict[str, Any]) -> dict[str, Any]:
    shown = ("id", "at", "actor", "via", "address", "verb", "target", "reason")
    return {name: act[name] for name in shown}


@audit.command()
@click.option(
    "--expect",
    metavar="SEAL:HASH",
    help="A seal that was noted elsewhere: it must be there, with this hash.",
)
@as_json
def verify(expect: str | None, machine: bool) -> None:
    """Say whether acts or seals were altered, deleted or inserted. Exit code 1 when they were.

    Keep the newest seal that this prints, or the workers' log lines "acts sealed", where the
    database's administrators cannot write: with --expect, removing the newest acts shows too.
    """
    with opened() as kernel, kernel.read() as connection:
        found = seals.verify(connection, kernel.clock)
        if expect is not None:
            found.problems += _missed(expect, seals.hash_of(connection, _number(expect)))
    told = {"seals": found.seals, "sealed": found.sealed, "waiting": found.waiting}
    if machine:
        print_json({**told, "newest_seal": found.head, "problems": found.problems})
    else:
        print_fields({**told, "newest_seal": found.head})
        for one in found.problems:
            click.secho(one, fg="red", err=True)
    if found.problems:
        sys.exit(1)


def _number(expect: str) -> int:
    number, colon, _ = expect.partition(":")
    if not (colon and number.isascii() and number.isdigit() and len(number) < 10):
        raise click.UsageError("write a seal as verify prints it, ID:HASH")
    return int(number)


def _missed(expect: str, found: str | None) -> list[str]:
    number, _, wanted = expect.partition(":")
    return [] if found == wanted else [f"seal {number} is not the one that was noted"]


@audit.command()
@_with_filters
def export(**given: Any) -> None:
    """Print acts as JSON, one in a line, the oldest first."""
    wanted = _filter(given)
    with opened() as kernel, kernel.read() as connection:
        for one in search.stream(connection, wanted):
            click.echo(json_text(_shown(one)))
