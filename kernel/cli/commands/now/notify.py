"""`kernel notify`: who is told when something is wrong, and when it is over."""

import click

from kernel.cli.acting import by_command, with_reason
from kernel.cli.opening import opened
from kernel.cli.terminal.output import as_json, print_json, print_table
from kernel.insight.conditions.notices import rows, telling
from kernel.insight.conditions.rules import RULES

KEYS = click.Choice([one.key for one in RULES])


@click.group()
def notify() -> None:
    """Who is told when something is wrong, and when it is over.

    \b
    kernel notify add night --receiver chat
    kernel receivers add chat --caller kernel-notify --profile slack --url https://hooks.slack.com/services
    kernel notify test night
    """


@notify.command()
@click.argument("name")
@click.option("--receiver", required=True, metavar="NAME", help="Of the caller kernel-notify.")
@click.option(
    "--condition",
    "conditions",
    type=KEYS,
    multiple=True,
    metavar="KEY",
    help="Only this condition; may be repeated.  [default: all that are no notices]",
)
@click.option("--no-recovery", is_flag=True, help="Do not tell when it is over.")
@with_reason
def add(name: str, receiver: str, conditions: tuple[str, ...], no_recovery: bool) -> None:
    """Add a rule: conditions are told to a receiver of the caller kernel-notify.

    \b
    kernel notify add night --receiver chat
    kernel notify add dead --receiver chat --condition dead_callbacks
    """
    with opened() as kernel:
        by, recovers = by_command(), not no_recovery
        rows.add(kernel, name, receiver, conditions, recovers=recovers, by=by)
        with kernel.read_session() as session:
            is_there = rows.find(session, name).origin is not None
    click.echo(f"{name}: added")
    if not is_there:
        click.echo(
            f"there is no receiver {receiver} yet: kernel receivers add {receiver} --caller "
            f"{rows.CALLER} --url URL, with --profile slack, teams or none for a plain webhook"
        )


@notify.command("list")
@as_json
def list_(machine: bool) -> None:
    """List the rules, and whether their receivers are there.

    \b
    kernel notify list --json
    """
    with opened() as kernel, kernel.read_session() as session:
        found = [rows.notice_data(one) for one in rows.list_notices(session)]
    if machine:
        print_json({"rules": found})
        return
    print_table([one | {"origin": one["origin"] or "missing"} for one in found], "no rules")


@notify.command()
@click.argument("name")
@with_reason
def remove(name: str) -> None:
    """Remove a rule; what was sent stays.

    \b
    kernel notify remove night
    """
    with opened() as kernel:
        rows.remove(kernel, name, by_command())
    click.echo(f"{name}: removed")


@notify.command()
@click.argument("name")
@with_reason
@as_json
def test(name: str, machine: bool) -> None:
    """Send one notification by a rule; see how it went with kernel orders watch.

    \b
    kernel notify test night
    """
    with opened() as kernel:
        order_id = telling.send_test(kernel, name, by_command())
    if machine:
        print_json({"order_id": order_id})
    else:
        click.echo(f"{name}: order {order_id}; its callback goes out within a second")
