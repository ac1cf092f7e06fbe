"""`kernel callers`: the ticketing systems that may submit orders, their keys and secrets."""

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import click
from sqlalchemy import func, select

from kernel.callers import keys
from kernel.callers.callback_rules import CallerRules
from kernel.callers.identity import key_in_force
from kernel.cli.acting import by_command, with_reason
from kernel.cli.commands.callers.key_options import key_terms, terms_given
from kernel.cli.numbers import OVERLAP_HOURS
from kernel.cli.opening import opened
from kernel.cli.terminal.output import as_json, print_fields, print_json, print_table
from kernel.db.tables.callers import ApiKey, Caller
from kernel.formats.envelope import rfc3339


@click.group()
def callers() -> None:
    """Ticketing systems, their API keys and signing secrets."""


@callers.command()
@click.argument("name")
@click.option(
    "--callback-net",
    "nets",
    multiple=True,
    metavar="CIDR",
    help="Allow its callbacks to this network as well.  [repeatable]",
)
@click.option(
    "--callback-host",
    "hosts",
    multiple=True,
    metavar="HOST[:PORT]",
    help="Allow its callbacks to this host as well.  [repeatable]",
)
@click.option("--listed/--open", default=False, help="Send to its receivers alone, or anywhere.")
@key_terms
@with_reason
@as_json
def add(
    name: str,
    nets: Sequence[str],
    hosts: Sequence[str],
    listed: bool,
    machine: bool,
    **given: Any,
) -> None:
    """Add a caller; print its API key and signing secret, this once."""
    with opened() as kernel, kernel.write_session() as session:
        now = kernel.clock.now()
        terms = terms_given(given, kernel.settings, now)
        try:
            rules = CallerRules(nets=nets, hosts=hosts, listed=listed)
            made = keys.add(session, name, now, rules, terms, by_command())
        except ValueError as error:
            raise click.UsageError(str(error)) from None
    print_once(made, machine)


@callers.command("list")
@as_json
def list_callers(machine: bool) -> None:
    """List the callers."""
    with opened() as kernel, kernel.read_session() as session:
        keys = (
            select(ApiKey.caller_id, func.count().label("in_force"))
            .where(*key_in_force(kernel.clock.now()), ApiKey.person_id.is_(None))
            .group_by(ApiKey.caller_id)
            .subquery()
        )
        rows = session.execute(
            select(Caller, func.coalesce(keys.c.in_force, 0))
            .outerjoin(keys, keys.c.caller_id == Caller.id)
            .order_by(Caller.name)
        )
        found = [_describe(row[0], row[1]) for row in rows]
    if machine:
        print_json(found)
    else:
        print_table(found, "no callers")


def _describe(caller: Caller, keys: int) -> dict[str, Any]:
    return {
        "name": caller.name,
        "keys": keys,
        "callback_nets": json.loads(caller.allow_nets),
        "callback_hosts": json.loads(caller.allow_hosts),
        "listed": caller.is_listed,
        "schedule": caller.schedule and json.loads(caller.schedule),
        "max_running": caller.max_running,
        "created_at": rfc3339(caller.created_at),
    }


@callers.command("rotate-secret")
@click.argument("name")
@click.option(
    "--overlap-hours",
    type=OVERLAP_HOURS,
    default=keys.OVERLAP.total_seconds() / 3600,
    show_default=True,
    help="How long the old secret signs as well.",
)
@with_reason
@as_json
def rotate_secret(name: str, overlap_hours: float, machine: bool) -> None:
    """Give a caller a new signing secret; the old one signs as well for --overlap-hours."""
    with opened() as kernel, kernel.write_session() as session:
        overlap = timedelta(hours=overlap_hours)
        now, by = kernel.clock.now(), by_command()
        made = keys.rotate_secret(session, name, now, overlap, by)
    print_once(made, machine)


@callers.command()
@click.argument("name")
@with_reason
@as_json
def revoke(name: str, machine: bool) -> None:
    """Revoke a caller's API keys at once; its orders and callbacks go on."""
    with opened() as kernel, kernel.write_session() as session:
        count = keys.revoke(session, name, kernel.clock.now(), by_command())
    if machine:
        print_json({"name": name, "revoked": count})
    else:
        click.echo(f"{name}: {count} {'key' if count == 1 else 'keys'} revoked")


def print_once(made: keys.Credentials, machine: bool) -> None:
    """Print credentials after their commit; no command prints them again."""
    shown: dict[str, str] = {"name": made.name}
    if made.api_key is not None:
        shown["api_key"] = made.api_key.get_secret_value()
    if made.signing_secret is not None:
        shown["signing_secret"] = made.signing_secret.get_secret_value()
    if made.api_key is not None:
        shown["expires_at"] = rfc3339(made.expires_at) or "never"
    if machine:
        print_json(shown)
    else:
        print_fields(shown)
        click.echo("Keep this now: it is not shown again.", err=True)
