"""Error 1206 on a real server: its lock table is full, and the whole transaction is gone.

No list of errors names it. The server is one of its own, with a buffer pool of 5 MB.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError

from kernel.builtin import projects
from kernel.handlers import Handlers, Run
from kernel.runs.execute import execute
from kernel.runtime.kernel import Kernel
from tests.support.factories import make_order, order
from tests.support.handlers.misbehaving import Named, write
from tests.support.servers import MariaDB

MakeKernel = Callable[..., Kernel]
ROWS = 100_000
LARGE = "UPDATE wide SET n = n + 1"


class SmallMariaDB(MariaDB):
    """A MariaDB that cannot hold the row locks of a large statement."""

    def argv(self) -> list[str]:
        small = ["--innodb-buffer-pool-size=5M", "--innodb-page-size=4K"]
        return [*super().argv(), *small]

    def install_options(self) -> list[str]:
        return ["--innodb-page-size=4K"]


@pytest.fixture(scope="module")
def small_url() -> Iterator[str]:
    server = SmallMariaDB()
    server.start()
    url = server.create_database()
    name = url.rpartition("/")[2].partition("?")[0]
    server.execute(
        f"USE {name}",
        "CREATE TABLE wide (id INT PRIMARY KEY, n INT NOT NULL, pad VARCHAR(1500) NOT NULL)",
        f"INSERT INTO wide SELECT seq, 0, REPEAT('x', 1500) FROM seq_1_to_{ROWS}",
    )
    yield url
    server.close()


def swallow(run: Run) -> None:
    with pytest.raises(DBAPIError, match="1206"):
        run.session.execute(text(LARGE))


def swallow_in_a_savepoint(run: Run) -> None:
    with pytest.raises(DBAPIError), run.savepoint():
        run.session.execute(text(LARGE))


@pytest.mark.parametrize(
    ("large", "guarded"),
    [(swallow, False), (swallow_in_a_savepoint, False), (swallow, True)],
)
def test_success_is_not_told_when_the_server_has_dropped_the_rows(
    make_kernel: MakeKernel, small_url: str, large: Callable[[Run], None], guarded: bool
) -> None:
    registry = Handlers()
    lost: list[Any] = []

    @registry.register("do", Named, guarded=guarded)
    def do(run: Run, args: Named) -> dict[str, Any]:
        write(run, "before")
        large(run)
        lost.append(True)
        return {}

    kernel = make_kernel(small_url, registry)
    order_id = make_order(kernel, select_tag="do", args="{}")
    execute(kernel, order_id)
    left = order(kernel, order_id)
    assert (left.state, left.run, lost) == ("pending", 1, [True])
    with kernel.read() as connection:
        assert connection.scalar(select(func.count()).select_from(projects)) == 0
