"""The counts of all processes: each writes its own row, and whoever is asked adds them up.

A worker has no port that could be scraped and may run on another host, pool processes come and
go, and whoever answers a scrape is one process of several. So the numbers meet where everything
else does, in the database. A row holds all that its process has counted, so writing it twice
changes nothing. The rows of processes that ended are folded into one, called ``past``.
"""

import atexit
import json
import logging
import os
import threading
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from kernel.db.ids import new_id
from kernel.db.tables.service import ProcessMetrics
from kernel.db.transactions import rowcount
from kernel.runtime.kernel import Kernel
from kernel.runtime.metrics import Ledger, Series, add, since

log = logging.getLogger(__name__)

WRITE_SECONDS = 5.0
PAST = "past"
# Nothing is lost when a living but idle process is taken for ended: it begins another row.
FOLD_AFTER = timedelta(minutes=10)
FOLD = 100
ROWS: Any = ProcessMetrics.__table__


def write(kernel: Kernel) -> None:
    """Write what this process has counted to its row, if it has changed.

    Raises the database's errors; nothing is lost then, the next call writes it all.
    """
    counted = kernel.metrics.snapshot()
    with kernel.metrics.ledger.lock:
        if counted != kernel.metrics.ledger.written:
            _store(kernel, kernel.metrics.ledger, counted)
            kernel.metrics.ledger.written = counted


def _store(kernel: Kernel, ledger: Ledger, counted: Series) -> None:
    """Update the row, or begin another where there is none: it is in ``past`` by now."""
    now = kernel.clock.now()
    with kernel.write_session() as session:
        values = {"written_at": now, "series": encode(since(counted, ledger.folded))}
        same_row = update(ROWS).where(ROWS.c.id == ledger.row).values(values)
        if ledger.row and rowcount(session.execute(same_row)) == 1:
            return
        # Noted before the commit: if its answer is lost, the next call finds the row by its id.
        ledger.row, ledger.folded = new_id(now), ledger.written
        values["series"] = encode(since(counted, ledger.folded))
        session.execute(insert(ROWS).values(id=ledger.row, **values))


class LateWriter:
    """Writes what a process without a loop of its own has counted, a few seconds after the first:
    its counts, and which keys were used.

    A thread for each writing, none while nothing happens, and nobody waits for it. Ends with the
    kernel, and writes what is left when the process ends in an orderly way.
    """

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._pid = 0
        self._timer: threading.Timer | None = None

    def write_soon(self) -> None:
        """Have the counts written in a few seconds. Never waits."""
        if self._pid != os.getpid():  # the first time, or a forked child: timers stay behind
            self._pid, self._timer = os.getpid(), None
            atexit.register(self._write)
            self._kernel.on_close.append(self.close)
        if self._timer is None:
            self._timer = timer = threading.Timer(WRITE_SECONDS, self._write)
            timer.daemon = True
            timer.start()

    def close(self) -> None:
        """Write nothing any more, until asked again."""
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
        except Exception as error:  # noqa: BLE001 - the next request asks for the next try
            log.info("counts not written: %s", error)


def totals(kernel: Kernel) -> Series:
    """Return the counts of all processes, those that ended included."""
    total: Series = {}
    with kernel.read_session() as session:
        for series in session.scalars(select(ROWS.c.series)):
            add(total, decode(series))
    return total


def fold(kernel: Kernel) -> int:
    """Add the rows of processes that ended to ``past``; return how many there were."""
    now = kernel.clock.now()
    ended = (ROWS.c.id != PAST, ROWS.c.written_at < now - FOLD_AFTER)
    with kernel.read_session() as session:
        ids = session.scalars(select(ROWS.c.id).where(*ended).limit(FOLD)).all()
    if not ids:
        return 0
    with kernel.write_session() as session:
        total = _locked_past(session, now)
        # One by one: what is folded is what was deleted, whoever wrote to it meanwhile.
        gone = [id for id in ids if _take(session, id, ended, total)]
        session.execute(update(ROWS).where(ROWS.c.id == PAST).values(series=encode(total)))
    return len(gone)


def _locked_past(session: Session, now: Any) -> Series:
    """Lock the row ``past``, so that nobody else folds, and return what it holds."""
    touched = session.execute(update(ROWS).where(ROWS.c.id == PAST).values(written_at=now))
    if rowcount(touched) == 0:
        session.execute(insert(ROWS).values(id=PAST, written_at=now, series="[]"))
    return decode(session.scalars(select(ROWS.c.series).where(ROWS.c.id == PAST)).one())


def _take(session: Session, id: str, ended: tuple[Any, ...], total: Series) -> bool:
    row = session.execute(select(ROWS).where(ROWS.c.id == id, *ended)).one_or_none()
    if row is None:
        return False
    same = (ROWS.c.id == id, ROWS.c.written_at == row.written_at)
    if rowcount(session.execute(delete(ROWS).where(*same))) != 1:
        return False
    add(total, decode(row.series))
    return True


def encode(series: Series) -> str:
    """Write a series as JSON."""
    return json.dumps([[name, labels, values] for (name, labels), values in series.items()])


def decode(text: str) -> Series:
    """Read what `encode` wrote."""
    return {(name, tuple(labels)): values for name, labels, values in json.loads(text)}
