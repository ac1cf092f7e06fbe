"""Handlers that misbehave on purpose, each in one way."""

import contextlib
import os
import signal
import time
from typing import Any

from pydantic import BaseModel
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import OperationalError

from kernel.builtin import projects
from kernel.errors import Reject, Retry, TimeLimit
from kernel.handlers import Handlers, Partial, Run
from tests.support.abilities import kind_of

handlers = Handlers()


class Named(BaseModel):
    """One name to write."""

    name: str = "row"


def write(run: Run, name: str) -> None:
    """Insert one row."""
    run.session.execute(insert(projects).values(projname=name, prodesc="", projctime=run.now))


def _register(tag: str, **limits: Any) -> Any:
    return handlers.register(tag, Named, **limits)


@_register("write")
def write_one(run: Run, args: Named) -> dict[str, Any]:
    write(run, args.name)
    return {"run": run.number}


@_register("reject")
def reject(run: Run, args: Named) -> dict[str, Any]:
    write(run, args.name)
    raise Reject("no_room", "there is no room")


@_register("retry_once")
def retry_once(run: Run, args: Named) -> dict[str, Any]:
    write(run, args.name)
    if run.number == 1:
        raise Retry(after=60)
    return {"run": run.number}


@_register("retry_soon")
def retry_soon(run: Run, args: Named) -> dict[str, Any]:
    if run.number == 1:
        raise Retry(after=10)
    return {"run": run.number}


@_register("partial")
def partial(run: Run, args: Named) -> Partial:
    return Partial({"done": 1}, "one of two")


@_register("bug")
def bug(run: Run, args: Named) -> dict[str, Any]:
    write(run, args.name)
    raise RuntimeError("secret detail")


@_register("exit")
def leave(run: Run, args: Named) -> dict[str, Any]:
    raise SystemExit(3)


@_register("nan")
def nan(run: Run, args: Named) -> dict[str, Any]:
    write(run, args.name)
    return {"x": float("nan")}


@_register("huge")
def huge(run: Run, args: Named) -> dict[str, Any]:
    return {"x": "y" * 300_000}


@_register("surrogate")
def surrogate(run: Run, args: Named) -> dict[str, Any]:
    return {"x": "\ud800"}


@_register("nothing")
def nothing(run: Run, args: Named) -> Any:
    return None


@_register("commit")
def commit(run: Run, args: Named) -> dict[str, Any]:
    write(run, args.name)
    run.session.commit()
    return {}


@_register("commit_below")
def commit_below(run: Run, args: Named) -> dict[str, Any]:
    write(run, args.name)
    run.session.connection().commit()
    return {}


@_register("rollback_below")
def rollback_below(run: Run, args: Named) -> dict[str, Any]:
    write(run, args.name)
    run.session.connection().get_transaction().rollback()
    return {}


@_register("ddl")
def ddl(run: Run, args: Named) -> dict[str, Any]:
    write(run, args.name)
    run.session.execute(text("/* new */ CREATE TABLE sneaky (id INTEGER)"))
    return {}


@_register("two_checkpoints")
def two_checkpoints(run: Run, args: Named) -> dict[str, Any]:
    for step in range(run.progress.current if run.progress else 0, 3):
        write(run, f"{args.name}{step}")
        if step < 2:
            run.checkpoint(step + 1, 3, f"step {step}", {"step": step})
    return {"state": run.state}


@_register("swallow")
def swallow(run: Run, args: Named) -> dict[str, Any]:
    """Swallow whatever the checkpoint raises and go on as if nothing had happened."""
    write(run, f"{args.name}0")
    try:
        run.checkpoint(1, 2)
    except Exception:  # noqa: BLE001 - that is what it does
        write(run, "after")
    write(run, f"{args.name}1")
    return {}


@_register("savepoint")
def savepoint(run: Run, args: Named) -> dict[str, Any]:
    write(run, "good")
    try:
        with run.savepoint():
            write(run, "bad")
            raise ValueError("undo this row alone")
    except ValueError:
        return {}
    return {"unreachable": True}


@_register("lock")
def lock(run: Run, args: Named) -> dict[str, Any]:
    """Write a row, then want the row called `wanted`, and swallow that it cannot be had."""
    write(run, f"before-{run.number}")
    with contextlib.suppress(OperationalError):
        run.session.execute(
            update(projects).where(projects.c.projname == "wanted").values(prodesc="locked")
        )
    write(run, f"after-{run.number}")
    return {"run": run.number}


@_register("slow", time_limit=600)
def slow(run: Run, args: Named) -> dict[str, Any]:
    """Ten checkpoints, three tenths of a second each."""
    for step in range(run.progress.current if run.progress else 0, 10):
        write(run, f"{args.name}{step}")
        time.sleep(0.3)
        run.checkpoint(step + 1, 10, "slow")
    return {"run": run.number}


@_register("silent", time_limit=600)
def silent(run: Run, args: Named) -> dict[str, Any]:
    """Work for as many seconds as the name says, without a checkpoint."""
    write(run, "silent")
    time.sleep(float(args.name))
    return {"run": run.number}


@_register("patient")
def patient(run: Run, args: Named) -> dict[str, Any]:
    """As `silent`, with the setting's time limit."""
    return silent(run, args)


@_register("over_limit", time_limit=1, max_runs=1)
def over_limit(run: Run, args: Named) -> dict[str, Any]:
    time.sleep(3600)
    return {}


@_register("over_soft_limit", soft_limit=1, max_runs=1)
def over_soft_limit(run: Run, args: Named) -> dict[str, Any]:
    """Ask the database for longer than the soft limit; swallow it, and take it for a success."""
    write(run, args.name)
    with contextlib.suppress(TimeLimit):
        run.session.execute(text(kind_of(run.session.connection().dialect.name).sleep))
    return {}


@_register("killed_once")
def killed_once(run: Run, args: Named) -> dict[str, Any]:
    """Write, checkpoint, write again; the first run's process is killed there."""
    if run.progress is None:
        write(run, "first")
        run.checkpoint(1, 2)
    write(run, "second")
    if run.number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"run": run.number}


@_register("killed_always", max_runs=2)
def killed_always(run: Run, args: Named) -> dict[str, Any]:
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


@_register("frozen_once")
def frozen_once(run: Run, args: Named) -> dict[str, Any]:
    """Lock the row called `wanted`; the first run's process freezes while it holds the lock."""
    run.session.execute(
        update(projects).where(projects.c.projname == "wanted").values(prodesc=f"run {run.number}")
    )
    if run.number == 1:
        os.kill(os.getpid(), signal.SIGSTOP)
    return {"run": run.number}


def names(session: Any) -> list[str]:
    """The names of all rows written, in order."""
    return list(session.scalars(select(projects.c.projname).order_by(projects.c.id)))
