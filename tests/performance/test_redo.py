"""How many bytes of redo a plain order costs, counted by MariaDB itself.

A COMMIT waits until they are written, and each index of the orders' table makes them more for every
order there is. So an order is compared with one of a table that knows no gates and no turns: its
index of what is due has two columns, and `gates` is not stored.
"""

from collections.abc import Callable
from statistics import median

import pytest
from pydantic import BaseModel
from sqlalchemy import text

from kernel.handlers import Handlers
from kernel.orders.submit import submit
from kernel.runs.execute import execute
from kernel.runtime.kernel import Kernel
from tests.support.factories import ANYBODY, request
from tests.support.servers import MariaDB

# Orders of each kind, in turn with those of the others.
ORDERS_EACH = 50
# By how many bytes an order may cost more, for its submit and for its run. Measured are 2 and 8;
# a table whose number in the server is longer than another's takes up to 10. An index more takes
# 50 and 100.
MOST = (20, 30)
_TURNS = "ix_kernel_orders_state_caller_id_priority_run_after"
_NOW = ("ALTER TABLE kernel_orders FORCE, ALGORITHM=COPY",)
_WITHOUT_GATES = (
    "CREATE INDEX due ON kernel_orders (state, run_after)",
    f"DROP INDEX {_TURNS} ON kernel_orders",
    "ALTER TABLE kernel_orders DROP COLUMN gates, ADD COLUMN gates INT AS (NULL) VIRTUAL,"
    " ALGORITHM=COPY",
)
_ONE_INDEX_MORE = ("CREATE INDEX more ON kernel_orders (runner)", *_NOW)


class Nothing(BaseModel, extra="allow"):
    """Arguments that are not looked at."""


def lsn(kernel: Kernel) -> int:
    """Return how many bytes of redo the server has written so far."""
    with kernel.read() as connection:
        asked = connection.execute(text("SHOW GLOBAL STATUS LIKE 'Innodb_lsn_current'"))
        return int(asked.one()[1])


def cost(kernel: Kernel) -> tuple[int, int]:
    """Return the bytes of an order's submit and of its run."""
    began = lsn(kernel)
    order_id = submit(kernel, ANYBODY, request()).order_id
    between = lsn(kernel)
    assert execute(kernel, order_id)
    return between - began, lsn(kernel) - between


@pytest.fixture
def installed(make_kernel: Callable[..., Kernel], mariadb: MariaDB) -> Callable[..., Kernel]:
    def install(statements: tuple[str, ...]) -> Kernel:
        handlers = Handlers()
        handlers.register("create_project", Nothing)(lambda run, args: {})
        kernel = make_kernel(mariadb.create_database(), handlers)
        for one in statements:
            with kernel.write() as connection:
                connection.execute(text(one))
        return kernel

    return install


def test_plain_order_costs_no_more_redo_than_one_without_gates(
    installed: Callable[..., Kernel],
) -> None:
    kernels = [installed(one) for one in (_NOW, _WITHOUT_GATES, _ONE_INDEX_MORE)]
    # The others' work, and a page that is split, count for few of them: the median has none of it.
    found: list[list[tuple[int, int]]] = [[], [], []]
    for _ in range(ORDERS_EACH):
        for kernel, costs in zip(kernels, found, strict=True):
            costs.append(cost(kernel))
    now, before, more = ([median(one) for one in zip(*costs, strict=True)] for costs in found)
    print(f"bytes of submit and run: {now}, without gates {before}, with an index more {more}")
    beyond = [[a - b for a, b in zip(one, before, strict=True)] for one in (now, more)]
    assert all(bytes_ <= most for bytes_, most in zip(beyond[0], MOST, strict=True)), beyond
    assert all(bytes_ > most for bytes_, most in zip(beyond[1], MOST, strict=True)), beyond
