"""`kernel orders cancel`, `rerun` and `erase`: what operators do with orders that there are."""

from dataclasses import replace

import click

from kernel.callers import identity
from kernel.callers.audit.acts import By
from kernel.cli.acting import by_command, with_reason
from kernel.cli.commands.orders.group import orders
from kernel.cli.opening import opened, say
from kernel.cli.terminal.output import as_json, print_json
from kernel.db.states import OrderState
from kernel.db.tables.callers import Caller
from kernel.orders.accept import checked_order
from kernel.orders.cancel import cancel
from kernel.orders.ends.outbox import ending
from kernel.orders.gates.shown import gate_shown
from kernel.orders.pages import get_order
from kernel.orders.secrets.arguments import as_submitted
from kernel.orders.secrets.erase import Whose, count_erasable, erase
from kernel.orders.submit import submit
from kernel.orders.transitions import RunEnd
from kernel.runs.recorded import (
    find_step,
    list_steps,
    members_of,
    run_live_again,
    taking_over,
)
from kernel.runtime.kernel import Kernel

__all__ = ["orders"]


@orders.command("cancel")
@click.argument("order_id")
@with_reason
@as_json
def cancel_order(order_id: str, machine: bool) -> None:
    """Cancel an order: a pending one at once, a running one at its next checkpoint."""
    with opened() as kernel:
        ends: list[RunEnd] = []
        state = cancel(kernel, None, order_id, by=by_command(), ends=ends)
        woken = [one for end in ends for one in end.woken]
        if state is OrderState.CANCELLED:
            outcome = ending(kernel, "cancelled")
            say(kernel, lambda broker: broker.finished(order_id, outcome))
        if woken:
            say(kernel, lambda broker: broker.hint(woken))
    if machine:
        print_json({"order_id": order_id, "state": state})
    elif state is OrderState.RUNNING:
        click.echo("running: its handler sees the request at its next checkpoint")
    else:
        click.echo(str(state))


@orders.command("rerun")
@click.argument("order_id")
@click.option("--from", "step", metavar="STEP", required=True, help="The step to begin with.")
@with_reason
@as_json
def rerun_order(order_id: str, step: str, machine: bool) -> None:
    """Run an order again from STEP: a new order if it has ended.

    What the steps before have recorded is kept; STEP and those after it are done again, with new
    idempotency keys. What they have done elsewhere stays. A new order has the same caller,
    arguments, callback address, reference, ordering key and priority.
    """
    by = by_command()
    with opened(handlers=True) as kernel:
        new_id = order_id
        if not run_live_again(kernel, order_id, step, by):
            new_id = _submit_from(kernel, order_id, step, by)
        say(kernel, lambda broker: broker.hint([new_id]))
    if machine:
        print_json({"order_id": new_id, "new": new_id != order_id})
    else:
        click.echo(f"due now: {new_id}" if new_id == order_id else f"submitted: {new_id}")


def _submit_from(kernel: Kernel, order_id: str, named: str, by: By) -> str:
    """Submit an order that has ended once more, with the steps before one of them."""
    with kernel.read_session() as session:
        order = get_order(session, None, order_id)
        steps, step = list_steps(session, order), find_step(session, order, named)
        caller = session.get_one(Caller, order.caller_id).name
        owner = identity.identity_of(session, caller)
        its = (as_submitted(kernel, order), gate_shown(session, order))
        members = members_of(order, *its, kernel.handlers.get(order.select_tag))
        along = taking_over(kernel, order, steps, step, by)
        reference, is_original = order.reference, order.is_original
    checked = checked_order(kernel, owner, members, reference)
    request = replace(checked, is_original=is_original)
    return submit(kernel, owner, request, along=along).order_id


@orders.command("erase")
@click.option("--caller", help="Orders of this caller.")
@click.option("--reference", help="Orders with this reference.")
@click.option("--order", "order_id", metavar="ID", help="This order.")
@click.option("--reason", required=True, help="Why, such as the number of a request.")
@click.option("--yes", is_flag=True, help="Erase without a question.")
@as_json
def erase_orders(
    caller: str | None, reference: str | None, order_id: str | None, reason: str, **given: bool
) -> None:
    """Erase what orders say of a person: arguments, results, messages, callbacks, answers.

    Ids, references, addresses, times, states and codes stay. Several options are an AND. Orders
    that have not ended, or that owe a callback, are left: run the command again later. It can be
    stopped at any time and run again.
    """
    if caller is None and reference is None and order_id is None:
        raise click.UsageError("say whose orders: --caller, --reference or --order")
    with opened() as kernel:
        owner = None
        if caller is not None:
            with kernel.read_session() as session:
                owner = identity.find(session, caller).id
        whose = Whose(caller_id=owner, caller=caller, reference=reference, order_id=order_id)
        ended, live = count_erasable(kernel, whose)
        click.echo(f"{ended} orders to erase, {live} live ones are left ({reason})", err=True)
        if ended and not given["yes"]:
            click.confirm("What they say cannot be brought back. Erase it?", err=True, abort=True)
        by = replace(by_command(), reason=reason)
        erased = sum(erase(kernel, whose, by)) if ended else 0
        kernel.dialect.forget_log(kernel.engine)
    if given["machine"]:
        print_json({"erased": erased, "live": live})
    else:
        click.echo(f"{erased} orders erased")
    if live:
        click.get_current_context().exit(1)
