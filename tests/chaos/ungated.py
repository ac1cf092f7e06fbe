"""Switches that take away what keeps orders in their turn, in their window and their steps once.

As those of `tests.chaos.breaks`, which has them among its own.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kernel.handlers import Run
from kernel.orders import submit
from kernel.orders.gates import events
from kernel.orders.gates.keys import Place
from kernel.orders.gates.limits.known import Limits
from kernel.runs import steps
from kernel.views.orders.events import EventViews
from tests.chaos.mutants import MILD
from tests.chaos.switch import Break


def keys_ignored() -> None:
    take = submit.take_places

    def at_once(*given: Any) -> list[Place]:
        return [place._replace(has_turn=True) for place in take(*given)]

    submit.take_places = at_once


def _without(name: str) -> None:
    new_row = submit.new_row

    def forgetful(*given: Any) -> dict[str, Any]:
        row = new_row(*given)
        return row | ({name: None} if name in row else {})

    submit.new_row = forgetful


def opens_early() -> None:
    _without("not_before")


def never_closes() -> None:
    _without("not_after")


def forgets_steps() -> None:
    known = steps._known
    steps._known = lambda row: replace(known(row), done=False)


def new_step_keys() -> None:
    key = steps.StepRecorder.key

    def renamed(self: Any, run: Run, name: str) -> str:
        return f"{key(self, run, name)}.{run.number}"

    steps.StepRecorder.key = renamed  # type: ignore[method-assign]


def limits_ignored() -> None:
    Limits.of = lambda self, tag: None  # type: ignore[method-assign]


def wakes_none() -> None:
    events._is_awaited = lambda *_: False


def tells_again() -> None:
    read = EventViews._read
    EventViews._read = lambda self: read(self)._replace(key=None)  # type: ignore[method-assign]


UNGATED: Mapping[str, Break] = {
    "keys-ignored": Break("orders of one key have their turn at once", MILD,
        "wrong", "of its key", keys_ignored, times=1),
    "opens-early": Break("an order does not wait for its not_before", MILD,
        "wrong", "before its not_before", opens_early, times=1),
    "never-closes": Break("an order begins after its not_after", MILD,
        "wrong", "after its not_after", never_closes, times=1),
    "forgets-steps": Break("steps are recorded, and done again by every run", MILD,
        "doubled", "is there 2 times", forgets_steps, times=1),
    "new-step-keys": Break("each run has other idempotency keys for its steps", MILD,
        "doubled", "idempotency keys of one step", new_step_keys, times=1),
    "limits-ignored": Break("orders of a tag begin however many run", MILD,
        "wrong", "ran at once", limits_ignored, times=1),
    "wakes-none": Break("an event is stored, and its order goes on waiting", MILD,
        "lost", "still waiting", wakes_none, times=1),
    "tells-again": Break("an event that is told twice with one key is two events", MILD,
        "doubled", "it was told", tells_again, times=1),
}  # fmt: skip
