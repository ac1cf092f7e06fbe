"""What commands that pause and resume have in common: options, what is said, and the list."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

import click

from kernel.cli.acting import by_command
from kernel.cli.filter_options import system_zone
from kernel.cli.opening import opened, say
from kernel.cli.terminal.output import print_json, print_table
from kernel.filters.moments import Here, moment
from kernel.formats.envelope import rfc3339
from kernel.formats.hosts import read_host
from kernel.pauses.changes import end_after, pause, resume
from kernel.pauses.listing import PauseShown, list_pauses
from kernel.pauses.subjects import Subject, is_known, subject_named
from kernel.runtime.kernel import Kernel

F = TypeVar("F", bound=Callable[..., Any])


class Host(click.ParamType[str]):
    """A host, in the one spelling that pauses and filters go by."""

    name = "host"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Read the host."""
        try:
            return read_host(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def with_end(command: F) -> F:
    """Give a command the options ``--for`` and ``--until``, which `begin` reads."""
    until = "Resume by itself then: 06:00, 2026-11-29T06:00:00Z."
    command = click.option("--until", metavar="TIME", help=until)(command)
    lasts = "Resume by itself after this time: 30m, 2h, 1d."
    return click.option("--for", "lasts", metavar="SPAN", help=lasts)(command)


def begin(given: Mapping[str, Any], machine: bool) -> None:
    """Pause what the options name, and say how much is held at once."""
    with opened() as kernel:
        what, name = _one_of(given)
        with kernel.read_session() as session:
            subject = _subject(kernel, what, name)
            known = is_known(session, subject)
        until = _end(kernel, given["lasts"], given["until"])
        held = pause(kernel, subject, until=until, by=by_command())
    if not known:
        never = "order ever had the tag" if what == "tag" else "callback was ever owed to"
        click.echo(f"no {never} {name}: is it spelt right?", err=True)
    ends = {} if until is None else {"until": rfc3339(until)}
    _say(machine, name, "held", held.number, ends)


def end(given: Mapping[str, Any], machine: bool) -> None:
    """Resume what the options name, and say how much is due again."""
    with opened() as kernel:
        what, name = _one_of(given)
        resumed = resume(kernel, _subject(kernel, what, name), by=by_command())
        if resumed.woken:
            say(kernel, lambda broker: broker.hint(resumed.woken))
    _say(machine, name, "released", resumed.number)


def show(machine: bool, *, of_orders: bool) -> None:
    """List the pauses of orders, or of callbacks."""
    with opened() as kernel, kernel.read_session() as session:
        pauses = list_pauses(session)
    found = [_describe(one) for one in pauses if one.is_of_orders == of_orders]
    if machine:
        print_json(found)
    else:
        print_table(found, "nothing is paused")


def _one_of(given: Mapping[str, Any]) -> tuple[str, str]:
    """Return what is to be paused or resumed, and how it is called. Raises UsageError."""
    names = ("host", "caller", "receiver", "tag", "orders_of")
    named = {one: given[one] for one in names if given.get(one) is not None}
    if named.keys() == {"caller", "receiver"}:
        return "receiver", f"{named['caller']}/{named['receiver']}"
    if len(named) != 1 or "receiver" in named:
        raise click.UsageError(given["which"])
    ((what, name),) = named.items()
    return what, name


def _subject(kernel: Kernel, what: str, name: str) -> Subject:
    with kernel.read_session() as session:
        return subject_named(session, what, name)


def _end(kernel: Kernel, lasts: str | None, until: str | None) -> datetime | None:
    if lasts is not None and until is not None:
        raise click.UsageError("give --for or --until")
    try:
        if lasts is not None:
            return end_after(kernel, lasts)
        if until is not None:
            now = kernel.clock.now()
            return moment(until, Here(now, system_zone()), after=now)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    return None


def _say(
    machine: bool, target: str, what: str, number: int, more: Mapping[str, Any] | None = None
) -> None:
    if machine:
        print_json({"target": target, what: number} | dict(more or {}))
        return
    until = f", until {more['until']}" if more else ""
    click.echo(f"{target}: {number} {what}{until}")


def _describe(one: PauseShown) -> dict[str, Any]:
    of: dict[str, Any]
    if one.is_of_orders:
        of = {"tag": one.tag, "caller": one.caller}
    else:
        of = {"host": one.host, "caller": one.caller, "receiver": one.receiver}
    return of | {
        "since": rfc3339(one.since),
        "until": rfc3339(one.until),
        "by": one.by_whom,
        "reason": "adopt" if one.is_adoption else one.why,
    }
