"""Locks are taken in one order everywhere, also at the end of a run: key, limit, order."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from kernel.db.tables.limits import SLOTS
from kernel.orders.gates.keys import lock_turn
from kernel.runs.execute import execute
from kernel.runtime.kernel import Kernel
from kernel.testing import order
from tests.orders.limits.test_concurrency import handlers
from tests.orders.test_key_races import until_it_waits
from tests.support.factories import order as stored


@pytest.fixture
def kernel(make_kernel: Callable[..., Kernel], database_url: str) -> Kernel:
    return make_kernel(database_url, handlers)


def test_run_that_ends_holds_no_slot_while_it_waits_for_its_key(kernel: Kernel) -> None:
    """A run that submits a child with the key has that first, and its own slot after."""
    execute(kernel, order(kernel, "one"))  # the slot's row is there
    mine = order(kernel, "one", ordering_key="acme")
    with ThreadPoolExecutor(1) as threads:
        with kernel.write_session() as session:
            assert lock_turn(session.connection(), mine) is not None
            ending = threads.submit(execute, kernel, mine)
            until_it_waits(kernel, ending)
            free = select(SLOTS.c.number).with_for_update(skip_locked=True)
            assert session.scalars(free).all() == [0]
        assert ending.result(30) is not None
    assert stored(kernel, mine).state == "success"
