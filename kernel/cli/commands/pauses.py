"""`kernel deliveries replay | pause | resume | pauses`: commands for many callbacks at once."""

from datetime import datetime
from typing import Any

import click

from kernel.callers import identity
from kernel.cli.commands.deliveries import deliveries
from kernel.cli.opening import opened
from kernel.cli.terminal.output import as_json, print_json, print_table
from kernel.db.states import DeliveryState
from kernel.db.tables.callers import Caller
from kernel.db.tables.deliveries import Pause
from kernel.delivery.pauses import list_pauses, pause, resume
from kernel.delivery.redeliver import BATCH, DeliveryFilter, count, replay
from kernel.formats.envelope import rfc3339
from kernel.runtime.kernel import Kernel

OVER = sorted(state.value for state in DeliveryState.over())


class Moment(click.ParamType[datetime]):
    """A time in RFC 3339 with a zone, as kernel prints it."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Read the time."""
        try:
            moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not a time such as 2026-11-21T03:00:00Z", param, ctx)
        if moment.tzinfo is None:
            self.fail(f"{value!r} has no zone; write 2026-11-21T03:00:00Z for UTC", param, ctx)
        return moment


host_option = click.option("--host", metavar="NAME[:PORT]", help="Only callbacks to this host.")
caller_option = click.option("--caller", metavar="NAME", help="Only callbacks for this caller.")


@deliveries.command("replay")
@click.option("--since", type=Moment(), help="Outcomes from this time on.")
@click.option("--until", type=Moment(), help="Outcomes before this time.")
@host_option
@caller_option
@click.option("--status", type=click.Choice(OVER), help="Only callbacks that ended like this.")
@click.option("--dry-run", is_flag=True, help="Count, and change nothing.")
@as_json
def replay_deliveries(caller: str | None, dry_run: bool, machine: bool, **filters: Any) -> None:
    """Send finished callbacks again, delivered ones too unless --status says dead.

    Same ids and bytes, a fresh schedule, in batches of 500. Without options: all finished
    callbacks.
    """
    with opened() as kernel:
        wanted = _filter(kernel, caller, **filters)
        with kernel.read_session() as session:
            total = count(session, wanted)
        done = 0 if dry_run else _replay(kernel, wanted, total, quiet=machine)
    if machine:
        print_json({"count": total, "replayed": done})
    elif dry_run:
        click.echo(f"{total} would be sent again")
    else:
        click.echo(f"{done} will be sent again")


def _filter(kernel: Kernel, caller: str | None, status: str | None, **rest: Any) -> DeliveryFilter:
    state = None if status is None else DeliveryState(status)
    return DeliveryFilter(caller_id=_caller_id(kernel, caller), state=state, **rest)


def _caller_id(kernel: Kernel, name: str | None) -> int | None:
    if name is None:
        return None
    with kernel.read_session() as session:
        return identity.find(session, name).id


def _replay(kernel: Kernel, wanted: DeliveryFilter, total: int, *, quiet: bool) -> int:
    if quiet or total <= BATCH:
        return replay(kernel, wanted)
    with click.progressbar(length=total, label="replaying") as bar:
        return replay(kernel, wanted, lambda done: bar.update(done - bar.pos))


@deliveries.command("pause")
@host_option
@caller_option
@as_json
def pause_deliveries(host: str | None, caller: str | None, machine: bool) -> None:
    """Hold the callbacks to a host or of a caller until `resume`. None is dropped."""
    _one_of(host, caller)
    with opened() as kernel:
        held = pause(kernel, host=host, caller_id=_caller_id(kernel, caller))
    _say(machine, host or caller, "held", held)


@deliveries.command("resume")
@host_option
@caller_option
@as_json
def resume_deliveries(host: str | None, caller: str | None, machine: bool) -> None:
    """Send the callbacks to a host or of a caller again; those held are due now."""
    _one_of(host, caller)
    with opened() as kernel:
        released = resume(kernel, host=host, caller_id=_caller_id(kernel, caller))
    _say(machine, host or caller, "released", released)


def _one_of(host: str | None, caller: str | None) -> None:
    if (host is None) == (caller is None):
        raise click.UsageError("give either --host or --caller")


def _say(machine: bool, target: str | None, what: str, number: int) -> None:
    if machine:
        print_json({"target": target, what: number})
    else:
        click.echo(f"{target}: {number} {what}")


@deliveries.command("pauses")
@as_json
def show_pauses(machine: bool) -> None:
    """List the paused hosts and callers."""
    with opened() as kernel, kernel.read_session() as session:
        names = {one.id: one.name for one in session.query(Caller)}
        found = [_describe(one, names) for one in list_pauses(session)]
    if machine:
        print_json(found)
    else:
        print_table(found, "nothing is paused")


def _describe(one: Pause, names: dict[int, str]) -> dict[str, Any]:
    caller = None if one.caller_id is None else names[one.caller_id]
    return {"host": one.host, "caller": caller, "since": rfc3339(one.created_at)}
