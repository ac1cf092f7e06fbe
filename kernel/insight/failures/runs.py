"""The runs of an order as people see them: what is kept of each, and the last one of all."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from kernel.db.states import OrderState, Tone
from kernel.db.tables.operating.runs import RUNS, EndedRun
from kernel.db.tables.orders import Order
from kernel.db.tables.service import Worker
from kernel.formats.envelope import rfc3339
from kernel.orders.ends.run_ends import FIRST, LAST

# What a row tells of an error.
_TOLD = ("error_code", "error_type", "place", "message", "traceback")
# Of these, what may quote all that a handler works with: for operators alone.
_TEXT = ("message", "traceback")
# Ends that are no failure of the run.
_QUIET = frozenset({"retry", "wait", "stopping", "not_begun"})


@dataclass(frozen=True, slots=True)
class SeenRun:
    """A run: when and where it ran, and how it ended; ``how`` is "running" for one that goes on.

    ``failure``: the row that tells of an error, with what only operators may read.
    """

    number: int
    began_at: datetime | None
    ended_at: datetime | None
    process: str
    how: str
    reason: str = ""
    failure: EndedRun | None = None

    @property
    def tone(self) -> Tone:
        """How it is to be looked at."""
        if self.how in set(OrderState):
            return OrderState(self.how).tone
        return Tone.WARN if self.how in _QUIET else Tone.BAD

    @property
    def lasted(self) -> float | None:
        """Seconds from its beginning to its end; None where one of them is not known."""
        if self.began_at is None or self.ended_at is None:
            return None
        return max(0.0, (self.ended_at - self.began_at).total_seconds())


def runs_of(session: Session, order: Order) -> list[SeenRun]:
    """Return the runs of an order that are kept, the first first. Three small questions at most."""
    query = select(EndedRun).where(RUNS.c.order_id == order.id).order_by(RUNS.c.run)
    kept = session.scalars(query.limit(FIRST + LAST + 1)).all()
    seen = [_seen(one) for one in kept]
    state = OrderState(order.state)
    known = {one.number for one in seen}
    told = state is OrderState.RUNNING or state in (OrderState.SUCCESS, OrderState.WARNING)
    if told and order.run and order.run not in known:
        worker = session.get(Worker, order.runner) if order.runner else None
        process = "" if worker is None else f"{worker.host}:{worker.pid}"
        seen.append(SeenRun(order.run, order.started_at, order.finished_at, process, str(state)))
    return seen


def run_data(run: SeenRun) -> Mapping[str, Any]:
    """Describe a run to an operator."""
    names = (*_TOLD, "fingerprint")
    told = {name: None if run.failure is None else getattr(run.failure, name) for name in names}
    return _run_data(run) | told


def failed_run_data(
    row: EndedRun, references: Mapping[str, str], *, tells_errors: bool = True
) -> Mapping[str, Any]:
    """Describe a run that failed to an operator, with its order and that one's reference.

    Without ``tells_errors`` to a viewer, who reads what kind of error it was, and not its text.
    """
    told = {name: getattr(row, name) for name in _TOLD}
    if not tells_errors:
        told |= dict.fromkeys(_TEXT)
    order = {"order_id": row.order_id, "reference": references.get(row.order_id)}
    return order | _run_data(_seen(row)) | told


def _run_data(run: SeenRun) -> dict[str, Any]:
    return {
        "run": run.number,
        "began_at": rfc3339(run.began_at),
        "ended_at": rfc3339(run.ended_at),
        "process": run.process or None,
        "how": run.how,
        "reason": run.reason or None,
    }


def _seen(row: EndedRun) -> SeenRun:
    process = "" if row.host is None else f"{row.host}:{row.pid}"
    return SeenRun(row.run, row.began_at, row.ended_at, process, row.how, row.reason or "", row)
