"""kernel's handler beside the other engines: the built-in one, which may call a system first."""

from typing import Any

import requests
from pydantic import Field

from kernel.builtin import CreateProject
from kernel.builtin import create_project as insert_project
from kernel.handlers import Handlers, Run

handlers = Handlers()


class CallAndCreate(CreateProject):
    """One project; with ``work_url`` another system is called before the row is written."""

    work_url: str = Field("", max_length=2000)


@handlers.register("create_project", CallAndCreate)
def create_project(run: Run, args: CallAndCreate) -> dict[str, Any]:
    """Insert one project, as the built-in handler does."""
    if args.work_url:
        requests.post(args.work_url, json={}, timeout=15).raise_for_status()
    return insert_project(run, args)
