"""`kernel workers`: what each process runs; hosts are drained, processes terminated."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import click

from kernel.cli.acting import by_command, with_reason
from kernel.cli.opening import opened
from kernel.cli.terminal.output import as_json, print_json, print_table, utc
from kernel.errors import NotFound
from kernel.insight.trends.series import Trends
from kernel.insight.workers import asking, is_silent
from kernel.insight.workers.hanging import TIMES, Hangs
from kernel.insight.workers.shown import (
    ShownProcess,
    ShownRun,
    Workers,
    read_workers,
    workers_data,
)
from kernel.runtime.kernel import Kernel
from kernel.views.html.wording import Wording

words = Wording("en")
# What is said of a run that hangs.
SAID = {
    Hangs.SILENT: "HANGS: its process is silent",
    Hangs.LIMIT: "HANGS: near its limit",
    Hangs.LONG: f"HANGS: over {TIMES:g} times as long as 95 % of them",
}


SILENT = "is silent, and ends only if it is heard of again: end it on its host"


@click.group()
def workers() -> None:
    """What each process runs; drain a host, terminate a process."""


@workers.command("list")
@as_json
def list_workers(machine: bool) -> None:
    """List the processes: those with a run that hangs first. Drained hosts follow."""
    with opened() as kernel:
        found = read_workers(kernel, Trends(kernel))
    if machine:
        print_json(workers_data(found))
        return
    print_table([_row(one, found.at) for one in found.processes], "no process is at work")
    for line in _drained(found):
        click.echo(line)


def _row(one: ShownProcess, now: datetime) -> dict[str, Any]:
    process = one.process
    return {
        "id": process.id,
        "host": process.host,
        "pid": process.pid,
        "kind": process.pool or process.kind,
        "version": process.version or "older",
        "seen": utc(process.seen_at),
        "doing": one.doing,
        "runs": "; ".join(_said(run, now) for run in one.runs) or None,
    }


def _said(one: ShownRun, now: datetime) -> str:
    run = one.run
    parts = [part for part in (run.tag, run.order_id) if part]
    if run.since is not None:
        parts.append(f"for {words.span((now - run.since).total_seconds())}")
    if run.limit is not None:
        parts.append(f"of {words.span(run.limit)}")
    return " ".join([*parts, *([SAID[one.hangs]] if one.hangs else [])])


def _drained(found: Workers) -> Iterator[str]:
    for one in found.drained:
        why = f": {one.why}" if one.why else ""
        yield f"{one.host} is drained since {utc(one.since)} by {one.by}{why}"


@workers.command()
@click.argument("host")
@with_reason
def drain(host: str) -> None:
    """Have the processes of a host take nothing new, until `resume`.

    What runs goes on. They follow with their next heartbeat, and so do processes that start there
    meanwhile: a host that is drained may be stopped and started. Once `kernel workers list` says
    drained of each, nothing is lost with it.
    """
    with opened() as kernel:
        found = asking.drain(kernel, host, by_command())
    if not found:
        click.echo(f"no process was seen on {host}: is it spelt right?", err=True)
    click.echo(f"{host}: drained, processes: {found}")


@workers.command()
@click.argument("host")
@with_reason
def resume(host: str) -> None:
    """Have the processes of a drained host take orders and callbacks again."""
    with opened() as kernel:
        found = asking.resume(kernel, host, by_command())
    click.echo(f"{host}: resumed, processes: {found}")


@workers.command()
@click.argument("name", metavar="ID|HOST")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_reason
def terminate(name: str, yes: bool) -> None:
    """Have a process, or all workers of a host, hand back what they run and end.

    With the next heartbeat; one that is silent is to be ended on its host. Each of its orders
    counts one more crash, as if the process had died, and is due again: cancel an order before, if
    it is not to run again. The worker puts another process in the place of one that ends.
    """
    with opened() as kernel:
        with kernel.read_session() as session:
            ids = asking.process_ids(session, name)
        if not yes and len(ids) > 1:
            click.confirm(f"terminate {len(ids)} processes of {name}?", abort=True)
        for one in ids:
            _terminate(kernel, one)


def _terminate(kernel: Kernel, process_id: str) -> None:
    """Say what becomes of one of several processes; one may have ended since they were named."""
    silent = is_silent(kernel, process_id)
    try:
        name = asking.terminate(kernel, process_id, by_command())
    except NotFound:
        click.echo(f"{process_id}: has ended already")
        return
    click.echo(f"{name}: {SILENT if silent else 'ends'}")
