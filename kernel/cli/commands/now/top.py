"""`kernel top`: a live overview: what is wrong, orders, callbacks, rates, what workers run."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from typing import Any

import click
from sqlalchemy import select

from kernel.cli.commands.now.status import as_data, window_lines
from kernel.cli.commands.now.status import lines as conditions
from kernel.cli.commands.now.trends import with_span
from kernel.cli.commands.orders.watch import COLOURS
from kernel.cli.opening import opened
from kernel.cli.terminal.output import INTERRUPTED, as_json, columns, print_json
from kernel.cli.terminal.screen import Line, Part, Screen, drawn, is_terminal
from kernel.db.errors import DATABASE_ERRORS, is_passing
from kernel.db.states import OrderState
from kernel.db.tables.orders import ORDERS
from kernel.delivery.breakers import OF_RECEIVER
from kernel.formats.envelope import rfc3339
from kernel.insight.backlog import Backlog
from kernel.insight.conditions.look import Asking
from kernel.insight.conditions.now import wrong_now
from kernel.insight.conditions.rules import Condition
from kernel.insight.state_counts import COUNTED, Counts, counts
from kernel.insight.trends import changes
from kernel.insight.trends.minutes import MINUTE
from kernel.insight.trends.series import Point, Span, Trend, Trends
from kernel.insight.workers import Process, processes
from kernel.runtime.kernel import Kernel
from kernel.views.html.wording import Wording, clock_time
from kernel.worker.broker import Broker

EVERY_SECONDS = 2.0
# Columns of a line when the output is no terminal.
WIDE = 160
# Rates are averages over this many minutes.
MINUTES = 5
# From this age on, the oldest due order or callback is shown in red.
WORRY_SECONDS = 60
UNFINISHED = tuple(state for state in OrderState if not state.is_final)
words = Wording("en")
# What JSON tells of a process; `kernel workers list` tells more.
TOLD = ("id", "host", "pid", "kind", "version", "alive", "quiet", "broken", "probing")


@dataclass(frozen=True, slots=True)
class Overview:
    """Conditions, counts, rates and processes at one moment."""

    at: datetime
    wrong: list[Condition]
    counts: Counts
    recent: list[Point]
    # What its counters are of.
    trend: Trend
    processes: list[Process]
    # The running orders by id: select_tag and progress.
    running: dict[str, str]


@click.command()
@click.option("--once", is_flag=True, help="Print the overview once.")
@with_span
@as_json
def top(once: bool, span: str, machine: bool) -> None:
    """Show what is wrong, orders, callbacks, rates and workers, every two seconds.

    q or Ctrl-C ends it. If the output is no terminal it prints once.
    """
    with opened() as kernel:
        trends, broker = Trends(kernel), Broker(kernel)
        look = partial(overview, kernel, trends, broker.backlog, Span(span))
        if machine:
            print_json(_as_json(look()))
        elif once or not is_terminal():
            for line in lines(look()):
                click.echo(drawn(line, WIDE))
        else:
            _draw(look)


def _draw(look: Callable[[], Overview]) -> None:
    try:
        with Screen(whole=True) as screen:
            while True:
                screen.draw(_lines(look))
                if screen.wait(EVERY_SECONDS):
                    return
    except KeyboardInterrupt:
        click.get_current_context().exit(INTERRUPTED)


def _lines(look: Callable[[], Overview]) -> Sequence[Line]:
    try:
        return [*lines(look()), [], [Part("q ends", dim=True)]]
    except DATABASE_ERRORS as error:
        if not is_passing(error):
            raise
        return [[Part("the database does not answer; trying again", "red")]]


def overview(
    kernel: Kernel, trends: Trends, asking: Asking = None, span: Span = Span.HOUR
) -> Overview:
    """Read an overview from the rows. Raises the database's errors.

    ``asking``: whether the broker answers; None leaves it out. ``span``: of the counters.
    """
    at, found = kernel.clock.now(), processes(kernel)
    counted = counts(kernel)
    wrong, _ = wrong_now(kernel, asking, lambda: counted.backlog)
    recent = trends.read(Span.HOUR).points[-MINUTES:]
    ids = [order_id for one in found for order_id in one.running]
    running = _running(kernel, ids)
    return Overview(at, wrong, counted, recent, trends.read(span), found, running)


def _running(kernel: Kernel, ids: list[str]) -> dict[str, str]:
    """Return each order's reference, select_tag and progress, by id."""
    far = (ORDERS.c.progress_current, ORDERS.c.progress_total)
    names = (ORDERS.c.id, ORDERS.c.reference, ORDERS.c.select_tag)
    known = select(*names, *far).where(ORDERS.c.id.in_(ids))
    with kernel.read() as connection:
        rows = connection.execute(known).all() if ids else []
    return {one.id: _described(one) for one in rows}


def _described(order: Any) -> str:
    progress = f"{order.progress_current} of {order.progress_total}"
    parts = (order.reference, order.select_tag, progress if order.progress_total else None)
    return " ".join(part for part in parts if part)


