"""The backup and restore of docs/operations.md: what was accepted goes on from where it was."""

import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from sqlalchemy import make_url

from kernel.db.schema import migrate
from kernel.db.states import OrderState
from kernel.runtime import startup
from kernel.runtime.kernel import Kernel
from kernel.testing import drain
from tests.support.clients import client
from tests.support.factories import make_order, order
from tests.support.servers import MariaDB, require

MakeKernel = Callable[..., Kernel]


def fill(kernel: Kernel) -> list[str]:
    """One order that is done, one that waits, one whose worker will not come back."""
    zammad = client(kernel)
    done = zammad.submitted()
    drain(kernel)
    running = make_order(kernel, state=OrderState.RUNNING)
    return [done, zammad.submitted(), running]


def goes_on(kernel: Kernel, ids: list[str]) -> None:
    """The restored installation starts, works off what waits, and keeps what was done."""
    startup.check_database(kernel)
    drain(kernel)
    states = [order(kernel, one).state for one in ids]
    assert states == [OrderState.SUCCESS, OrderState.SUCCESS, OrderState.RUNNING]
    assert len(kernel.transport.sent) == 1, "only the callback that was owed"


def test_file_goes_on_when_restored_from_its_backup(
    make_kernel: MakeKernel, sqlite_url: str, tmp_path: Path
) -> None:
    migrate.upgrade(sqlite_url)
    first = make_kernel(sqlite_url)
    ids = fill(first)
    backup = tmp_path / "backup.db"
    with closing(sqlite3.connect(make_url(sqlite_url).database)) as connection:
        connection.execute("VACUUM INTO ?", (str(backup),))
    goes_on(make_kernel(f"sqlite:///{backup}"), ids)


def test_server_goes_on_when_restored_from_its_dump(
    make_kernel: MakeKernel, mariadb: MariaDB, mariadb_url: str
) -> None:
    migrate.upgrade(mariadb_url)
    ids = fill(make_kernel(mariadb_url))
    login = ["--no-defaults", "--host=127.0.0.1", f"--port={mariadb.port}", "--user=root"]
    login += ["--skip-ssl"]
    options = ["--single-transaction", "--default-character-set=utf8mb4"]
    dump = [require("mariadb-dump"), *login, *options, str(make_url(mariadb_url).database)]
    dumped = subprocess.run(dump, capture_output=True, check=True).stdout
    restored = mariadb.create_database()
    load = [require("mariadb"), *login, str(make_url(restored).database)]
    subprocess.run(load, input=dumped, check=True, capture_output=True)
    goes_on(make_kernel(restored), ids)
