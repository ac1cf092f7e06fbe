"""A run that goes one step at a time, for tests that let processes die between any two steps."""

from contextlib import suppress
from typing import Any

from pydantic import BaseModel
from sqlalchemy import Connection, insert
from sqlalchemy.exc import DBAPIError

from kernel.builtin import projects
from kernel.db.states import OrderState, Outcome
from kernel.handlers import Handlers, Run
from kernel.runs.begin import begin_run
from kernel.runs.claim import Batch, Claimed

STEPS = 3
ALIVE = 4
DONE = Outcome(OrderState.SUCCESS, "success", "{}")

handlers = Handlers()


class Anything(BaseModel, extra="allow"):
    """Arguments that are not looked at."""


@handlers.register("steps", Anything, max_runs=1000)
def steps(run: Run, args: Anything) -> dict[str, Any]:
    """Write three rows, with a checkpoint after each but the last."""
    for step in range(run.progress.current if run.progress else 0, STEPS):
        write(run, step)
        if step < STEPS - 1:
            run.checkpoint(step + 1, STEPS)
    return {}


def write(run: Run, step: int) -> None:
    """Write the row of one step."""
    name = f"{run.order_id}:{step}"
    run.session.execute(insert(projects).values(projname=name, prodesc="", projctime=run.now))


class Running:
    """A run in some process; nothing of it is committed between two rules."""

    def __init__(self, batch: Batch, claimed: Claimed, run: Run) -> None:
        self.batch, self.claimed, self.run = batch, claimed, run

    @property
    def connection(self) -> Connection:
        """The connection of this process."""
        return self.batch.connection

    @property
    def done(self) -> int:
        """How many steps are committed, as this run knows it."""
        return self.run.progress.current if self.run.progress else 0

    def end(self) -> None:
        """Let the process go: its connection is closed, what it had not committed is undone."""
        with suppress(DBAPIError):
            self.connection.invalidate()
        self.connection.close()


def run_next(batch: Batch) -> list[Running]:
    """Claim the next of orders that were hinted together, and begin; none if none is left."""
    claimed = batch.claim()
    if claimed is None:
        return []
    return [Running(batch, claimed, begin_run(batch, claimed))]
