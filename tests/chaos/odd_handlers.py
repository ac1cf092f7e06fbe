"""Handlers of the faults that concern what a handler may meet: errors that come every time, and
ones that nobody listed.
"""

import os
import time
from datetime import timedelta
from typing import Any

from sqlalchemy import text

from kernel.builtin import CreateProject, create_project
from kernel.handlers import Handlers, Run
from kernel.orders.ends import unknown_tags
from kernel.worker.maintenance import known_tags

#: Raw tables of these handlers, on MariaDB. The first holds some MB, then its error is 1114.
ODD_TABLES = (
    "CREATE TABLE chaos_full (name VARCHAR(100)) ENGINE = MEMORY",
    "CREATE TABLE chaos_odd (name VARCHAR(100) PRIMARY KEY)",
)
SLOW_SECONDS = 25.0
PAUSE_SECONDS = 3.0
# The tag that a worker with this environment variable lacks.
WITHOUT = "CHAOS_WITHOUT"
# After how many seconds of sweeps orders of unknown tags fail in a process with this one.
HOUR = "CHAOS_HOUR"


def outfile(run: Run, args: CreateProject) -> dict[str, Any]:
    """Export to a folder that the server refuses: 1290, which a read-only server says as well."""
    made = create_project(run, args)
    run.session.execute(text("SELECT 1 INTO OUTFILE '/nowhere/chaos'"))
    return made


def full_table(run: Run, args: CreateProject) -> dict[str, Any]:
    """Fill a table that is full: 1114, which a full disk says as well."""
    made = create_project(run, args)
    fill = "INSERT INTO chaos_full (name) SELECT REPEAT('x', 100) FROM seq_1_to_10000"
    for _ in range(20):
        run.session.execute(text(fill))
    return made


def hang_up(run: Run, args: CreateProject) -> dict[str, Any]:
    """Close the driver's connection, as a handler that tidies up too much."""
    made = create_project(run, args)
    driver: Any = run.session.connection().connection.dbapi_connection
    driver.close()
    run.session.execute(text("SELECT 1"))
    return made


def odd(run: Run, args: CreateProject) -> dict[str, Any]:
    """Write to a table whose trigger may refuse it."""
    made = create_project(run, args)
    statement = "INSERT INTO chaos_odd (name) VALUES (:name)"
    run.session.execute(text(statement), {"name": args.projname})
    return made


def slow(run: Run, args: CreateProject) -> dict[str, Any]:
    """Take long, and touch the database only at the end."""
    time.sleep(SLOW_SECONDS)
    return create_project(run, args)


def pause(run: Run, args: CreateProject) -> dict[str, Any]:
    """Pause for some seconds before the project is made, and after it."""
    time.sleep(PAUSE_SECONDS)
    made = create_project(run, args)
    time.sleep(PAUSE_SECONDS / 3)
    return made


def rare(run: Run, args: CreateProject) -> dict[str, Any]:
    """Make a project; one kind of worker lacks this tag."""
    return create_project(run, args)


TAGS = {
    "outfile_project": outfile,
    "full_table_project": full_table,
    "hang_up_project": hang_up,
    "odd_project": odd,
    "slow_project": slow,
    "pause_project": pause,
    "rare_project": rare,
}


def register(handlers: Handlers) -> None:
    """Register these handlers, but for what this process lacks."""
    for tag, function in TAGS.items():
        if os.environ.get(WITHOUT) != tag:
            handlers.register(tag, CreateProject)(function)
    if hour := os.environ.get(HOUR):
        known_tags.UNKNOWN_AFTER = timedelta(seconds=float(hour))
        unknown_tags.GAP = timedelta(seconds=float(hour) / 3)
