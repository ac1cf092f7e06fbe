"""The handlers of `kernel demo`: the built-in ones, of which the import pauses after each chunk.

Only the demo and tests, which show or watch the progress, use it: elsewhere an order could hold a
worker for minutes by pausing.
"""

import time
from typing import Any

from pydantic import Field

from kernel.builtin import CreateProject, ImportProjects, create_project, import_rows
from kernel.handlers import Handlers, Partial, Run

handlers = Handlers()
handlers.register("create_project", CreateProject)(create_project)


class PacedImport(ImportProjects):
    """As the built-in one, with a pause in milliseconds after each chunk."""

    pause_ms: int = Field(0, ge=0, le=1000)


@handlers.register("import_projects", PacedImport)
def import_projects(run: Run, args: PacedImport) -> dict[str, Any] | Partial:
    """Import, and pause after each saved chunk."""
    return import_rows(run, args.projects, lambda: time.sleep(args.pause_ms / 1000))
