"""Handlers of orders that have an ordering key or a limit, work in steps, or wait for an event."""

import os
import time
from datetime import datetime, timedelta
from typing import Any
from urllib.request import Request, urlopen

from pydantic import BaseModel
from sqlalchemy import text

from kernel.builtin import CreateProject, create_project
from kernel.handlers import Handlers, Run, StepRetry, Wait

#: A row for each caller's key: how many of its orders have ended, and whose turn it is.
TURNS = (
    "CREATE TABLE chaos_turns"
    " (name VARCHAR(20) PRIMARY KEY, turn INTEGER NOT NULL, owner VARCHAR(100) NOT NULL)"
)
# How many orders with a limit may run at once.
AT_ONCE = 1
# Where the counting server listens; see `tests.chaos.effects`.
EFFECTS = "CHAOS_EFFECTS"


class Keyed(BaseModel):
    """A project; ``lane`` is the row of its caller's key."""

    projname: str
    lane: str
    pause_ms: int


class Limited(BaseModel):
    """A project, and how long its handler takes."""

    projname: str
    pause_ms: int


class Stepped(BaseModel):
    """A project, and how long its handler takes after its steps."""

    projname: str
    pause_ms: int


class Approved(BaseModel):
    """A project, and for how many seconds its order waits to be told something."""

    projname: str
    seconds: float


def keyed_project(run: Run, args: Keyed) -> dict[str, Any]:
    """Take the turn, and commit that; then tell whose turn it is at the end, and count it."""
    where = {"lane": args.lane, "me": args.projname}
    if run.progress is None:
        mine = text("UPDATE chaos_turns SET owner = :me WHERE name = :lane")
        run.session.execute(mine, where)
        run.checkpoint(1, 2)
    time.sleep(args.pause_ms / 1000)
    made = create_project(run, CreateProject(projname=args.projname))
    run.session.execute(text("UPDATE chaos_turns SET turn = turn + 1 WHERE name = :lane"), where)
    seen = run.session.execute(
        text("SELECT turn, owner FROM chaos_turns WHERE name = :lane"), where
    ).one()
    return made | {"turn": seen.turn, "alone": seen.owner == args.projname}


def limited_project(run: Run, args: Limited) -> dict[str, Any]:
    """Take some time; see what `register` says of how many may do so at once."""
    time.sleep(args.pause_ms / 1000)
    return create_project(run, CreateProject(projname=args.projname))


def stepped_project(run: Run, args: Stepped) -> dict[str, Any]:
    """Make the project in one step, and reserve a number elsewhere in another."""
    made = run.step("write", create_project, run, CreateProject(projname=args.projname))
    reserved = run.step("reserve", _reserve, run, retry=StepRetry(attempts=20, after=0.2))
    time.sleep(args.pause_ms / 1000)
    return {**made, "reserved": reserved}


def _reserve(run: Run) -> int:
    headers = {"Idempotency-Key": run.key("reserve"), "X-Order-Id": run.order_id}
    asked = Request(os.environ[EFFECTS], b"{}", headers)
    with urlopen(asked, timeout=5) as answer:
        return int(answer.read())


def approved_project(run: Run, args: Approved) -> dict[str, Any] | Wait:
    """Wait for an event until a moment that the first run sets; then tell what the order was told.

    A run that comes earlier than that, after a crash, goes on waiting; never for longer than it
    should in all, for the moment may be that of a clock that was ahead then.
    """
    longest = run.now + timedelta(seconds=args.seconds)
    if run.state is None or datetime.fromisoformat(run.state) > longest:
        run.checkpoint(1, 2, state=longest.isoformat())
    until = datetime.fromisoformat(run.state)
    if not run.events and run.now < until:
        return Wait("approved", until=until)
    made = create_project(run, CreateProject(projname=args.projname))
    return made | {"told": [event.data["by"] for event in run.events]}


def register(handlers: Handlers) -> None:
    """Register these handlers."""
    handlers.register("keyed_project", Keyed)(keyed_project)
    handlers.register("limited_project", Limited, concurrency=AT_ONCE)(limited_project)
    handlers.register("stepped_project", Stepped)(stepped_project)
    handlers.register("approved_project", Approved)(approved_project)
