"""`kernel bulk`: many orders or callbacks are run again, cancelled, sent again or dropped."""

from collections.abc import Mapping
from typing import Any

import click

from kernel.bulk.choosing import count
from kernel.bulk.jobs import abort, begin, find, job_data, left_of, list_jobs, reasons_of
from kernel.bulk.kinds import MOST_RATE, JobState, Kind, Plan
from kernel.bulk.progress import TOLD, new_token
from kernel.bulk.steps import Stepped, Worker, step
from kernel.cli.acting import by_command, with_reason
from kernel.cli.filter_options import (
    callback_filter,
    order_filter,
    with_callback_filter,
    with_order_filter,
)
from kernel.cli.opening import opened, say
from kernel.cli.terminal.output import (
    as_json,
    cell,
    going_on,
    print_fields,
    print_json,
    print_table,
)
from kernel.filters.counts import Counts
from kernel.filters.fields import caller_names
from kernel.orders.backpressure import Pressure
from kernel.runtime.kernel import Kernel
from kernel.worker.broker import Broker
from kernel.worker.services.bulk import tell

# From one look at a job to the next while another process has it, or it rests.
LOOK_SECONDS = 0.2
# Groups of a kind that are told one by one.
GROUPS = 5
GROUPED = ("error", "tag", "caller", "receiver")
VERBS = {
    Kind.RERUN: "run again",
    Kind.CANCEL: "cancelled",
    Kind.REDELIVER: "sent again",
    Kind.DROP: "dropped",
}


def with_act(command: Any) -> Any:
    """Give a command the options of every bulk act."""
    for option in (
        click.option(
            "--rate", type=click.IntRange(1, MOST_RATE), metavar="N", help="At most N a minute."
        ),
        click.option("--dry-run", is_flag=True, help="Count, and change nothing."),
        click.option("--yes", is_flag=True, help="Begin without a question."),
        click.option("--detach", is_flag=True, help="Leave it to the workers; do not wait."),
        with_reason,
        as_json,
    ):
        command = option(command)
    return command


@click.group()
def bulk() -> None:
    """Bulk acts: many orders or callbacks at once, as jobs that survive this command.

    \b
    kernel bulk rerun --error timed_out --since 14:00 --reason INC7
    kernel bulk redeliver --receiver desk --since 2h --rate 600
    kernel bulk cancel --tag import_projects --dry-run
    """


@bulk.command("rerun")
@with_order_filter
@click.option("--again", is_flag=True, help="Also those that were run again already.")
@with_act
def rerun(again: bool, machine: bool, **given: Any) -> None:
    """Run orders again that have ended: failed ones, unless --state or --error says otherwise.

    Each becomes a new order with the same arguments, caller, callback address and reference. An
    order that was run again already is left alone without --again.
    """
    with opened(handlers=True) as kernel:
        plan = Plan(Kind.RERUN, order_filter(kernel, given), again=again, rate=given["rate"])
        act(kernel, plan, given | {"machine": machine})


@bulk.command("cancel")
@with_order_filter
@with_act
def cancel(machine: bool, **given: Any) -> None:
    """Cancel orders that have not ended: running ones at their next checkpoint."""
    with opened() as kernel:
        plan = Plan(Kind.CANCEL, order_filter(kernel, given), rate=given["rate"])
        act(kernel, plan, given | {"machine": machine})


@bulk.command("redeliver")
@with_callback_filter
@click.option(
    "--with-current-shape", "reshaped", is_flag=True, help="As the receivers' shapes are now."
)
@with_act
def redeliver(reshaped: bool, machine: bool, **given: Any) -> None:
    """Send callbacks again: dead ones, unless --state says delivered.

    Same ids and bytes, a fresh schedule.
    """
    with opened() as kernel:
        wanted = callback_filter(kernel, given)
        plan = Plan(Kind.REDELIVER, wanted, reshaped=reshaped, rate=given["rate"])
        act(kernel, plan, given | {"machine": machine})


@bulk.command("drop")
@with_callback_filter
@with_act
def drop(machine: bool, **given: Any) -> None:
    """Drop callbacks: pending and held ones are never sent, dead ones need no hand any more.

    They are dead, by the reason `dropped`, until they are sent again by hand.
    """
    with opened() as kernel:
        plan = Plan(Kind.DROP, callback_filter(kernel, given), rate=given["rate"])
        act(kernel, plan, given | {"machine": machine})


@bulk.command("list")
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True)
@as_json
def list_(limit: int, machine: bool) -> None:
    """List bulk acts, the newest first."""
    with opened() as kernel, kernel.read_session() as session:
        found = [job_data(row) for row in list_jobs(session, limit=limit)]
    if machine:
        print_json({"bulk": found})
        return
    names = ("bulk_id", "kind", "state", "counted", "done", "left", "by", "created_at")
    print_table([{name: one[name] for name in names} for one in found], "no bulk acts")


@bulk.command("show")
@click.argument("bulk_id")
@as_json
def show(bulk_id: str, machine: bool) -> None:
    """Show a bulk act: how far it is, and what it has left as it was."""
    with opened() as kernel, kernel.read_session() as session:
        row = find(session, bulk_id)
        data = job_data(row) | {"left_because": reasons_of(session, bulk_id)}
        left = [
            {"id": one.item_id, "code": one.code, "said": one.said}
            for one in left_of(session, bulk_id, limit=TOLD)
        ]
    if machine:
        print_json(data | {"left_items": left})
        return
    print_fields(data)
    if left:
        click.echo()
        print_table(left, "")


