"""Handlers that an older release and this one load as they stand: what users wrote goes on.

Each order leaves a row of `EFFECTS` with its outcome, so that work done twice shows.
"""

import os
import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from sqlalchemy import text

import kernel
from kernel import Handlers, Reject, Retry, Run
from kernel.builtin import CreateProject, create_project

EFFECTS = "CREATE TABLE effects (order_id VARCHAR(36) NOT NULL, what VARCHAR(40) NOT NULL)"
# As long as this file is there, orders with `hold` run on.
HOLD = "WORKSHOP_HOLD"

handlers = Handlers()
handlers.register("create_project", CreateProject)(create_project)


class Work(BaseModel):
    """One piece of work."""

    name: str = "work"
    hold: bool = False


def effect(run: Run, what: str) -> None:
    """Note that this was done, in the run's own transaction."""
    statement = text("INSERT INTO effects VALUES (:order_id, :what)")
    run.session.execute(statement, {"order_id": run.order_id, "what": what})


@handlers.register("work", Work)
def work(run: Run, args: Work) -> dict[str, Any]:
    """Do it once; with ``hold`` after a checkpoint, and not before the file is gone."""
    if run.state is None:
        effect(run, "begun")
        run.checkpoint(1, 2, "half done", {"half": True})
    while args.hold and HOLD in os.environ and Path(os.environ[HOLD]).exists():
        time.sleep(0.05)
    effect(run, "done")
    return {"name": args.name}


@handlers.register("refuse", Work)
def refuse(run: Run, args: Work) -> dict[str, Any]:
    """Refuse for good."""
    raise Reject("no_such_thing", "there is no such thing")


@handlers.register("later", Work)
def later(run: Run, args: Work) -> dict[str, Any]:
    """Ask once to be run again after a while."""
    if run.number == 1:
        raise Retry(after=5)
    effect(run, "done")
    return {"name": args.name}


if hasattr(kernel, "Wait"):  # what releases learned later

    @handlers.register("approve", Work)
    def approve(run: Run, args: Work) -> Any:
        """Wait for an approval."""
        if not run.events:
            effect(run, "begun")
            return kernel.Wait("approved")
        effect(run, "done")
        return {"approved": run.events[-1].data}

    @handlers.register("steps", Work)
    def steps(run: Run, args: Work) -> dict[str, Any]:
        """Draw a number in a step, then hold: the next run is given the same number."""
        drawn = run.step("draw", time.time_ns)
        while args.hold and HOLD in os.environ and Path(os.environ[HOLD]).exists():
            time.sleep(0.05)
        effect(run, str(drawn))
        return {"drawn": drawn}

    @handlers.register("family", Work)
    def family(run: Run, args: Work) -> Any:
        """Make two children, and wait for both."""
        if not run.has_waited:
            for name in ("one", "other"):
                run.submit("work", name=name, hold=args.hold)
            return kernel.Wait.children()
        effect(run, "done")
        return {"name": args.name}
