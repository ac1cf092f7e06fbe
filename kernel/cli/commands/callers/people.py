"""`kernel people`: the named people who look after the installation, and their sessions."""

from typing import Any

import click
from pydantic import SecretStr
from sqlalchemy import select

from kernel.callers.people import people as known
from kernel.callers.people.roles import Role
from kernel.callers.people.sessions import ListedSession, end_session, list_sessions
from kernel.cli.acting import by_command, with_reason
from kernel.cli.numbers import ROW_ID
from kernel.cli.opening import opened
from kernel.cli.terminal.output import as_json, print_fields, print_json, print_table
from kernel.db.tables.people import Person
from kernel.formats.envelope import rfc3339
from kernel.views.http.sessions import lifetimes

ROLE = click.Choice([role.value for role in Role])


@click.group()
def people() -> None:
    """People, their roles, keys and sessions on the dashboard."""


@people.command()
@click.argument("name")
@click.option("--role", type=ROLE, required=True, help="What the person may do.")
@with_reason
@as_json
def add(name: str, role: str, machine: bool) -> None:
    """Add a person; print their API key, with which they sign in, this once.

    A viewer sees everything, an operator also acts on orders, callbacks and pauses, an admin also
    changes callers, keys, receivers and people.
    """
    with opened() as kernel, kernel.write_session() as session:
        key = known.add_person(session, name, Role(role), kernel.clock.now(), by_command())
    _print_once({"name": name, "role": role}, key, machine)


@people.command("list")
@as_json
def list_people(machine: bool) -> None:
    """List the people."""
    with opened() as kernel, kernel.read_session() as session:
        found = [_describe(one) for one in session.scalars(select(Person).order_by(Person.name))]
    if machine:
        print_json(found)
    else:
        print_table(found, "no people")


@people.command("set")
@click.argument("name")
@click.option("--role", type=ROLE, help="What the person may do, from their next request on.")
@click.option(
    "--disable/--enable", "disabled", default=None, help="Keep the person out, or let them in."
)
@click.option("--new-key", is_flag=True, help="Print a new key; the old ones stop working.")
@with_reason
@as_json
def set_person(
    name: str, role: str | None, disabled: bool | None, new_key: bool, machine: bool
) -> None:
    """Change a person: role, key, whether they may sign in.

    --disable and --new-key end the person's sessions and old keys at once.
    """
    key, by = None, by_command()
    with opened() as kernel, kernel.write_session() as session:
        person, now = known.find_person(session, name), kernel.clock.now()
        if role is not None:
            known.set_role(session, person, Role(role), by)
        if disabled:
            known.disable(session, person, now, by)
        elif disabled is not None:
            known.enable(session, person, by)
        if new_key:
            key = known.replace_keys(session, person, now, by)
        session.flush()
        shown = _describe(person)
    _print_once(shown, key, machine)


@people.command()
@click.argument("name")
@with_reason
@as_json
def remove(name: str, machine: bool) -> None:
    """Remove a person; their keys and sessions end at once."""
    with opened() as kernel, kernel.write_session() as session:
        known.remove(session, known.find_person(session, name), by_command())
    if machine:
        print_json({"name": name, "removed": True})
    else:
        click.echo(f"{name}: removed; keys and sessions ended")


@people.command()
@click.option("--end", "ended", type=ROW_ID, metavar="ID", help="End this session.")
@with_reason
@as_json
def sessions(ended: int | None, machine: bool) -> None:
    """List the sessions on the dashboard, or end one of them at once."""
    with opened() as kernel:
        if ended is not None:
            with kernel.write_session() as session:
                end_session(session, ended, by_command())
            print_json({"id": ended, "ended": True}) if machine else click.echo(f"{ended}: ended")
            return
        with kernel.read_session() as session:
            listed = list_sessions(session, kernel.clock.now(), lifetimes(kernel))
    found = [_describe_session(one) for one in listed]
    if machine:
        print_json(found)
    else:
        print_table(found, "no sessions")


def _describe(person: Person) -> dict[str, Any]:
    return {
        "name": person.name,
        "role": str(person.role),
        "disabled": person.disabled_at is not None,
        "issuer": person.issuer,
        "created_at": rfc3339(person.created_at),
    }


def _describe_session(one: ListedSession) -> dict[str, Any]:
    return {
        "id": one.id,
        "name": one.name,
        "role": str(one.role),
        "key": one.key_prefix,
        "address": one.address,
        "agent": one.agent,
        "created_at": rfc3339(one.created_at),
        "seen_at": rfc3339(one.seen_at),
    }


def _print_once(shown: dict[str, Any], key: SecretStr | None, machine: bool) -> None:
    """Print a person after the commit, with a new key if there is one."""
    if key is not None:
        shown = {**shown, "api_key": key.get_secret_value()}
    if machine:
        print_json(shown)
    else:
        print_fields(shown)
        if key is not None:
            click.echo("Keep this now: it is not shown again.", err=True)
