"""Schedules of tests: made, looked at, and swept at a moment."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from kernel.db.tables.orders import ORDERS
from kernel.runtime.kernel import Kernel
from kernel.schedules import changes
from kernel.schedules.definition import Definition
from kernel.schedules.rows import find
from kernel.worker.maintenance.job import Swept
from kernel.worker.maintenance.schedules import fire_schedules

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NIGHTLY = Definition(
    "anonymous",
    "0 2 * * *",
    "UTC",
    "create_project",
    {"projname": "Bridge", "prodesc": "over the river"},
    None,
    "nightly",
)


def add(kernel: Kernel, name: str = "nightly", **values: Any) -> None:
    """Make a schedule."""
    changes.add(kernel, name, replace(NIGHTLY, **values))


def row(kernel: Kernel, name: str = "nightly") -> Any:
    """The schedule now."""
    with kernel.read_session() as session:
        return find(session, name)


def orders(kernel: Kernel) -> list[Any]:
    """The orders that schedules have made, the oldest first."""
    with kernel.read() as connection:
        made = ORDERS.c.idempotency_key.like("schedule:%")
        return list(connection.execute(select(ORDERS).where(made).order_by(ORDERS.c.id)))


def keyed(kernel: Kernel, *times: datetime, name: str = "nightly") -> list[str]:
    """The idempotency keys of orders at these times."""
    return [f"schedule:{row(kernel, name).id}:{at:%Y-%m-%dT%H:%M:%SZ}" for at in times]


def to(kernel: Kernel, moment: datetime) -> None:
    """Move the clock to a moment."""
    kernel.clock.shift((moment - kernel.clock.now()).total_seconds())


def swept(kernel: Kernel) -> list[str]:
    """What a sweep submits."""
    done = Swept()
    fire_schedules(kernel, done)
    return done.due
