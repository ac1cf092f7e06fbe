"""Two generations of code on one database: a newer one has migrated it, the older one works on."""

import os
import signal

from sqlalchemy import text

from kernel import migrate
from kernel.config.settings import load
from kernel.handlers import Handlers
from kernel.runtime import Kernel
from tests.stack import Stack
from tests.waiting import wait_until

# What the next release may do first ("expand"): add what the code of this one does not know.
NEXT = (
    "ALTER TABLE orders ADD COLUMN priority INT NULL",
    "ALTER TABLE deliveries ADD COLUMN region VARCHAR(20) NULL",
    "ALTER TABLE callers ADD COLUMN plan VARCHAR(20) NOT NULL DEFAULT 'free'",
    "CREATE TABLE regions (id INT PRIMARY KEY) ENGINE=InnoDB CHARACTER SET utf8mb4",
    "UPDATE alembic_version SET version_num = '9999'",
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
    version = f"UPDATE alembic_version SET version_num = '{stack.newest}'"
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
    with kernel.transaction() as session:
        for statement in NEXT[:3] + NEXT[4:]:
            session.execute(text(statement))
    kernel.check_schema()
    kernel.close()
