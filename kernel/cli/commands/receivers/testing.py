"""`kernel receivers test`: one marked callback, and what happened to it, in sentences."""

import sys
from dataclasses import asdict
from typing import Any

import click

from kernel.callers.receivers import Receiver, find
from kernel.cli.acting import by_command, with_reason
from kernel.cli.commands.receivers.group import caller_option, owner_of, receivers
from kernel.cli.opening import opened
from kernel.cli.terminal.output import as_json, cell, print_json
from kernel.db.states import OrderState
from kernel.delivery.outgoing.telling import Line
from kernel.delivery.outgoing.trial import try_out
from kernel.formats.reference import WORDS, is_reference
from kernel.formats.shapes.shape import STATES
from kernel.transport.backoff import Delivered

_COLOURS = {True: "green", False: "red", None: None}


@receivers.command("test")
@click.argument("name")
@caller_option
@click.option("--reference", metavar="R", help="The reference of the callback: a ticket's number.")
@click.option("--state", type=click.Choice(STATES), default="success", show_default=True)
@click.option("--yes", is_flag=True, help="Send without a question.")
@with_reason
@as_json
def test_(
    name: str, caller: str | None, reference: str | None, state: str, yes: bool, machine: bool
) -> None:
    """Send one marked callback to a receiver, and say what happened.

    It goes the way of every callback, with the receiver's secrets and its shape, and says that it
    is a test. It is real: the ticket of the reference may get a note. No order and no delivery
    come of it here. Exit code 0 when it would count as delivered, 1 otherwise.
    """
    if reference is not None and not is_reference(reference):
        raise click.UsageError(f"a reference has {WORDS}")
    lines: list[Line] = []

    def told(line: Line) -> None:
        lines.append(line)
        if not machine:
            text = click.style(cell(line.text), fg=_COLOURS[line.is_good])
            click.echo(f"{click.style(line.step.ljust(9), bold=True)}  {text}")

    with opened() as kernel:
        with kernel.read_session() as session:
            owner = caller or owner_of(session, name)
            receiver = find(session, owner, name)
        _check(owner, receiver)
        if not yes:
            _ask(receiver, reference)
        with kernel.write() as connection:
            by_command().record(connection, "receiver.test", f"receiver {owner} {name}")
        finished = try_out(kernel, receiver, OrderState(state), reference, told)
    is_delivered = isinstance(finished.verdict, Delivered)
    if machine:
        steps = [asdict(line) for line in lines]
        who: dict[str, Any] = {"caller": owner, "name": name, "delivery_id": finished.due.id}
        ended = {"delivered": is_delivered, "reason": finished.reason, "status": finished.status}
        print_json(who | ended | {"steps": steps})
    sys.exit(0 if is_delivered else 1)


def _check(owner: str, receiver: Receiver) -> None:
    if not receiver.url:
        command = f"kernel receivers set {receiver.name} --caller {owner} --url URL"
        raise click.UsageError(f"{receiver.name} has no URL yet: {command}")


def _ask(receiver: Receiver, reference: str | None) -> None:
    """Ask whether to send. Raises Abort for any other answer than yes."""
    if receiver.is_draft and not receiver.credentials.is_empty:
        said = f"{receiver.name} is a draft: its secrets are not confirmed to be for"
        click.echo(f"{said} {receiver.origin}, and would go there.", err=True)
    whose = "" if reference is None else f" of {cell(reference)}"
    note = f"This sends a real callback to {receiver.url}: a note may be written into the ticket"
    click.confirm(f"{note}{whose}. Send it?", err=True, abort=True)