def lines(seen: Overview) -> list[Line]:
    """Return an overview as the lines of a screen."""
    return [
        [Part("kernel top", bold=True), Part(f"  {clock_time(seen.at)} UTC", dim=True)],
        [],
        *conditions(seen.wrong, seen.at, brief=True),
        [],
        [_name("orders"), *_states(seen.counts, UNFINISHED), *_waiting(seen)],
        [_name("callbacks"), *_callbacks(seen.counts.backlog)],
        [_name("per minute"), *_rates(seen.recent, seen.at)],
        *window_lines(seen.trend),
        [],
        *_work(seen),
    ]


def _name(text: str) -> Part:
    return Part(text.ljust(12), dim=True)


def _states(found: Counts, states: Sequence[OrderState]) -> Iterator[Part]:
    for state in states:
        number = found.states.get(state, 0)
        yield Part(f"{state} ")
        yield Part(words.count(number, COUNTED), COLOURS.get(state.tone) if number else None, True)
        yield Part("   ")


def _waiting(seen: Overview) -> list[Part]:
    due, oldest = seen.counts.backlog.orders_due, seen.counts.backlog.orders_due_oldest
    return [Part(f"{words.count(due, COUNTED)} due"), *_since(due, oldest)]


def _callbacks(waiting: Backlog) -> list[Part]:
    oldest, dead = waiting.deliveries_due_oldest, waiting.deliveries_dead
    return [
        Part(f"pending {words.count(waiting.deliveries_pending, COUNTED)}"),
        Part(f"   held {words.count(waiting.deliveries_held, COUNTED)}   dead "),
        Part(words.count(dead, COUNTED), "red" if dead else None, True),
        Part(f"   {words.count(waiting.deliveries_due, COUNTED)} due"),
        *_since(waiting.deliveries_due, oldest),
    ]


def _since(due: int, seconds: float) -> Iterator[Part]:
    """Yield the time for which the oldest has been due, in red above `WORRY_SECONDS`.

    docs/operations.md gives the same limit.
    """
    if due:
        yield Part(f" for {words.span(seconds)}", "red" if seconds > WORRY_SECONDS else None)


def _rates(recent: Sequence[Point], at: datetime) -> Iterator[Part]:
    """Yield the rates of the last minutes, the current one included."""
    minutes = max(1.0, (at - recent[0].began_at) / MINUTE)
    yield Part(f"accepted {sum(one.accepted for one in recent) / minutes:.1f}")
    yield Part(f"   finished {sum(one.finished for one in recent) / minutes:.1f}")
    last = next((one for one in reversed(recent) if one.p50 is not None), None)
    if last is not None and last.p50 is not None and last.p95 is not None:
        yield Part(f"   to outcome {words.span(last.p50)}, p95 {words.span(last.p95)}")
    attempts = sum(one.attempts for one in recent)
    if attempts:
        delivered = sum(one.attempts * (one.success or 0) for one in recent)
        share = delivered / attempts
        yield Part(f"   delivered {share:.0%}", None if share > 0.5 else "red")
    yield Part(f"   over {len(recent)} min", dim=True)


def _work(seen: Overview) -> Iterator[Line]:
    """Yield a line per process, with the orders it runs."""
    if not seen.processes:
        return
    rows = [("PROCESS", "KIND", "UP", "SEEN", "RUNS")]
    rows += [_process(one, seen) for one in seen.processes]
    widths = [max(columns(row[n]) for row in rows) for n in range(4)]
    for number, row in enumerate(rows):
        text = "  ".join(
            [cell + " " * (w - columns(cell)) for cell, w in zip(row, widths, strict=False)]
        )
        gone = number > 0 and not seen.processes[number - 1].alive
        yield [Part(f"{text}  {row[4]}", "red" if gone else None, dim=number == 0)]


def _process(one: Process, seen: Overview) -> tuple[str, str, str, str, str]:
    runs = ", ".join(f"{seen.running.get(id, '')} {id}".strip() for id in one.running)
    named = (each.replace(OF_RECEIVER, ", receiver ") for each in one.broken)
    broken = [each.replace("#", " of caller ") for each in named]
    notes = ["drained"] if one.is_drained else ["draining"] if one.quiet else []
    notes += [f"holds back {', '.join(broken)}"] if broken else []
    return (
        f"{one.host}:{one.pid}",
        one.kind,
        words.span((seen.at - one.started_at).total_seconds()),
        words.span((seen.at - one.seen_at).total_seconds()) if one.alive else "silent",
        "; ".join([runs, *notes] if runs else notes) or "-",
    )


def _as_json(seen: Overview) -> dict[str, Any]:
    """Return an overview as JSON members; ages are in seconds."""
    backlog = seen.counts.backlog
    return {
        **as_data(seen.wrong, seen.at),
        "orders": dict(seen.counts.states),
        "oldest_order": seen.counts.oldest_id,
        "backlog": asdict(backlog) | {"first_callback_at": rfc3339(backlog.first_callback_at)},
        "window": changes.as_data(seen.trend),
        "minutes": [asdict(one) | {"began_at": rfc3339(one.began_at)} for one in seen.recent],
        "processes": [
            {name: getattr(one, name) for name in TOLD}
            | {"started_at": rfc3339(one.started_at), "seen_at": rfc3339(one.seen_at)}
            | {"running": {id: seen.running.get(id) for id in one.running}}
            for one in seen.processes
        ],
    }
