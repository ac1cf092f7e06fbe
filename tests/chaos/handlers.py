"""The handlers of the system under test: the built-in two, and some that court disaster.

Every process imports this module, so it is also where a switch of `tests.chaos.breaks` is thrown,
where orders are made to share messages, and where the disk of the SQLite variant fills up.
"""

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import OperationalError

from kernel.builtin import CreateProject, create_project
from kernel.cli.local.paced_import import PacedImport, import_projects
from kernel.handlers import Handlers, Run
from kernel.worker import broker
from tests.chaos import breaks, family_handlers, gated_handlers, odd_handlers

#: Raw tables of these handlers, made by the harness.
TABLES = (
    "CREATE TABLE chaos_rows (name VARCHAR(20) PRIMARY KEY, touched INTEGER NOT NULL)",
    "CREATE TABLE chaos_unique (name VARCHAR(100) PRIMARY KEY)",
    gated_handlers.TURNS,
)
ROWS = "abcd"

handlers = Handlers()
# Short, so its orders share commits.
handlers.register("create_project", CreateProject, together=True)(create_project)
handlers.register("import_projects", PacedImport)(import_projects)


class Touch(BaseModel):
    """A project, and two contended rows to count it in, one after the other."""

    projname: str
    first: str
    second: str
    pause_ms: int = 0
    # As a handler that catches every database error and goes on.
    sloppy: bool = False


@handlers.register("touch_project", Touch)
def touch_project(run: Run, args: Touch) -> dict[str, Any]:
    """Insert the project and count it; orders that touch two rows crosswise deadlock."""
    create_project(run, CreateProject(projname=args.projname))
    for name in (args.first, args.second):
        with contextlib.suppress(*([OperationalError] if args.sloppy else [])):
            _touch(run, name)
        time.sleep(args.pause_ms / 1000)
    return {"projname": args.projname}


def _touch(run: Run, name: str) -> None:
    statement = "UPDATE chaos_rows SET touched = touched + 1 WHERE name = :name"
    run.session.execute(text(statement), {"name": name})


class Patience(BaseModel):
    """A project, and how many steps of 0.1 s come before it."""

    projname: str
    steps: int


@handlers.register("patient_project", Patience)
def patient_project(run: Run, args: Patience) -> dict[str, Any]:
    """Checkpoint every 0.1 s, where a cancel ends the run, and insert the project at the end."""
    for step in range(run.progress.current if run.progress else 0, args.steps):
        run.checkpoint(step + 1, args.steps)
        time.sleep(0.1)
    return create_project(run, CreateProject(projname=args.projname))


@handlers.register("hold_project", CreateProject)
def hold_project(run: Run, args: CreateProject) -> dict[str, Any]:
    """Take a unique key; the first run freezes while it holds the lock, and wakes much later."""
    run.session.execute(
        text("INSERT INTO chaos_unique (name) VALUES (:name)"), {"name": args.projname}
    )
    if run.number == 1:
        os.kill(os.getpid(), signal.SIGSTOP)
    return create_project(run, args)


@handlers.register("doze_project", CreateProject)
def doze_project(run: Run, args: CreateProject) -> dict[str, Any]:
    """Freeze in the first run before anything is written; on waking, go on as if in time."""
    if run.number == 1:
        os.kill(os.getpid(), signal.SIGSTOP)
    return create_project(run, args)


@handlers.register("suicide", CreateProject, max_runs=2)
def suicide(run: Run, args: CreateProject) -> dict[str, Any]:
    """Kill the process, every time."""
    create_project(run, args)
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


odd_handlers.register(handlers)
gated_handlers.register(handlers)
family_handlers.register(handlers)


def _fill_disk(connection: Any, *_: Any) -> None:
    """Let the SQLite file grow no further while the file ``CHAOS_DISK_FULL`` exists."""
    full = Path(os.environ["CHAOS_DISK_FULL"]).exists()
    connection.execute(f"PRAGMA max_page_count = {1 if full else 1_000_000}")


if "CHAOS_TOGETHER" in os.environ:
    # Orders are taken from the rows, several at once, when they come thick and the queue is long.
    # Here eight come in a second: they linger for longer, and any queue is long.
    broker.LONG_QUEUE, broker.LONG_SECONDS = 0, 0.5
    broker.HINTS_SECONDS = broker.ALONE_SECONDS = 0.5
if "CHAOS_DISK_FULL" in os.environ:
    event.listen(Engine, "checkout", _fill_disk)
breaks.apply(os.environ.get("CHAOS_BREAK", ""))
