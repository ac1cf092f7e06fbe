"""`kernel callers keys | add-key | rotate-key | revoke-key`: a caller's API keys, one by one."""

import shlex
from datetime import timedelta
from typing import Any

import click
from sqlalchemy import select

from kernel.callers import identity, keys
from kernel.callers.key_terms import terms_of
from kernel.callers.people.people import holder_of
from kernel.cli.acting import by_command, with_reason
from kernel.cli.commands.callers.callback_rules import callers
from kernel.cli.commands.callers.key_options import ending, key_ends, key_terms, terms_given
from kernel.cli.commands.callers.keys import print_once
from kernel.cli.numbers import OVERLAP_HOURS
from kernel.cli.opening import opened
from kernel.cli.terminal.output import as_json, print_json, print_table
from kernel.db.tables.callers import ApiKey, Caller
from kernel.db.tables.people import Person
from kernel.errors import Conflict, NotFound
from kernel.formats.envelope import rfc3339


@callers.command("keys")
@click.argument("name", required=False)
@click.option("--all", "every", is_flag=True, help="Also those that work no more.")
@as_json
def list_keys(name: str | None, every: bool, machine: bool) -> None:
    """List API keys by their first characters: what they may do, from where, and until when.

    Those of people do what the person's role allows.
    """
    with opened() as kernel, kernel.read_session() as session:
        query = select(ApiKey, Caller.name, Person.name)
        query = query.join(Caller, Caller.id == ApiKey.caller_id)
        query = query.outerjoin(Person, Person.id == ApiKey.person_id)
        if name is not None:
            query = query.where(Caller.id == identity.find(session, name).id)
        if not every:
            query = query.where(*identity.key_in_force(kernel.clock.now()))
        rows = session.execute(query.order_by(Caller.name, ApiKey.id)).all()
        found = [_describe(*row) for row in rows]
    if machine:
        print_json(found)
    else:
        print_table(found, "no keys")


def _describe(key: ApiKey, owner: str, person: str | None) -> dict[str, Any]:
    return {
        "key": key.prefix,
        "caller": None if person is not None else owner,
        "person": person,
        "scopes": key.scopes.split(),
        "tags": key.tags and key.tags.split(),
        "networks": key.networks and key.networks.split(),
        "created_at": rfc3339(key.created_at),
        "expires_at": rfc3339(key.expires_at),
        "used_at": rfc3339(key.used_at),
        "revoked_at": rfc3339(key.revoked_at),
    }


@callers.command("add-key")
@click.argument("name")
@key_terms
@with_reason
@as_json
def add_key(name: str, machine: bool, **given: Any) -> None:
    """Give a caller one more API key; print it, this once. Its other keys stay valid."""
    with opened() as kernel, kernel.write_session() as session:
        now = kernel.clock.now()
        terms = terms_given(given, kernel.settings, now)
        made = keys.add_key(session, name, now, terms, by_command())
    print_once(made, machine)


@callers.command("rotate-key")
@click.argument("name")
@click.option(
    "--key",
    "prefix",
    metavar="PREFIX",
    help="Replace the key that begins like this.  [default: all its keys, by one]",
)
@click.option(
    "--overlap-hours",
    type=OVERLAP_HOURS,
    default=0.0,
    show_default=True,
    help="How long the old key works as well.",
)
@key_ends
@with_reason
@as_json
def rotate_key(
    name: str, prefix: str | None, overlap_hours: float, machine: bool, **given: Any
) -> None:
    """Give a caller a new API key for its old one, which stops working after --overlap-hours.

    The new key may do what the old one may, from where it may, and lasts as long as that was made
    for; KERNEL_KEY_DAYS where that had no end.
    """
    with opened() as kernel, kernel.write_session() as session:
        now, days = kernel.clock.now(), kernel.settings.key_days
        overlap = timedelta(hours=overlap_hours)
        if prefix is None:
            terms = ending(keys.common_terms(session, name, now, days), given, now)
            made = keys.rotate_key(session, name, now, terms, overlap, by_command())
        else:
            old = keys.find_key(session, prefix, now, name)
            terms = ending(terms_of(session, old, now, days), given, now)
            made = keys.replace_key(session, old, now, terms, overlap, by_command())
    print_once(made, machine)


@callers.command("revoke-key")
@click.argument("prefix")
@with_reason
@as_json
def revoke_key(prefix: str, machine: bool) -> None:
    """Revoke the one API key that begins with PREFIX, at once; nothing else changes."""
    with opened() as kernel, kernel.write_session() as session:
        now = kernel.clock.now()
        try:
            key = keys.find_key(session, prefix, now)
        except NotFound:
            if (person := holder_of(session, prefix)) is None:
                raise
            named = shlex.quote(person.name)
            raise Conflict(
                f"this is a key of the person {person.name}: `kernel people set {named} --new-key` "
                "replaces it, --disable keeps the person out"
            ) from None
        keys.revoke_key(session, key.id, now, by_command())
        owner, shown = session.get_one(Caller, key.caller_id).name, key.prefix
    if machine:
        print_json({"name": owner, "key": shown, "revoked": 1})
    else:
        click.echo(f"{owner}: the key {shown} is revoked")
