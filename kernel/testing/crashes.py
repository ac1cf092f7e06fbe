"""Crashes on purpose: a run ends as that of a killed worker would, and the next `drain` resumes.

What the run has not committed is rolled back, as the database does it for a connection that is
gone; nothing is written of the run's end. After the block the order is taken over as from a dead
process: `kernel.orders.decide` says when it is due again.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from kernel.errors import LeaseLost
from kernel.handlers import Handlers, Run
from kernel.handlers.run import Progress, SaveCheckpoint
from kernel.handlers.steps import StepCall, Steps
from kernel.orders.decide import Exit, Why
from kernel.orders.gates.children import with_parent
from kernel.runs.fence import undo
from kernel.runs.leases import leave
from kernel.runtime.kernel import Kernel

if TYPE_CHECKING:
    from kernel.db.states import Outcome
    from kernel.handlers.registry import Function


class ProcessKilled(BaseException):
    """The process of this run was killed, in a test; `except Exception` does not see it."""


@contextmanager
def crash_after(
    kernel: Kernel,
    *,
    step: str | None = None,
    call: str | None = None,
    checkpoint: int | None = None,
    select_tag: str | None = None,
) -> Iterator[None]:
    """Kill the worker of the first run in this block that comes to a certain place::

        with crash_after(kernel, step="account"):
            drain(kernel)
        drain(kernel)  # the next run: given the step's result, it goes on behind it

    ``step``: after its result was recorded. ``call``: after the function of that step was called,
    and before its result was recorded: the next run calls it again. ``checkpoint``: after the n-th
    of the run, counted from 1. With none of them: when the handler has returned, before the commit
    of its outcome. ``select_tag``: only orders of that tag.

    In the block the order stays ``running``, as after a `kill -9`; at its end it is taken over,
    which counts as a crash: the second one is due 2 s later, see docs/handlers.md, Limits. Raises
    ValueError for more than one place, AssertionError at the end when no run reached it.
    """
    places = [one for one in (step, call, checkpoint) if one is not None]
    if len(places) > 1:
        raise ValueError("crash_after takes one of step, call and checkpoint")
    crash = _Crash(step, call, checkpoint)
    before = kernel.handlers
    kernel.handlers = _Crashing(before, crash, select_tag)
    try:
        yield
    finally:
        kernel.handlers = before
        if crash.struck is not None:
            _take_over(kernel, crash.struck)
    if crash.struck is None:
        raise AssertionError(f"no run reached {crash.place}{crash.passed()}")


def _take_over(kernel: Kernel, run: Run) -> None:
    """Do with the order what a worker does with those of a process that is gone."""
    with_parent(kernel, leave(kernel, run.order_id, run.number, Exit(Why.DIED), run.gates))


@dataclass
class _Crash:
    """Where the process is to die, and the run that it died in."""

    step: str | None
    call: str | None
    checkpoint: int | None
    struck: Run | None = None
    steps: list[str] = field(default_factory=list)
    checkpoints: int = 0

    @property
    def is_due_at_the_end(self) -> bool:
        places = (self.struck, self.step, self.call, self.checkpoint)
        return all(one is None for one in places)

    @property
    def place(self) -> str:
        if self.checkpoint is not None:
            return f"checkpoint {self.checkpoint}"
        named = self.step or self.call
        return "the end of a handler" if named is None else f"step {named!r}"

    def passed(self) -> str:
        """Say what runs reached instead."""
        steps = f"; steps: {', '.join(self.steps)}" if self.steps else ""
        return f"{steps}; checkpoints: {self.checkpoints}" if self.checkpoints else steps

    def strike(self, run: Run) -> NoReturn:
        """End the process, as far as the database can tell. It dies once."""
        self.struck, run.lost = run, True
        undo(run)
        raise ProcessKilled(f"run {run.number} of order {run.order_id}, at {self.place}")


class _Crashing(Handlers):
    """The handlers of a kernel; the process dies in the first run that reaches the place."""

    def __init__(self, handlers: Handlers, crash: _Crash, select_tag: str | None) -> None:
        super().__init__(*handlers.metadata)
        self._included.append(handlers)  # whose settings are those of the runs
        for tag, handler in handlers.items():
            is_meant = select_tag in (None, tag)
            function = partial(_run, handler.function, crash) if is_meant else handler.function
            self._by_tag[tag] = replace(handler, function=function)


def _run(function: "Function", crash: _Crash, run: Run, args: Any) -> Any:
    if crash.struck is not None:
        return function(run, args)
    run.steps = _Steps(run, run.steps, crash)
    run._save = partial(_saved, run._save, crash)
    crash.checkpoints = 0
    returned = function(run, args)
    if crash.is_due_at_the_end:
        crash.strike(run)
    return returned


def _saved(
    save: SaveCheckpoint, crash: _Crash, run: Run, progress: Progress, state: str | None
) -> None:
    save(run, progress, state)
    crash.checkpoints += 1
    if crash.checkpoints == crash.checkpoint:
        crash.strike(run)


class _Steps:
    """The steps of a run, of which one ends the process."""

    def __init__(self, run: Run, steps: Steps, crash: _Crash) -> None:
        self._run, self._steps, self._crash = run, steps, crash

    def take(self, run: Run, step: StepCall) -> Any:
        """Take a step, and die behind it or in it."""
        if run.lost:
            raise LeaseLost
        if step.name == self._crash.call:
            step = replace(step, call=partial(self._called, step.call))
        found = self._steps.take(run, step)
        self._crash.steps.append(step.name)
        if step.name == self._crash.step:
            self._crash.strike(run)
        return found

    def _called(self, call: Callable[[], Any]) -> NoReturn:
        call()
        self._crash.strike(self._run)

    def key(self, run: Run, name: str) -> str:
        """Return the idempotency key of a step."""
        return self._steps.key(run, name)

    def forget_secrets(self, run: Run, outcome: "Outcome") -> None:
        """Delete secret results in the transaction of a success."""
        self._steps.forget_secrets(run, outcome)

    @property
    def secrets(self) -> Collection[str]:
        """What secret steps have given this run, or said in their errors."""
        return self._steps.secrets

    @property
    def is_open(self) -> bool:
        """Whether a step's function is being called now."""
        return self._steps.is_open
