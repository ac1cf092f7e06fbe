"""Two generations of code on one database: a newer one has migrated it, the older one works on."""

import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError

from kernel.config.settings import load
from kernel.db.schema import migrate
from kernel.delivery.attempt import attempt
from kernel.delivery.claim import claim_due, due_lanes
from kernel.delivery.record import record
from kernel.handlers import Handlers
from kernel.runtime.kernel import Kernel
from tests.support.factories import delivery, make_delivery
from tests.support.servers import MariaDB
from tests.support.stack import Stack
from tests.support.waiting import wait_until

# What the next release may do first ("expand"): add what the code of this one does not know.
NEXT = (
    "ALTER TABLE kernel_orders ADD COLUMN region INT NULL",
    "ALTER TABLE kernel_deliveries ADD COLUMN region VARCHAR(20) NULL",
    "ALTER TABLE kernel_callers ADD COLUMN plan VARCHAR(20) NOT NULL DEFAULT 'free'",
    "CREATE TABLE regions (id INT PRIMARY KEY)",
    "UPDATE kernel_alembic_version SET version_num = '9999'",
)
# Its second migration ("contract") undoes what the older code needs: it comes a release later.


def expand(stack: Stack) -> None:
    """Migrate as the next release would, while everything runs."""
    with stack.kernel.engine.connect() as connection:
        for statement in NEXT:
            connection.execute(text(statement))
        connection.connection.dbapi_connection.commit()


def contract(stack: Stack) -> None:
    """Back to what this release's own migrations know, so that they can clean up."""
    version = f"UPDATE kernel_alembic_version SET version_num = '{stack.newest}'"
    with stack.kernel.engine.connect() as connection:
        connection.execute(text("DROP TABLE regions"))
        connection.execute(text(version))
        connection.connection.dbapi_connection.commit()


def finishes(stack: Stack) -> None:
    """An order of each kind goes all the way."""
    created = stack.submit("create_project", projname="桥")
    imported = stack.submit("import_projects", projects=[{"projname": "a"}] * 30)
    for order_id in (created, imported):
        assert stack.finished(order_id)["state"] == "success"
        assert stack.callback(order_id).headers["webhook-id"]


def test_older_code_works_on_and_starts_when_a_newer_release_has_migrated(stack: Stack) -> None:
    stack.newest = migrate.current(stack.settings["database_url"])
    stack.api()
    worker = stack.worker()
    finishes(stack)
    expand(stack)
    try:
        finishes(stack)
        os.kill(worker.pid, signal.SIGTERM)
        wait_until(lambda: worker.returncode is not None, 30)
        stack.worker()
        finishes(stack)
    finally:
        contract(stack)


def test_older_code_starts_on_a_file_when_a_newer_release_has_migrated(sqlite_url: str) -> None:
    migrate.upgrade(sqlite_url)
    kernel = Kernel(load(database_url=sqlite_url), Handlers())
    with kernel.write_session() as session:
        for statement in NEXT[:3] + NEXT[4:]:
            session.execute(text(statement))
    kernel.check_schema()
    kernel.close()


def test_migration_does_not_wait_for_what_waits_for_it_when_callbacks_are_recorded(
    make_kernel: Callable[..., Kernel], mariadb: MariaDB, mariadb_url: str
) -> None:
    kernel, newer = make_kernel(mariadb_url), make_kernel(mariadb_url)
    delivery_id = make_delivery(kernel)
    claimed = claim_due(kernel, dict.fromkeys(due_lanes(kernel), 1)).deliveries
    finished = [attempt(kernel, due) for due in claimed]
    migrating = threading.Thread(target=alter, args=(newer,))

    def migrate_meanwhile(*_: Any) -> None:
        if not migrating.ident:
            migrating.start()
            asked = "SELECT 1 FROM information_schema.processlist WHERE info LIKE 'ALTER%'"
            wait_until(lambda: mariadb.execute(asked + " AND state RLIKE 'lock|alter'"))

    event.listen(kernel.engine, "after_cursor_execute", migrate_meanwhile)
    record(kernel, finished)
    migrating.join()
    assert delivery(newer, delivery_id).state == "delivered"
    with newer.read_session() as session:
        session.execute(text("SELECT region FROM kernel_deliveries"))


def alter(kernel: Kernel) -> None:
    """Migrate one table, in a thread; a failure shows by the column that is not there."""
    with suppress(OperationalError), kernel.engine.connect() as connection:
        connection.execute(text(NEXT[1]))
