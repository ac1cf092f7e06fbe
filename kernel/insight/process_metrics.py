"""The counts of all processes: each writes its own row, and the one that is scraped adds them up.

A worker has no port that could be scraped and may run on another host, pool processes come and go,
and the API process that answers a scrape is one of several. So the numbers meet in the database. A
row holds all that its process has counted, so writing it twice changes nothing. The rows of
processes that ended are folded into one, called ``past``.
"""

import atexit
import json
import logging
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from kernel.db.clock import DatabaseTime
from kernel.db.ids import new_id
from kernel.db.tables.service import ProcessMetrics
from kernel.db.transactions import rowcount
from kernel.runtime.kernel import Kernel
from kernel.runtime.metrics import Ledger, Series, add, since

log = logging.getLogger(__name__)

WRITE_SECONDS = 5.0
PAST = "past"
# A process that was silent for this long counts as ended. If it was only idle, no count is lost:
# it begins another row.
FOLD_AFTER = timedelta(minutes=10)
FOLD = 100
ROWS: Any = ProcessMetrics.__table__


def write(kernel: Kernel) -> None:
    """Write the counts of this process to its row, if they have changed.

    Raises the database's errors. No count is lost then: the next call writes them.
    """
    counted = kernel.metrics.snapshot()
    with kernel.metrics.ledger.lock:
        if counted != kernel.metrics.ledger.written:
            _store(kernel, kernel.metrics.ledger, counted)
            kernel.metrics.ledger.written = counted


def _store(kernel: Kernel, ledger: Ledger, counted: Series) -> None:
    """Update the process's row; insert a new one if it has none, or it was folded into ``past``."""
    with kernel.write_session() as session:
        values = {"written_at": kernel.clock.sql(), "series": encode(since(counted, ledger.folded))}
        same_row = update(ROWS).where(ROWS.c.id == ledger.row).values(values)
        if ledger.row and rowcount(session.execute(same_row)) == 1:
            return
        # Set before the commit: if the commit's answer is lost, the next call still finds the row.
        ledger.row, ledger.folded = new_id(kernel.clock.now()), ledger.written
        values["series"] = encode(since(counted, ledger.folded))
        session.execute(insert(ROWS).values(id=ledger.row, **values))


class LateWriter:
    """Writes the counts of a process that has no loop of its own, and its keys used and refused.

    A timer thread writes ``seconds`` after the first request that it is told of; there is none
    while no request comes, and no request waits for it. Ends with the kernel, and writes what is
    left when the process ends in an orderly way.
    """

    def __init__(self, kernel: Kernel, seconds: float = WRITE_SECONDS) -> None:
        self._kernel = kernel
        self._seconds = seconds
        self._pid = 0
        self._timer: threading.Timer | None = None

    def write_soon(self) -> None:
        """Have the counts written in five seconds. Never waits."""
        if self._pid != os.getpid():  # the first call, or a forked child, which has no timer
            self._pid, self._timer = os.getpid(), None
            atexit.register(self._write)
            self._kernel.on_close.append(self.close)
        if self._timer is None:
            self._timer = timer = threading.Timer(self._seconds, self._write)
            timer.daemon = True
            try:
                timer.start()
            except RuntimeError as error:  # this process gets no thread; the next request tries
                self._timer = None
                log.info("counts not written: %s", error)

    def close(self) -> None:
        """Cancel the pending write; the next `write_soon` starts again."""
        atexit.unregister(self._write)
        timer, self._timer, self._pid = self._timer, None, 0
        if timer is not None:
            timer.cancel()

    def _write(self) -> None:
        self._timer = None
        try:
            write(self._kernel)
            if self._kernel.key_uses.waiting:
                with self._kernel.write() as connection:
                    self._kernel.key_uses.write(connection)
            if self._kernel.refusals.waiting:
                self._kernel.refusals.write(self._kernel.write)
        except Exception as error:  # noqa: BLE001 - the next request starts another try
            log.info("counts not written: %s", error)


def totals(kernel: Kernel) -> Series:
    """Return the sum of the counts of all processes, ended ones included.

    A row that cannot be read is left out; `fold` tells of it.
    """
    total: Series = {}
    with kernel.read_session() as session:
        for series in session.scalars(select(ROWS.c.series)):
            with suppress(ValueError):
                add(total, decode(series))
    return total


class PassedOver(Protocol):
    """The ids of rows that are not looked at now."""

    def __contains__(self, row_id: str, /) -> bool:
        """Tell whether this row is one of them."""
        ...

    def __len__(self) -> int:
        """Return how many there are."""
        ...


class Folded(NamedTuple):
    """What `fold` did: how many rows it folded, and which it could not read."""

    rows: int = 0
    unreadable: Mapping[str, ValueError] = MappingProxyType({})


def fold(kernel: Kernel, passed_over: PassedOver = ()) -> Folded:
    """Add the rows of ended processes to ``past``.

    A row that cannot be read stays, and keeps no other from being folded.
    """
    ended = (ROWS.c.id != PAST, ROWS.c.written_at < kernel.clock.sql(-FOLD_AFTER))
    with kernel.read_session() as session:
        found = select(ROWS.c.id).where(*ended).limit(FOLD + len(passed_over))
        ids = [id for id in session.scalars(found) if id not in passed_over]
    if not ids:
        return Folded()
    count, unreadable = 0, {}
    with kernel.write_session() as session:
        total = _locked_past(session, kernel.clock.sql(), kernel.clock.now())
        # One by one: only a row that was deleted is folded, none that its process wrote since.
        for id in ids:
            try:
                count += _take(session, id, ended, total)
            except ValueError as error:
                unreadable[id] = error
        session.execute(update(ROWS).where(ROWS.c.id == PAST).values(series=encode(total)))
    return Folded(count, unreadable)


def _locked_past(session: Session, now: DatabaseTime, carried: datetime) -> Series:
    """Lock the row ``past``, so that no other process folds, and return what it holds.

    One that cannot be read gets an id of its own, made from ``carried``, and another one begins.
    """
    touched = session.execute(update(ROWS).where(ROWS.c.id == PAST).values(written_at=now))
    if rowcount(touched) == 1:
        try:
            return decode(session.scalars(select(ROWS.c.series).where(ROWS.c.id == PAST)).one())
        except ValueError:
            session.execute(update(ROWS).where(ROWS.c.id == PAST).values(id=new_id(carried)))
    session.execute(insert(ROWS).values(id=PAST, written_at=now, series="[]"))
    return {}


def _take(session: Session, id: str, ended: tuple[Any, ...], total: Series) -> bool:
    """Move one row's counts to ``total``. Raises ValueError when it cannot be read."""
    row = session.execute(select(ROWS).where(ROWS.c.id == id, *ended)).one_or_none()
    if row is None:
        return False
    series = decode(row.series)
    same = (ROWS.c.id == id, ROWS.c.written_at == row.written_at)
    if rowcount(session.execute(delete(ROWS).where(*same))) != 1:
        return False
    add(total, series)
    return True


def encode(series: Series) -> str:
    """Return a series as JSON."""
    return json.dumps([[name, labels, values] for (name, labels), values in series.items()])


def decode(text: str) -> Series:
    """Read what `encode` wrote. Raises ValueError for anything else."""
    try:
        return {
            (str(name), tuple(map(str, labels))): [float(value) for value in values]
            for name, labels, values in json.loads(text)
        }
    except (TypeError, OverflowError) as error:
        raise ValueError(f"not the counts of a process: {error}") from None
