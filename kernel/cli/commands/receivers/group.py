"""`kernel receivers add | set | list | show | remove | adopt`; `testing` adds `test`."""

from collections.abc import Sequence
from typing import Any

import click
from sqlalchemy import select
from sqlalchemy.orm import Session

from kernel.callers import receiver_changes
from kernel.callers.receivers import Receiver, find, list_receivers, receiver_data
from kernel.cli.acting import by_command, with_reason
from kernel.cli.commands.receivers.options import patch_of, with_options
from kernel.cli.opening import opened
from kernel.cli.terminal.output import as_json, print_fields, print_json, print_table
from kernel.config.near import did_you_mean
from kernel.db.tables.callers import ANONYMOUS, Caller
from kernel.errors import NotFound
from kernel.formats.durations import all_in_words, in_words
from kernel.pauses.adoption import adopt as adopt_drafts
from kernel.pauses.adoption import ground_of, settle

caller_option = click.option("--caller", metavar="CALLER", help="Whose receiver it is.")


@click.group()
def receivers() -> None:
    """Where callers' callbacks go, with the secrets for them."""


@receivers.command()
@click.argument("name")
@caller_option
@click.option("--url", required=True, help="Where it is: its callbacks' URLs begin with this.")
@with_reason
@with_options
def add(name: str, caller: str | None, url: str, **given: Any) -> None:
    """Add a receiver. Secrets are asked for, or read from lines of standard input."""
    try:
        patch = patch_of(url, given)
        with opened() as kernel, kernel.write_session() as session:
            owner = caller or _only_caller(session)
            receiver_changes.add(session, owner, name, patch, ground_of(kernel), by_command())
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    click.echo(f"{owner} {name}: added; orders may name it as receiver:{name}")


@receivers.command("set")
@click.argument("name")
@caller_option
@click.option("--url", help="Another path; the origin stays.")
@with_reason
@with_options
def set_(name: str, caller: str | None, url: str | None, **given: Any) -> None:
    """Change a receiver; what has no option stays. A new login takes the old one's place."""
    try:
        patch = patch_of(url, given)
        with opened() as kernel, kernel.write_session() as session:
            owner = caller or owner_of(session, name)
            receiver_changes.change(session, owner, name, patch, ground_of(kernel), by_command())
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    click.echo(f"{owner} {name}: changed; callbacks follow within a second")


@receivers.command("list")
@caller_option
@as_json
def list_(caller: str | None, machine: bool) -> None:
    """List the receivers. A draft gets nothing until it is adopted."""
    with opened() as kernel, kernel.read_session() as session:
        found = [receiver_data(owner, one) for owner, one in list_receivers(session, caller)]
    if machine:
        print_json(found)
    else:
        shown = ("caller", "name", "url", "draft")
        rows = [{name: one[name] for name in shown} | _short(one) for one in found]
        print_table(rows, "no receivers")


@receivers.command()
@click.argument("name")
@caller_option
@as_json
def show(name: str, caller: str | None, machine: bool) -> None:
    """Show a receiver: kinds and names of its credentials, never their values."""
    with opened() as kernel, kernel.read_session() as session:
        owner = caller or owner_of(session, name)
        found = find(session, owner, name)
    if machine:
        print_json(receiver_data(owner, found))
    else:
        data = receiver_data(owner, found)
        del data["terms"]
        print_fields(data | _short(data) | _terms_in_words(found))


@receivers.command()
@click.argument("name")
@caller_option
@with_reason
def remove(name: str, caller: str | None) -> None:
    """Remove a receiver, or discard a draft, with its secrets."""
    by = by_command()
    with opened() as kernel:
        with kernel.write_session() as session:
            owner = caller or owner_of(session, name)
            receiver_changes.remove(session, owner, name, kernel.clock.now(), by)
        released = settle(kernel, owner, by)
    click.echo(f"{owner} {name}: removed" + (f"; {released} callbacks due" if released else ""))


@receivers.command()
@click.argument("caller")
@click.argument("names", nargs=-1)
@with_reason
@as_json
def adopt(caller: str, names: Sequence[str], machine: bool) -> None:
    """Confirm the drafts of a caller, or those named; after the last one its callbacks go on."""
    try:
        with opened() as kernel:
            done = adopt_drafts(kernel, caller, names, by_command())
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    confirmed = [one.name for one in done.confirmed]
    if machine:
        found = {"confirmed": confirmed, "left": list(done.left), "released": done.released}
        print_json(found)
        return
    left = f"; still drafts: {', '.join(done.left)}" if done.left else ""
    click.echo(f"{caller}: {len(confirmed)} confirmed, {done.released} callbacks due{left}")


def _only_caller(session: Session) -> str:
    names = session.scalars(select(Caller.name).where(Caller.name != ANONYMOUS)).all()
    if len(names) != 1:
        raise click.UsageError("say whose receiver it is, with --caller")
    return names[0]


def owner_of(session: Session, name: str) -> str:
    """Return the caller with a receiver of that name: NotFound for none, UsageError for more."""
    known = list_receivers(session)
    owners = [caller for caller, one in known if one.name == name]
    if not owners:
        meant = did_you_mean(name, [one.name for _, one in known])
        raise NotFound(f"there is no receiver named {name}{meant}")
    if len(owners) > 1:
        raise click.UsageError(f"{', '.join(owners)} have a receiver {name}: say --caller")
    return owners[0]


def _short(data: dict[str, Any]) -> dict[str, Any]:
    """Return the credentials in a cell: kinds, and the names of headers and secrets."""
    words = []
    for kind, told in data["credentials"].items():
        words.append(kind if told is True else f"{kind}: {', '.join(told)}")
    return {"credentials": "; ".join(words) or None}


def _terms_in_words(found: Receiver) -> dict[str, Any]:
    terms = found.terms
    return {
        "schedule": terms.schedule and all_in_words(terms.schedule),
        "give_up": terms.give_up and in_words(terms.give_up),
        "timeout": terms.timeout and in_words(terms.timeout),
        "concurrency": terms.concurrency,
        "rate": terms.rate,
        "clear_text": terms.clear_text,
        "variables": ", ".join(f"{one}={value}" for one, value in terms.variables.items()),
    }
