"""Handlers whose processes a test kills, and that leave children of every kind behind."""

import fcntl
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from kernel.errors import Reject
from kernel.handlers import Handlers, Run, Wait
from tests.support.waiting import is_running

handlers = Handlers()
LONG = 600
PARTS = 4


class Report(BaseModel):
    """A folder: run n writes into the file "n" what `Begun` says."""

    folder: Path


class Held(Report):
    """Which file a run locks while it works: the system's lock, which dies with its process."""

    lock: Path


class Split(Report):
    """How many children the first run commits before it submits the others and waits."""

    committed: int


class Part(Report):
    """A child's number."""

    number: int


class Begun(BaseModel):
    """What a run says when it begins: when (monotonic), where, and what it has started."""

    at: float
    process: int
    children: list[int] = []
    # Children of the first run that still run.
    left: list[int] = []


def begun(folder: Path, run: int) -> Begun | None:
    """Return what run number ``run`` has said; None as long as it has not."""
    file = folder / str(run)
    return Begun.model_validate_json(file.read_text()) if file.exists() else None


def _begin(run: Run, args: Report, children: list[int] | None = None) -> None:
    first = begun(args.folder, 1)
    left = [pid for pid in first.children if is_running(pid)] if first else []
    said = Begun(at=time.monotonic(), process=os.getpid(), children=children or [], left=left)
    fresh = args.folder / "new"
    fresh.write_text(said.model_dump_json())
    fresh.replace(args.folder / str(run.number))


def _forked() -> int:
    """Fork a child that has all that its parent has open, connections to the database as well."""
    pid = os.fork()
    if pid == 0:
        time.sleep(LONG)
        os._exit(0)
    return pid


def _children() -> list[int]:
    sleeps = ["sleep", str(LONG)]
    # A shell that waits for what it has started: a child, and a grandchild.
    shell = subprocess.Popen(["sh", "-c", f"sleep {LONG} & echo $!; wait"], stdout=subprocess.PIPE)
    assert shell.stdout is not None
    return [
        subprocess.Popen(sleeps).pid,
        subprocess.Popen(sleeps, start_new_session=True).pid,
        subprocess.Popen(sleeps, env={"PATH": os.environ["PATH"]}, process_group=0).pid,
        _forked(),
        shell.pid,
        int(shell.stdout.readline()),
    ]


@handlers.register("parent", Report, time_limit=LONG)
def parent(run: Run, args: Report) -> dict[str, Any]:
    """The first run starts children and waits; the next says which of them are left."""
    first = run.number == 1
    _begin(run, args, _children() if first else None)
    if first:
        time.sleep(LONG)
    return {"run": run.number}


@handlers.register("parent_over_limit", Report, time_limit=2, max_runs=2)
def parent_over_limit(run: Run, args: Report) -> dict[str, Any]:
    """Each run reaches a checkpoint, starts children and exceeds its time limit."""
    run.checkpoint(1, 2)
    _begin(run, args, _children())
    time.sleep(LONG)
    return {}


@handlers.register("daemon", Report, time_limit=LONG)
def daemon(run: Run, args: Report) -> dict[str, Any]:
    """Start a daemon, and end well when the file "end" is there."""
    shell = ["sh", "-c", f"sleep {LONG} >/dev/null & echo $!"]
    told = subprocess.run(shell, stdout=subprocess.PIPE, check=True).stdout
    _begin(run, args, [int(told)])
    while not (args.folder / "end").exists():
        time.sleep(0.02)
    return {"alive": is_running(int(told))}


@handlers.register("dies", Report, max_runs=3)
def dies(run: Run, args: Report) -> dict[str, Any]:
    """Every run kills its process."""
    _begin(run, args)
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


@handlers.register("quick", Report)
def quick(run: Run, args: Report) -> dict[str, Any]:
    """Say where it runs."""
    _begin(run, args)
    return {"process": os.getpid()}


@handlers.register("held", Held, time_limit=LONG, concurrency=1)
def held(run: Run, args: Held) -> dict[str, Any]:
    """Work until the file "end" is there, and fail when another order of the tag does, too."""
    with args.lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Reject("two_at_once", "another order has the slot") from None
        _begin(run, args)
        while not (args.folder / "end").exists():
            time.sleep(0.02)
    return {"run": run.number}


@handlers.register("split", Split, time_limit=LONG)
def split(run: Run, args: Split) -> dict[str, Any] | Wait:
    """The first run commits some of its children, submits the others, and commits no more."""
    made = len(run.children)
    if made == PARTS:
        return {"children": [[one.state, one.result] for one in run.children]}
    for number in range(made, PARTS):
        run.submit("part", folder=str(args.folder), number=number)
        if number + 1 == args.committed:
            run.checkpoint(number + 1, PARTS)
    _begin(run, args)
    if run.number == 1:
        time.sleep(LONG)
    return Wait.children()


@handlers.register("part", Part)
def part(run: Run, args: Part) -> dict[str, Any]:
    """Write a line for each time that it runs."""
    with (args.folder / "parts").open("a") as file:
        file.write(f"{args.number}\n")
    return {"number": args.number}
