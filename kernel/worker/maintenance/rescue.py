"""Take orders from workers that stopped renewing their leases, and from processes that are gone."""

import logging
from collections.abc import Sequence
from datetime import datetime
from time import monotonic
from typing import Any

from sqlalchemy import Select, delete, select

from kernel.db.errors import DATABASE_ERRORS, driver_error, is_contention
from kernel.db.states import OrderState
from kernel.db.tables.orders import ORDERS
from kernel.db.tables.service import Worker
from kernel.db.transactions import rowcount
from kernel.delivery.release import release_claims
from kernel.orders.decide import Exit, Why
from kernel.orders.gates.children import with_parent
from kernel.orders.transitions import RunEnd, leave_running
from kernel.runtime.kernel import Kernel
from kernel.runtime.metrics import RESCUED
from kernel.worker.maintenance.job import Swept
from kernel.worker.maintenance.set_aside import SetAside

log = logging.getLogger(__name__)

# Orders that one sweep takes over at the most.
RESCUES = 100
# Running orders whose leases one sweep looks at, the oldest first.
WATCHED = 10_000
# A lease that stands for this many leases is not renewed any more, wherever the clock was set.
STANDS = 4
_COLUMNS = tuple(ORDERS.c[name] for name in ("id", "run", "connection_id", "lease_until", "gates"))


