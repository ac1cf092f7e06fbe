"""Processes at work, as their rows tell of them."""

import platform
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from sqlalchemy import update

from kernel.db.tables.service import Worker
from kernel.insight.workers import Heartbeat, Running
from kernel.insight.workers.asking import drain
from kernel.runtime.kernel import Kernel

HOST = platform.node()


def at_work(
    kernel: Kernel,
    *running: Running,
    kind: str = "worker",
    host: str = HOST,
    ago: timedelta = timedelta(0),
    process: Heartbeat | None = None,
) -> Heartbeat:
    """Have a process of a host say what it runs; return it. ``ago``: when it did so last."""
    now = kernel.clock.now()
    one = process or Heartbeat(kind, now, pool="prefork")
    with kernel.write_session() as session:
        one.note(session, now - ago, running, [])
        session.execute(update(Worker).where(Worker.id == one.id).values(host=host))
    return one


def running(kernel: Kernel, order_id: str, minutes: float, tag: str = "create_project") -> Running:
    """An order that runs for so long, and may run for an hour."""
    since = kernel.clock.now() - timedelta(minutes=minutes)
    return Running(order_id, 1, tag, since, 3600.0)


# What each route of workers needs, behind `/workers/`: values of its address, and a body.
ASKED: dict[str, Callable[[Kernel], tuple[dict[str, Any], dict[str, str]]]] = {
    "drain": lambda k: ({}, {"host": HOST}),
    "resume": lambda k: ({"n": drain(k, HOST)}, {"host": HOST}),
    "<process_id>/terminate": lambda k: ({"process_id": at_work(k).id}, {}),
}
