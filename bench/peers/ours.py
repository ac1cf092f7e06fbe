"""kernel's handlers beside the other engines: one of short orders, and one that calls a system."""

from typing import Any

import requests
from pydantic import Field

from kernel.builtin import CreateProject
from kernel.builtin import create_project as insert_project
from kernel.handlers import Handlers, Run

handlers = Handlers()

# Short, so its orders share commits.
handlers.register("create_project", CreateProject, together=True)(insert_project)


class CallAndCreate(CreateProject):
    """One project, before whose row is written another system is called."""

    work_url: str = Field(max_length=2000)


@handlers.register("call_and_create_project", CallAndCreate)
def call_and_create_project(run: Run, args: CallAndCreate) -> dict[str, Any]:
    """Call the other system, and insert one project as the built-in handler does."""
    requests.post(args.work_url, json={}, timeout=15).raise_for_status()
    return insert_project(run, args)
