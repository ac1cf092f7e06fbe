"""What is under way is ended from outside: a statement, and the run of an order."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, insert, text
from sqlalchemy.exc import DBAPIError

from kernel.db.errors import is_interruption, is_outage
from kernel.db.tables.service import SelectTag
from kernel.errors import Conflict
from kernel.handlers import Handlers, Run
from kernel.orders.cancel import cancel
from kernel.runs.execute import execute
from kernel.runtime.kernel import Kernel
from tests.support.abilities import Kind
from tests.support.factories import make_order, order
from tests.support.rivals import at_once, kill
from tests.support.stepwise_runs import Anything
from tests.support.waiting import wait_until

# Holds the write lock of a file until it is killed.
HOLDER = """
import sqlite3, sys
file = sqlite3.connect(sys.argv[1], isolation_level=None)
file.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


def test_statement_is_ended_with_its_transaction_while_it_is_under_way(
    kernel: Kernel, kind: Kind
) -> None:
    row = insert(SelectTag).values(tag="a", seen_at=kernel.clock.now())
    with holding(kernel, kind, row) as end:
        end()
        with kernel.write() as connection:
            connection.execute(row)


@contextmanager
def holding(kernel: Kernel, kind: Kind, row: Any) -> Iterator[Callable[[], None]]:
    """Have another hold a lock that ``row`` needs, busy meanwhile; yield what ends it."""
    if "kill" in kind.cannot:
        file = str(kernel.engine.url.database)
        argv = [sys.executable, "-c", HOLDER, file]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == b"held\n"
            yield other.kill
        return
    found: list[DBAPIError] = []
    with kernel.run_connection() as busy:
        busy.execute(row)
        thread = threading.Thread(target=sleep, args=(busy, kind, found))
        thread.start()
        wait_until(partial(count_asleep, kernel, kind))
        yield partial(kill, kernel, busy)
        thread.join(10)
        busy.invalidate()
    assert [(is_outage(one), is_interruption(one)) for one in found] == [(True, False)]


def count_asleep(kernel: Kernel, kind: Kind) -> int:
    """Count what is busy so on the server."""
    with kernel.read() as connection:
        return int(connection.scalar(text(kind.asleep)) or 0)


def sleep(connection: Connection, kind: Kind, found: list[DBAPIError]) -> None:
    """Say something that takes long; note how it failed."""
    with pytest.raises(DBAPIError) as ended:
        connection.execute(text(kind.sleep))
    found.append(ended.value)


def test_order_is_run_or_cancelled_when_both_come_at_once(
    make_kernel: Callable[..., Kernel], database_url: str
) -> None:
    runs: list[str] = []
    handlers = Handlers()

    @handlers.register("count", Anything)
    def count(run: Run, args: Anything) -> dict[str, Any]:
        runs.append(run.order_id)
        return {}

    worker, caller = (make_kernel(database_url, handlers) for _ in range(2))
    ids = [make_order(worker, select_tag="count") for _ in range(10)]
    said = at_once(
        lambda: [execute(worker, one) for one in ids],
        lambda: [cancelled(caller, one) for one in reversed(ids)],
    )[1]
    for order_id, answer in zip(reversed(ids), said, strict=True):
        state = order(worker, order_id).state
        assert state == ("success" if order_id in runs else "cancelled")
        # One that runs may be told of the wish, and finish first.
        assert answer in ({"running", "ended"} if order_id in runs else {"cancelled"})


def cancelled(kernel: Kernel, order_id: str) -> str:
    """Cancel an order; return what a caller is told."""
    try:
        return str(cancel(kernel, 1, order_id))
    except Conflict:
        return "ended"
