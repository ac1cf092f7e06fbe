"""Bulk acts in tests: begun, and done step by step."""

from typing import Any

from sqlalchemy import insert

from kernel.bulk.choosing import count
from kernel.bulk.jobs import begin, find
from kernel.bulk.kinds import Kind, Plan
from kernel.bulk.progress import new_token
from kernel.bulk.steps import Stepped, Worker, step
from kernel.callers.audit.actor import Actor
from kernel.callers.audit.acts import By
from kernel.db.tables.operating.bulk import LEFT
from kernel.filters.callbacks import CallbackFilter
from kernel.filters.orders import OrderFilter
from kernel.orders.backpressure import Pressure
from kernel.runtime.kernel import Kernel

ANN = By(Actor("ann", "page", "10.1.2.3"), "INC7")


def plan(kind: str, again: bool = False, rate: int | None = None, **wanted: Any) -> Plan:
    """A bulk act of this kind, with these members of its filter."""
    known = Kind(kind)
    filters: Any = OrderFilter if known.is_of_orders else CallbackFilter
    return Plan(known, filters(**wanted), again=again, rate=rate)


def begun(kernel: Kernel, kind: str, **wanted: Any) -> str:
    """Begin a bulk act, counted, by Ann."""
    asked = plan(kind, **wanted)
    with kernel.read_session() as session:
        counted = count(session, asked)
    return begin(kernel, asked, counted, ANN)


def worker(kernel: Kernel, seconds: float = 60.0) -> Worker:
    """What a process does steps with."""
    return Worker(kernel, new_token(kernel), Pressure(kernel), seconds)


def stepped(kernel: Kernel, job_id: str, by: Worker | None = None) -> list[Stepped]:
    """Do steps until none is due; return what they did."""
    by, found = by or worker(kernel), list[Stepped]()
    while (one := step(by, job_id)) is not None:
        assert one.error is None, one.error
        found.append(one)
    return found


def leave(kernel: Kernel, job_id: str, number: int) -> None:
    """Have a job leave so many items as they were."""
    row = {"job_id": job_id, "code": "already_rerun"}
    with kernel.write() as connection:
        connection.execute(insert(LEFT), [row | {"item_id": f"{n:036}"} for n in range(number)])


def job(kernel: Kernel, job_id: str) -> Any:
    """The job's row."""
    with kernel.read_session() as session:
        return find(session, job_id)
