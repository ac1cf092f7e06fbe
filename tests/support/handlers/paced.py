"""Handlers that a test can watch at their work: the built-in ones, and one that keeps its pace."""

import json
import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from kernel.builtin import CreateProject, ImportProjects, create_project, import_projects
from kernel.handlers import Handlers, Run

handlers = Handlers()
handlers.register("create_project", CreateProject)(create_project)
handlers.register("import_projects", ImportProjects)(import_projects)
STEPS = 10


class Pace(BaseModel):
    """Where it is written how far to go: a file with a number of steps, and a note."""

    file: Path
    total: int | None = STEPS


@handlers.register("paced", Pace, time_limit=600)
def paced(run: Run, args: Pace) -> dict[str, Any]:
    """Go as far as the file says, a checkpoint per step, until it says that all is done."""
    done = 0
    while done < STEPS:
        told = json.loads(args.file.read_text())
        if told["step"] > done:
            done = told["step"]
            run.checkpoint(done, args.total, told["note"])
        time.sleep(0.02)
    return {"steps": done, "note": told["note"]}


class Leader:
    """Sets the pace of one such order."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.go(0)

    def go(self, step: int, note: str = "going") -> None:
        """Let it come to this step; a checkpoint says the note."""
        fresh = self.file.with_suffix(".new")
        fresh.write_text(json.dumps({"step": step, "note": note}))
        fresh.replace(self.file)
