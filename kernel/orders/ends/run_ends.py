"""What is looked at when a run ends without an outcome, and the row that tells of its end.

`kernel.orders.transitions` writes the row in the commit that ends the run, or the order. A run that
ends in success or warning writes none.
"""

import hashlib
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, exists, insert, select

from kernel.db.clock import DatabaseTime
from kernel.db.states import OrderState, Outcome
from kernel.db.tables.operating.runs import FINGERPRINT, RUNS
from kernel.db.tables.orders import ORDERS, OrderSnapshot
from kernel.db.tables.service import Worker
from kernel.formats.envelope import cut
from kernel.orders.decide import Again, Ended, Exit, Failure, Standing, Waits, Why
from kernel.runtime.kernel import Kernel

COUNTERS = ("crashes", "broken", "timeouts", "retries")
# How many rows are kept of an order's first runs, and how many of its last.
FIRST, LAST = 20, 80
# What an order ends with in which runs end again and again like this: their failures are of one
# kind with that one.
CODES = {
    Why.DIED: "worker_lost",
    Why.TIMED_OUT: "timed_out",
    Why.BROKEN: "keeps_breaking",
    Why.BUG: "internal_error",
}
# Of an order's row: whether a run of it was more than claimed.
HAS_BEGUN = (
    exists().where(RUNS.c.order_id == ORDERS.c.id, RUNS.c.how != Why.NOT_BEGUN).label("has_begun")
)
_WHERE = ("began_at", "runner", "host", "pid")
# Where and since when a run goes on. Not by INSERT ... SELECT: MariaDB 10.11 dies of its EXPLAIN.
_RAN = select(ORDERS.c.started_at, ORDERS.c.runner, Worker.host, Worker.pid).select_from(
    ORDERS.outerjoin(Worker, Worker.id == ORDERS.c.runner)
)


class _End(NamedTuple):
    """How a run ended, as its row says it."""

    how: str
    code: str | None = None
    reason: str = ""
    failure: Failure | None = None
    # What it is grouped by beside the failure; null for what is no failure.
    kind: str | None = None


def fingerprint(tag: str, code: str, failure: Failure | None = None) -> str:
    """Return what failures of one kind have in common.

    That is the tag with the type of the exception and the function in which it was raised; where
    no exception tells of it, the tag with the error code.
    """
    of = (failure.kind, failure.place) if failure is not None and failure.kind else (code,)
    said = "\0".join((tag, *of)).encode("utf-8", "replace")
    return hashlib.sha256(said).hexdigest()[:FINGERPRINT]


def standing(kernel: Kernel, order: OrderSnapshot, row: Any) -> Standing:
    """Return what `decide` asks of a locked row."""
    handler = kernel.handlers.get(order.select_tag)
    return Standing(
        run=order.run,
        **{name: getattr(row, name) for name in COUNTERS},
        cancel_requested=row.cancel_requested_at is not None,
        marked=row.marked,
        checkpoint=order.checkpoint,
        is_late=bool(row.is_late),
        has_begun=bool(row.has_begun),
        max_runs=None if handler is None else handler.max_runs,
    )


def note_exit(
    kernel: Kernel,
    connection: Connection,
    order: OrderSnapshot,
    exit_: Exit,
    verdict: Again | Waits | Ended,
) -> None:
    """Write how a run ended without an outcome. Before its order's row is written."""
    code = verdict.code if isinstance(verdict, Ended) else None
    failed = code is not None and code != OrderState.CANCELLED
    kind = code if failed else CODES.get(exit_.why)
    # What an exception says is the failure's, which neither viewers nor callers read.
    said = exit_.reason or exit_.what
    end = _End(exit_.why, code, said, exit_.failure, None if code == "cancelled" else kind)
    _note(connection, order, end, kernel.clock.sql())


def note_failed(
    kernel: Kernel, connection: Connection, order: OrderSnapshot, outcome: Outcome
) -> None:
    """Write how a run ended that has an outcome; or that the order ended and nothing of it ran.

    After its order's row is written. Nothing is written for success and warning, for what was
    cancelled, and where the run's end has been written already.
    """
    if outcome.state == OrderState.FAILED:
        end = _End(outcome.state, outcome.error_code, outcome.message, kind=outcome.error_code)
        _note(connection, order, end, kernel.clock.sql())


def _note(connection: Connection, order: OrderSnapshot, end: _End, now: DatabaseTime) -> None:
    ran = order.state == OrderState.RUNNING
    run = order.run if ran else order.run + 1
    known = exists().where(RUNS.c.order_id == order.id, RUNS.c.run == run)
    found = connection.execute(_RAN.add_columns(known).where(ORDERS.c.id == order.id)).one()
    *where, is_known = found
    if is_known:
        return
    failure = end.failure or Failure()
    of = None if end.kind is None else fingerprint(order.select_tag, end.kind, failure)
    where_it_ran = dict(zip(_WHERE, where if ran else [None] * len(_WHERE), strict=True))
    values = {
        "order_id": order.id,
        "run": run,
        "ended_at": now,
        "how": str(end.how),
        "error_code": end.code,
        "reason": cut(end.reason.replace("\0", "")) or None,
        "error_type": failure.kind or None,
        "place": failure.place or None,
        "message": cut(failure.message) or None,
        "traceback": failure.traceback or None,
        "fingerprint": of,
        "is_counted": of is None,
    }
    connection.execute(insert(RUNS).values(values | where_it_ran))
    if run > FIRST + LAST:
        old = (RUNS.c.order_id == order.id, RUNS.c.run > FIRST, RUNS.c.run <= run - LAST)
        connection.execute(delete(RUNS).where(*old))