@bulk.command("abort")
@click.argument("bulk_id")
@with_reason
@as_json
def abort_act(bulk_id: str, machine: bool) -> None:
    """End a bulk act where it is; what is done stays done."""
    with opened() as kernel:
        ended = abort(kernel, bulk_id, by_command())
    if machine:
        print_json({"bulk_id": bulk_id, "aborted": ended})
    else:
        click.echo("aborted" if ended else "nothing changed: it had ended")


@bulk.command("run")
@click.argument("bulk_id")
@as_json
def run(bulk_id: str, machine: bool) -> None:
    """Do a bulk act in this process until it ends, beside the workers that do it anyway."""
    with opened(handlers=True) as kernel:
        with kernel.read_session() as session:
            find(session, bulk_id)
        follow(kernel, bulk_id, quiet=machine)
        _say_end(kernel, bulk_id, machine)


def act(kernel: Kernel, plan: Plan, given: Mapping[str, Any]) -> None:
    """Count, ask, begin and follow a bulk act, as its options say; print what it has done."""
    plan.check()
    machine = given["machine"]
    with kernel.read_session() as session:
        counts = count(session, plan)
        names = caller_names(session)
    if given["dry_run"]:
        _say_counts(plan, counts, names, machine=machine)
        return
    if machine and not given["yes"]:
        raise click.UsageError("with --json say --yes, or --dry-run")
    if not machine:
        _say_counts(plan, counts, names, machine=False)
    if not counts.total and counts.complete:
        if machine:
            print_json({**counts.data(names), "bulk_id": None})
        return
    if not given["yes"]:
        click.confirm(f"Are these to be {VERBS[plan.kind]}?", err=True, abort=True)
    job_id = begin(kernel, plan, counts, by_command())
    if not given["detach"]:
        follow(kernel, job_id, quiet=machine)
    _say_end(kernel, job_id, machine)


def _say_counts(plan: Plan, counts: Counts, names: Mapping[int, str], *, machine: bool) -> None:
    told = counts.data(names)
    if machine:
        print_json(told)
        return
    states = ", ".join(plan.states())
    least = "" if counts.complete else "at least "
    noun = plan.noun.removesuffix("s") if told["total"] == 1 and not least else plan.noun
    click.echo(f"{least}{counts.total:,} {noun} ({states}) would be {VERBS[plan.kind]}")
    for name in GROUPED:
        groups = told[f"by_{name}"]
        first = [f"{cell(one['value'])} {one['count']:,}" for one in groups[:GROUPS]]
        more = [f"{len(groups) - GROUPS:,} more"] if len(groups) > GROUPS else []
        if first:
            click.echo(f"  by {name}: {', '.join(first + more)}")


def follow(kernel: Kernel, job_id: str, *, quiet: bool) -> None:
    """Do steps of a job in this process, as workers do as well, until it has ended.

    Raises the error of a database that is away: the job goes on in the workers.
    """
    worker = Worker(kernel, new_token(kernel), Pressure(kernel))
    with kernel.read_session() as session:
        row = find(session, job_id)
    shown = click.progressbar(
        length=row.counted or 1, label=f"bulk act {job_id}", hidden=quiet, show_eta=False
    )
    goes_on = f"bulk act {job_id} goes on in the workers; to end it: kernel bulk abort {job_id}"
    with going_on(goes_on) as pause, shown as bar:
        while row.state == JobState.RUNNING:
            stepped = step(worker, job_id)
            if stepped is not None:
                _tell(kernel, stepped)
            with kernel.read_session() as session:
                row = find(session, job_id)
            bar.update(row.done + row.left_out - bar.pos)
            # Another process has it, or its rate lets it rest: nothing tells when it goes on.
            pause(LOOK_SECONDS if stepped is None and row.state == JobState.RUNNING else 0.0)


def _tell(kernel: Kernel, stepped: Stepped) -> None:
    if stepped.ends or stepped.hints:

        def message(broker: Broker) -> None:
            tell(broker, lambda: None, stepped)

        say(kernel, message)
    if stepped.error is not None:
        raise stepped.error


def _say_end(kernel: Kernel, job_id: str, machine: bool) -> None:
    """Print what became of a job; the exit code is 1 when it was aborted."""
    with kernel.read_session() as session:
        row = find(session, job_id)
    _print_end(row, machine)
    if row.state == JobState.ABORTED:
        click.get_current_context().exit(1)


def _print_end(row: Any, machine: bool) -> None:
    job_id = row.id
    if machine:
        again = {"replayed": row.done} if row.kind == Kind.REDELIVER else {}
        print_json({**again, **job_data(row)})
        return
    done = VERBS[Kind(row.kind)]
    if row.state == JobState.RUNNING:
        click.echo(f"bulk act {job_id} is under way in the workers: kernel bulk show {job_id}")
    else:
        click.echo(f"bulk act {job_id} {row.state}: {row.done:,} {done}, {row.left_out:,} left")
    if row.left_out:
        click.echo(f"kernel bulk show {job_id} says why", err=True)
