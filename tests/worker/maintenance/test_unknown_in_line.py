"""Orders in a line whose tag no worker knows any more: they fail, as pending ones do."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import select

from kernel.db.tables.gates import KEYS
from kernel.db.tables.orders import ORDERS
from kernel.handlers import Handlers, Run, Wait
from kernel.runs import claim
from kernel.runs.execute import execute, execute_each
from kernel.runtime.kernel import Kernel
from kernel.testing import order
from kernel.worker.maintenance.job import Swept
from kernel.worker.maintenance.known_tags import note_tags
from kernel.worker.maintenance.sweep import sweep
from tests.support.factories import make_order, rows, sweep_for
from tests.support.factories import order as stored

MakeKernel = Callable[..., Kernel]


class Work(BaseModel):
    """Nothing."""


def work(run: Run, args: Work) -> dict[str, Any]:
    """Do nothing."""
    return {}


def waits(run: Run, args: Work) -> Wait:
    """Wait for an event."""
    return Wait("told")


@pytest.fixture
def kernels(
    make_kernel: MakeKernel, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> tuple[Kernel, Kernel]:
    """A release with four tags, and the next one, which knows none of them."""
    monkeypatch.setattr(claim, "BATCH_SECONDS", 3600.0)
    handlers = Handlers()
    handlers.register("paced", Work, rate="1/d")(work)
    handlers.register("single", Work, concurrency=1)(work)
    handlers.register("keyed", Work)(work)
    handlers.register("waits", Work)(waits)
    return make_kernel(database_url, handlers), make_kernel(database_url)


def an_hour_later(kernel: Kernel) -> Swept:
    kernel.clock.shift(4000)
    sweep_for(kernel, 3700)
    return sweep(kernel, rescue=False)


def test_orders_that_wait_at_the_limit_of_a_gone_tag_fail(kernels: tuple[Kernel, Kernel]) -> None:
    old, new = kernels
    ids = [order(old, tag) for tag in ("paced", "single") for _ in range(4)]
    with old.run_connection() as connection:  # it holds the slot
        assert claim.Batch(old, connection, ids[4:5]).claim()
        connection.invalidate()
    list(execute_each(old, ids))
    assert [stored(old, one).state for one in ids[2:4] + ids[5:]] == ["waiting"] * 5
    assert {*ids[2:4], *ids[5:]} <= set(an_hour_later(new).failed)
    codes = {stored(new, one).error_code for one in ids[2:4] + ids[5:]}
    assert codes == {"unknown_select_tag"}


def test_line_behind_a_key_of_a_gone_tag_fails_as_one(kernels: tuple[Kernel, Kernel]) -> None:
    old, new = kernels
    ids = [order(old, "keyed", ordering_key="k") for _ in range(4)]
    assert [stored(old, one).state for one in ids] == ["pending"] + ["waiting"] * 3
    an_hour_later(new)
    assert {stored(new, one).error_code for one in ids} == {"unknown_select_tag"}
    assert [row.holder for row in rows(new, KEYS)] == [None]


def test_what_waits_for_an_event_and_batches_and_young_orders_are_left(
    kernels: tuple[Kernel, Kernel],
) -> None:
    old, new = kernels
    assert execute(old, order(old, "waits"))
    make_order(old, state="waiting", select_tag="kernel.batch")
    new.clock.shift(4000)
    sweep_for(new, 3700)
    old.clock.shift(7700)
    first = order(old, "keyed", ordering_key="k")
    order(old, "keyed", ordering_key="k")
    assert sweep(new, rescue=False).failed == {}
    with new.read() as connection:
        states = sorted(connection.scalars(select(ORDERS.c.state)))
    assert (states, stored(new, first).state) == (["pending"] + ["waiting"] * 3, "pending")


def test_order_in_line_whose_tag_another_worker_knows_is_left(
    kernels: tuple[Kernel, Kernel],
) -> None:
    old, new = kernels
    ids = [order(old, "keyed", ordering_key="k") for _ in range(2)]
    new.clock.shift(4000)
    sweep_for(new, 3700)
    old.clock.shift(7700)
    note_tags(old)
    assert sweep(new, rescue=False).failed == {}
    assert [stored(new, one).state for one in ids] == ["pending", "waiting"]