class SeenLeases:
    """Since when (monotonic) this process has seen each lease of a running order unchanged.

    A lease has ended when the database's clock says so, and that clock was steady for ``seconds``,
    the length of a lease: set forward, it ends all of them at once, and their owners live. Where
    this process does not know that of the clock, it has to see a lease stand for as long. Looks
    alone would not do: the turn to sweep goes round, and of many processes each has it rarely.
    Belongs to one thread.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: dict[tuple[str, int, datetime], float] = {}

    def look(self, kernel: Kernel) -> list[Any]:
        """Note the leases of all that runs; return the orders whose leases have ended."""
        sent = monotonic()
        rows = running_orders(kernel)
        now, clock = monotonic(), kernel.clock
        told = bool(rows) and clock.heard(rows[0].now, sent) and clock.is_steady_for(self._seconds)
        self._since = {key: self._since.get(key, now) for key in map(_key, rows)}
        stood = [(row, now - self._since[_key(row)]) for row in rows]
        return [
            row
            for row, seconds in stood
            if (row.over and (told or seconds >= self._seconds))
            or seconds >= STANDS * self._seconds
        ]


def _key(row: Any) -> tuple[str, int, datetime]:
    return row.id, row.run, row.lease_until


def running_orders(kernel: Kernel) -> Sequence[Any]:
    """Return what runs, the oldest lease first; whether that is over by the clock, and its time."""
    over = ORDERS.c.lease_until < kernel.clock.sql()
    with kernel.read_session() as session:
        return session.execute(
            select(*_COLUMNS, over.label("over"), kernel.clock.sql().label("now"))
            .where(ORDERS.c.state == OrderState.RUNNING)
            .order_by(ORDERS.c.lease_until)
            .limit(WATCHED)
        ).all()


def rescue_orders(
    kernel: Kernel,
    swept: Swept,
    aside: SetAside | None = None,
    leases: SeenLeases | None = None,
) -> None:
    """Take over running orders whose leases have run out, the oldest lease first.

    Each goes back to pending, or ends, as `kernel.orders.decide` says of a worker that died. The
    dead run's database connection is killed: a frozen worker still holds its row locks. Where these
    are in the way, the next call takes the order over. An order whose row cannot be written is set
    ``aside``, and the others are taken over. Without ``leases`` the clock alone decides, at the
    word of an operator who knows that the workers are dead.
    """
    aside = SetAside("order not rescued") if aside is None else aside
    if leases is None:
        ended = [row for row in running_orders(kernel) if row.over]
    else:
        ended = leases.look(kernel)
    rows = ended[: RESCUES + len(aside)]
    has_killed = False

    def rescue(row: Any) -> None:
        nonlocal has_killed
        same, held = ORDERS.c.lease_until == row.lease_until, (row.id, row.run)
        why = Exit(Why.DIED)
        try:
            with kernel.write_session() as session:
                end = leave_running(kernel, session, held, why, only=same, gates=row.gates)
        except DATABASE_ERRORS as error:
            # Once in a call: that it holds a row alone is seen by waiting for it once more.
            if is_contention(error) and not has_killed and not _may_live(kernel, row):
                _kill_connection(kernel, row.connection_id)
                has_killed = True
            raise
        if end is None:  # its owner lives
            return
        _count(kernel, row, "order rescued")
        swept.add(with_parent(kernel, end))
        _kill_connection(kernel, row.connection_id)

    aside.do_each(rows, rescue, key=lambda row: str(row.id))


def _may_live(kernel: Kernel, row: Any) -> bool:
    """Tell whether an order whose lease has ended may run, or another order on its connection.

    A lease is renewed unless the order's row is locked. It is locked alone by a run that is ending,
    and shared by one that goes on, whose handler wrote a row that refers to it (on MariaDB; on
    PostgreSQL a lease is renewed all the same). Who waits for a lock of its own may stand before
    the question for a shared one, which is why that one waits, too.
    """
    runs, number = ORDERS.c.state == OrderState.RUNNING, row.connection_id
    if number is None:
        return True
    goes_on = ORDERS.c.lease_until > kernel.clock.sql()
    other = select(ORDERS.c.id).where(runs, ORDERS.c.connection_id == number, goes_on).limit(1)
    same = (ORDERS.c.run == row.run, ORDERS.c.lease_until == row.lease_until)
    mine = select(ORDERS.c.id).where(ORDERS.c.id == row.id, runs, *same)
    if _finds(kernel, other):
        return True
    if _finds(kernel, mine.with_for_update(skip_locked=True, key_share=True)):
        return False
    try:
        _finds(kernel, mine.with_for_update(read=True))
    except DATABASE_ERRORS as error:
        if is_contention(error):
            return False
        raise
    return True


def _finds(kernel: Kernel, wanted: Select[Any]) -> bool:
    with kernel.write_session() as session:
        return session.scalar(wanted) is not None


def take_over(kernel: Kernel, runner: str, aside: SetAside, ends: list[RunEnd]) -> bool:
    """Hand back all that the process ``runner`` has claimed; True when nothing of it is left.

    That process must have ended, with all that it started. What becomes of each order is added to
    ``ends`` with its commit. An order whose row cannot be written is set ``aside``; call again.
    Raises what says that the database is away.
    """
    with kernel.read_session() as session:
        rows = session.execute(
            select(*_COLUMNS).where(ORDERS.c.state == OrderState.RUNNING, ORDERS.c.runner == runner)
        ).all()
    done = set[str]()

    def hand_back(row: Any) -> None:
        # First: its server may not have noticed yet, and its transaction may hold the order's row.
        _kill_connection(kernel, row.connection_id)
        with kernel.write_session() as session:
            held = (row.id, row.run)
            end = leave_running(kernel, session, held, Exit(Why.DIED), gates=row.gates)
        done.add(row.id)
        if end is not None:
            _count(kernel, row, "order taken over from a process that is gone")
            ends.append(with_parent(kernel, end))

    aside.do_each(rows, hand_back, key=lambda row: str(row.id))
    if released := release_claims(kernel, runner):
        log.warning("callbacks of a process that is gone are due again: %d", released)
    if len(done) < len(rows):
        return False  # the row stays: it tells others of the machine whom to take over from
    with kernel.write_session() as session:
        deleted = session.execute(delete(Worker).where(Worker.id == runner))
    if rowcount(deleted):  # of several that take over one says so
        log.warning("process is gone, all that it had claimed is handed back: %s", runner)
    return True


def _count(kernel: Kernel, row: Any, what: str) -> None:
    kernel.metrics.count(RESCUED)
    log.warning(what, extra={"order_id": row.id, "run": row.run})


def _kill_connection(kernel: Kernel, connection_id: int | None) -> None:
    if connection_id is None:
        return
    try:
        with kernel.write() as connection:
            kernel.dialect.kill_connection(connection, connection_id)
    except DATABASE_ERRORS as error:  # gone already, which is what we want
        log.debug("connection %s not killed: %s", connection_id, driver_error(error))
