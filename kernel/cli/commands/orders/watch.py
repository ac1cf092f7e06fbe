"""`kernel orders watch`: follow an order live until its callback has ended."""

import time
from dataclasses import dataclass
from datetime import datetime

import click

from kernel.cli.commands.orders.telling import orders
from kernel.cli.opening import opened
from kernel.cli.terminal.output import INTERRUPTED, as_json, cell, json_text
from kernel.cli.terminal.screen import Line, Part, Screen, bar, is_terminal
from kernel.db.errors import DATABASE_ERRORS, is_passing
from kernel.db.states import DeliveryState, OrderState, Tone
from kernel.db.tables.deliveries import Attempt, Delivery
from kernel.db.tables.orders import Order
from kernel.delivery.redeliver import list_attempts, list_deliveries
from kernel.formats.representations import attempt_data, delivery_data, order_data
from kernel.orders.pages import get_order
from kernel.runtime.kernel import Kernel
from kernel.views.html.wording import Wording
from kernel.views.order_page import progress

POLL_SECONDS = 0.25
BAR = 50
COLOURS = {
    Tone.RUN: "blue",
    Tone.GOOD: "green",
    Tone.WARN: "yellow",
    Tone.BAD: "red",
}
span = Wording("en").span


@dataclass(frozen=True, slots=True)
class Seen:
    """An order and its callbacks at one moment."""

    order: Order
    deliveries: list[tuple[Delivery, list[Attempt]]]
    at: datetime

    @property
    def state(self) -> OrderState:
        """The order's state."""
        return OrderState(self.order.state)

    @property
    def is_over(self) -> bool:
        """Whether the order and all its callbacks have ended."""
        callbacks = all(DeliveryState(one.state).is_over for one, _ in self.deliveries)
        return self.state.is_final and callbacks


@orders.command("watch")
@click.argument("order_id")
@as_json
def watch(order_id: str, machine: bool) -> None:
    """Follow an order until it and its callback have ended.

    Shows its progress, its outcome and each attempt to deliver the callback. With --json, and if
    the output is no terminal, it prints a line per change. The exit code is 1 when the order
    fails or is cancelled.
    """
    ctx = click.get_current_context()
    with opened() as kernel:
        seen = look(kernel, order_id)
        try:
            seen = _follow(kernel, seen) if machine or not is_terminal() else _draw(kernel, seen)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
    if seen.state.wire_status < 0:
        ctx.exit(1)


def look(kernel: Kernel, order_id: str) -> Seen:
    """Read an order and its callbacks. Raises NotFound."""
    with kernel.read_session() as session:
        order = get_order(session, None, order_id)
        deliveries = list_deliveries(session, order_id)
        attempts = list_attempts(session, [one.id for one in deliveries])
        return Seen(order, [(one, attempts[one.id]) for one in deliveries], kernel.clock.now())


def _draw(kernel: Kernel, seen: Seen) -> Seen:
    with Screen() as screen:
        screen.draw(lines(seen, screen.width))
        while not seen.is_over:
            screen.wait(POLL_SECONDS)
            fresh = _look_again(kernel, seen)
            seen = fresh or seen
            away = [] if fresh else [[Part("the database does not answer; trying again", "red")]]
            screen.draw([*lines(seen, screen.width), *away])
    return seen


def _follow(kernel: Kernel, seen: Seen) -> Seen:
    """Print a line for each change."""
    machine = click.get_current_context().params["machine"]
    said = ""
    while True:
        told = _as_json(seen) if machine else _as_line(seen)
        if told != said:
            click.echo(told)
            said = told
        if seen.is_over:
            return seen
        time.sleep(POLL_SECONDS)  # polls the rows: no message reaches this process
        seen = _look_again(kernel, seen) or seen


def _look_again(kernel: Kernel, seen: Seen) -> Seen | None:
    """Read the order again; None while the database does not answer."""
    try:
        return look(kernel, seen.order.id)
    except DATABASE_ERRORS as error:
        if not is_passing(error):
            raise
        return None


def _as_json(seen: Seen) -> str:
    data = order_data(seen.order)
    data["deliveries"] = [
        delivery_data(one) | {"attempts": [attempt_data(attempt) for attempt in attempts]}
        for one, attempts in seen.deliveries
    ]
    return json_text(data)


def _as_line(seen: Seen) -> str:
    """Return the order's state, progress, message and last callback as one line."""
    parts = [str(seen.state), *_far(seen)]
    if seen.state.is_final and seen.order.message != seen.state:
        parts.append(seen.order.message or "")
    parts += [f"callback {_told(*one, seen.at)}" for one in seen.deliveries[-1:]]
    return cell("  ".join(part for part in parts if part))


def _far(seen: Seen) -> list[str]:
    """Return the progress in words: percent, count, note."""
    order = seen.order
    far = progress(order, seen.state)
    words = [] if far["percent"] is None or not far["total"] else [f"{far['percent']} %"]
    if far["total"]:
        words.append(f"{far['current']} of {far['total']}")
    elif far["current"]:
        words.append(str(far["current"]))
    if order.progress_note and not seen.state.is_final:
        words.append(order.progress_note)
    return words


def lines(seen: Seen, width: int) -> list[Line]:
    """Return an order as lines for a terminal of ``width`` columns."""
    order, state = seen.order, seen.state
    took = (order.finished_at or seen.at) - order.created_at
    colour = COLOURS.get(state.tone)
    named = [] if order.reference is None else [Part(f"{order.reference}  ", bold=True)]
    shown: list[Line] = [
        [*named, Part(order.select_tag, bold=True), Part(f"  {order.id}", dim=True)],
        [Part(str(state), colour, bold=True), Part(f"  {span(took.total_seconds())}")],
    ]
    percent = progress(order, state)["percent"]
    far = "  ".join(_far(seen))
    if percent is not None and state is not OrderState.PENDING and (order.progress_total or far):
        room = max(3, min(BAR, width - 32))
        shown.append([*bar(percent, room), Part(f"  {far}")])
    elif far:
        shown.append([Part(far)])
    if order.error_code is not None:
        shown.append([Part("error   ", dim=True), Part(f"{order.error_code}: {order.message}")])
    elif order.message not in (None, state):
        shown.append([Part("message ", dim=True), Part(order.message or "")])
    if order.result is not None:
        shown.append([Part("result  ", dim=True), Part(order.result)])
    for delivery, attempts in seen.deliveries:
        shown.append([Part("callback ", dim=True), *_callback(delivery, attempts, seen.at)])
    return shown


def _callback(delivery: Delivery, attempts: list[Attempt], at: datetime) -> Line:
    state = DeliveryState(delivery.state)
    told = _told(delivery, attempts, at).removeprefix(state)
    return [Part(str(state), COLOURS.get(state.tone)), Part(told)]


def _told(delivery: Delivery, attempts: list[Attempt], at: datetime) -> str:
    """Return a callback's state, its last attempt and the time until the next, as text."""
    parts = [str(delivery.state)]
    if attempts:
        last = attempts[-1]
        parts.append(f"attempt {last.number}")
        parts.append(" ".join(_outcome(last)))
    if delivery.state == DeliveryState.PENDING and attempts:
        left = (delivery.next_attempt_at - at).total_seconds()
        parts.append(f"next in {span(left)}" if left > 0 else "next now")
    return ", ".join(parts)


def _outcome(attempt: Attempt) -> list[str]:
    words = [] if attempt.status is None else [f"HTTP {attempt.status}"]
    if attempt.reason is not None and not attempt.reason.startswith("http_"):
        words.append(attempt.reason)
    return [*words, f"in {span(attempt.duration_ms / 1000)}"]
