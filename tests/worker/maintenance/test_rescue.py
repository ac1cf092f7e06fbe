"""Whose orders are taken over when the database's clock was set. On SQLite and on MariaDB."""

import time
from datetime import timedelta

import pytest
from sqlalchemy import update

from kernel.db.tables.orders import Order
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.job import Swept
from kernel.worker.maintenance.rescue import STANDS, SeenLeases, rescue_orders
from kernel.worker.maintenance.sweep import run_jobs, sweep_jobs
from tests.support.factories import make_order
from tests.support.waiting import wait_until

LEASE = 0.2
SECOND = timedelta(seconds=1)


def rescued(kernel: Kernel, leases: SeenLeases) -> list[str]:
    """What a sweep takes over."""
    swept = Swept()
    rescue_orders(kernel, swept, leases=leases)
    return swept.rescued


@pytest.fixture(autouse=True)
def set_clock(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the clock say when it is shifted what it says when the database's is set."""
    shift = kernel.clock.shift

    def shifted(seconds: float) -> None:
        shift(seconds)
        kernel.clock.heard(kernel.clock.now() + timedelta(seconds=seconds), time.monotonic())

    monkeypatch.setattr(kernel.clock, "shift", shifted)


def test_order_stays_running_when_its_lease_was_not_seen_for_a_lease(kernel: Kernel) -> None:
    order_id, leases = make_order(kernel, state="running"), SeenLeases(LEASE)
    kernel.clock.shift(3600)
    assert rescued(kernel, leases) == []
    assert wait_until(lambda: rescued(kernel, leases)) == [order_id]


def test_order_is_taken_over_at_the_first_look_when_the_clock_was_steady(kernel: Kernel) -> None:
    kernel.clock.now()
    assert wait_until(lambda: kernel.clock.is_steady_for(LEASE))
    order_id = make_order(kernel, state="running", lease_until=kernel.clock.sql(-SECOND))
    assert rescued(kernel, SeenLeases(LEASE)) == [order_id]


def test_order_stays_running_when_this_look_is_the_first_to_find_the_clock_set(
    kernel: Kernel,
) -> None:
    order_id = make_order(kernel, state="running", lease_until=kernel.clock.sql(-SECOND))
    kernel.clock.heard(kernel.clock.now() - timedelta(hours=1), time.monotonic() - LEASE)
    assert wait_until(lambda: kernel.clock.is_steady_for(LEASE))
    leases = SeenLeases(LEASE)
    assert rescued(kernel, leases) == []
    assert wait_until(lambda: rescued(kernel, leases)) == [order_id]


def test_order_stays_running_when_the_clock_is_set_forward_and_its_owner_renews(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id, leases, now = make_order(kernel, state="running"), SeenLeases(60.0), [0.0]
    monkeypatch.setattr("kernel.worker.maintenance.rescue.monotonic", lambda: now[0])
    for _ in range(5):
        kernel.clock.shift(3600)
        assert rescued(kernel, leases) == []
        renew(kernel, order_id)
        now[0] += 59.0


def renew(kernel: Kernel, order_id: str) -> None:
    """Do what the run's owner does every third of a lease."""
    until = kernel.clock.sql(kernel.lease)
    with kernel.write_session() as session:
        session.execute(update(Order).where(Order.id == order_id).values(lease_until=until))


def test_order_is_taken_over_when_its_worker_died_and_the_clock_is_set_back(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id, leases, now = make_order(kernel, state="running"), SeenLeases(60.0), [0.0]
    monkeypatch.setattr("kernel.worker.maintenance.rescue.monotonic", lambda: now[0])
    kernel.clock.shift(-3600)
    for _ in range(STANDS):
        assert rescued(kernel, leases) == []
        now[0] += 60.0
    assert rescued(kernel, leases) == [order_id]


@pytest.mark.parametrize("back", [3600, 30])
def test_order_is_hinted_when_the_clock_was_set_back_since_it_was_accepted(
    kernel: Kernel, back: int
) -> None:
    order_id = make_order(kernel)
    put_off = kernel.clock.sql(timedelta(minutes=5))
    make_order(kernel, run=1, run_after=put_off)
    kernel.clock.shift(-back)
    jobs = sweep_jobs(None, may_rescue=lambda: False)
    assert [done.due for _, done, _ in run_jobs(kernel, jobs) if done.due] == [[order_id]]


def test_rescue_is_not_whole_while_this_process_may_not_rescue(kernel: Kernel) -> None:
    make_order(kernel, state="running", lease_until=kernel.clock.now() - kernel.lease)
    jobs = sweep_jobs(None, may_rescue=lambda: False)
    lacking = [job.name for job, done, _ in run_jobs(kernel, jobs) if not done.is_whole]
    assert lacking == ["rescue"]
