"""What is asked when failures are counted by their kind, and people look at them; done once.

And when a run that froze is in the way of its rescue.
"""

from datetime import timedelta
from typing import Any

import pymysql
from sqlalchemy import event, update

from kernel.db.tables.operating.errors import ERRORS
from kernel.insight.failures import errors
from kernel.insight.failures.counting import count_failures, forget_errors
from kernel.insight.failures.new import new_errors
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.job import Swept
from kernel.worker.maintenance.rescue import rescue_orders
from tests.support.factories import make_order
from tests.support.failures import BOOKED, make_failure


def failures_are_counted(kernel: Kernel) -> None:
    """By their kind, again after one is resolved; people look at them; old ones are forgotten."""
    first = make_failure(kernel)
    assert count_failures(kernel)
    errors.resolve(kernel, BOOKED)
    now = kernel.clock.now()
    make_failure(kernel, first, now + timedelta(minutes=1))
    make_failure(kernel, at=now + timedelta(minutes=2))
    assert count_failures(kernel) == 2
    errors.resolve(kernel, BOOKED)
    errors.reopen(kernel, BOOKED)
    below = errors.Place(now, BOOKED)
    with kernel.read_session() as session:
        for which in errors.Which:
            errors.list_errors(session, now, which)
            errors.list_errors(session, now, which, "create_project", below)
        errors.find_error(session, BOOKED, now)
        errors.days_of(session, BOOKED, now)
        errors.references_of(session, errors.latest_of(session, BOOKED))
    with kernel.read() as connection:
        new_errors(connection, now)
    with kernel.write() as connection:
        this = update(ERRORS).where(ERRORS.c.fingerprint == BOOKED)
        connection.execute(this.values(last_seen=now - timedelta(days=400)))
    assert forget_errors(kernel) == 1
    make_failure(kernel, at=now - timedelta(days=20))
    count_failures(kernel)
    forget_errors(kernel)


def a_run_freezes(kernel: Kernel) -> None:
    """Meet its locks, end its connection, and take its order over at the next look."""
    ago = kernel.clock.now() - timedelta(hours=2)
    frozen = make_order(kernel, state="running", lease_until=ago, connection_id=10**9)

    def lock(_: Any, __: Any, statement: str, *___: Any) -> None:
        if "crashes" in statement:  # what a run's end reads of the order's row
            raise pymysql.err.OperationalError(1205, "Lock wait timeout exceeded")

    event.listen(kernel.engine, "before_cursor_execute", lock)
    rescue_orders(kernel, Swept())
    event.remove(kernel.engine, "before_cursor_execute", lock)
    rescue_orders(kernel, swept := Swept())
    assert frozen in swept.rescued
