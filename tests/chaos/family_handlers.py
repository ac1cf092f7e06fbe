"""A handler whose order makes others and waits for them, and that of its children."""

import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

from kernel.builtin import CreateProject, create_project
from kernel.errors import Retry
from kernel.handlers import Handlers, Run, Wait


class Parent(BaseModel):
    """A project, and those of the children, the first ``half`` of which is committed alone."""

    projname: str
    key: str
    projnames: list[str]
    half: int
    pause_ms: int
    # Whether the first run is rolled back once it has submitted all children.
    rolls_back: bool = False


class Child(BaseModel):
    """A project, and how long its handler takes."""

    projname: str
    pause_ms: int


def parent_project(run: Run, args: Parent) -> dict[str, Any] | Wait:
    """Submit the children in two commits, wait for all, and tell how many ended in which state.

    Each child's reference has its key, and the number of the run that submitted it.
    """
    found = len(run.children)
    if found == 0:
        _submit(run, args, range(args.half))
        run.checkpoint(args.half, len(args.projnames))
    if found <= args.half:
        _submit(run, args, range(args.half, len(args.projnames)))
        time.sleep(args.pause_ms / 1000)
        if args.rolls_back and run.number == 1:
            raise Retry(after=0.1, reason="rolled back on purpose")
        return Wait.children()
    made = create_project(run, CreateProject(projname=args.projname))
    return made | {"children": dict(Counter(one.state for one in run.children))}


def _submit(run: Run, args: Parent, places: Iterable[int]) -> None:
    for place in places:
        given = {"projname": args.projnames[place], "pause_ms": args.pause_ms}
        run.submit("child_project", **given, reference=f"{args.key}+{place}@{run.number}")


def child_project(run: Run, args: Child) -> dict[str, Any]:
    """Take some time before the project is made."""
    time.sleep(args.pause_ms / 1000)
    return create_project(run, CreateProject(projname=args.projname))


def register(handlers: Handlers) -> None:
    """Register these handlers."""
    handlers.register("parent_project", Parent)(parent_project)
    handlers.register("child_project", Child)(child_project)
