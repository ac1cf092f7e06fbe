"""The sweep: due orders, rescues, unknown tags, pruning. On SQLite and on MariaDB."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import DBAPIError

from kernel.db.ids import new_id
from kernel.db.tables.callers import Caller
from kernel.db.tables.deliveries import Delivery
from kernel.db.tables.orders import Order
from kernel.db.tables.service import Sweep
from kernel.orders.due import due_orders, waiting_longest
from kernel.runs.execute import execute
from kernel.runtime.kernel import Kernel
from kernel.testing import drain
from kernel.worker.maintenance import sweep as sweep_module
from kernel.worker.maintenance.due_hints import DueHints
from kernel.worker.maintenance.job import Job, Swept
from kernel.worker.maintenance.prune import prune
from kernel.worker.maintenance.sweep import run_jobs, sweep, sweep_jobs
from kernel.worker.maintenance.turn import next_turn
from tests.support.abilities import kind_of
from tests.support.factories import make_delivery, make_order, order, sweep_for
from tests.support.hints import FakeHints

MINUTE = timedelta(minutes=1)
DAYS = timedelta(days=40)


def running(kernel: Kernel, **values: object) -> str:
    """Make a running order whose lease ended a minute ago; return its id."""
    return make_order(
        kernel, state="running", **{"lease_until": kernel.clock.now() - MINUTE, "run": 1, **values}
    )


def count(kernel: Kernel, model: type) -> int:
    """How many rows there are."""
    with kernel.read_session() as session:
        return session.scalar(select(func.count()).select_from(model)) or 0


def test_order_is_found_when_its_hint_was_lost(kernel: Kernel) -> None:
    order_id = make_order(kernel)
    make_order(kernel, run_after=kernel.clock.now() + MINUTE)
    make_order(kernel, select_tag="elsewhere")
    assert due_orders(kernel, 100) == [order_id]


def test_callers_take_turns_when_one_has_many_orders(kernel: Kernel) -> None:
    with kernel.write_session() as session:
        session.add(Caller(id=2, name="second", created_at=kernel.clock.now()))
    flood = [make_order(kernel) for _ in range(5)]
    small = make_order(kernel, caller_id=2)
    assert due_orders(kernel, 100)[:2] == [flood[0], small]


def test_order_goes_back_to_pending_when_its_worker_died(kernel: Kernel) -> None:
    order_id = running(kernel)
    assert sweep(kernel, rescue=True).rescued == [order_id]
    found = order(kernel, order_id)
    assert (found.state, found.crashes, found.lease_until) == ("pending", 1, None)
    assert execute(kernel, order_id) is not None
    assert (order(kernel, order_id).state, order(kernel, order_id).run) == ("success", 2)


def test_order_stays_running_when_its_lease_holds(kernel: Kernel) -> None:
    running(kernel, lease_until=kernel.clock.now() + MINUTE)
    assert sweep(kernel, rescue=True).rescued == []


def test_order_stays_running_when_the_database_was_just_away(kernel: Kernel) -> None:
    running(kernel)
    assert sweep(kernel, rescue=False).rescued == []


def test_order_fails_as_worker_lost_when_workers_died_too_often(kernel: Kernel) -> None:
    order_id = running(kernel, crashes=4)
    assert list(sweep(kernel, rescue=True).failed) == [order_id]
    drain(kernel)
    data = kernel.transport.sent[0].json()["data"]  # type: ignore[attr-defined]
    assert data["error"]["code"] == "worker_lost"


def sweep_on(kernel: Kernel, seconds: int) -> Swept:
    """Take a turn and sweep every half minute; return what the sweeps did together."""
    swept = Swept()
    for _ in range(0, seconds, 30):
        kernel.clock.shift(30)
        assert next_turn(kernel) == 0
        sweep(kernel, rescue=True, swept=swept)
    return swept


def test_order_fails_when_no_worker_knew_its_tag_for_an_hour(kernel: Kernel) -> None:
    order_id = make_order(kernel, select_tag="forgotten")
    kernel.clock.shift(4000)
    for seconds, failed in ((3500, []), (3700, [order_id])):
        sweep_for(kernel, seconds)
        assert list(sweep(kernel, rescue=True).failed) == failed
    assert order(kernel, order_id).error_code == "unknown_select_tag"


@pytest.mark.parametrize("standstill", [7200, -7200])
def test_order_waits_an_hour_of_sweeps_when_all_workers_were_down(
    kernel: Kernel, standstill: int
) -> None:
    sweep_for(kernel, 86_400)
    ago = kernel.clock.now() - timedelta(hours=5)
    order_id = make_order(kernel, select_tag="of_b", created_at=ago, run_after=ago)
    kernel.clock.shift(standstill)
    assert next_turn(kernel) == 0
    assert sweep_on(kernel, 3570).failed == {}
    assert list(sweep_on(kernel, 60).failed) == [order_id]


def test_order_waits_when_an_older_release_swept_in_a_gap(kernel: Kernel) -> None:
    sweep_for(kernel, 86_400)
    ago = kernel.clock.now() - timedelta(hours=5)
    make_order(kernel, select_tag="of_b", created_at=ago, run_after=ago)
    kernel.clock.shift(7200)
    with kernel.write_session() as session:
        session.execute(update(Sweep).values(swept_at=kernel.clock.now()))
    assert sweep(kernel, rescue=True).failed == {}
    assert sweep_on(kernel, 60).failed == {}


def test_order_waits_when_another_worker_knows_its_tag(kernel: Kernel) -> None:
    order_id = make_order(kernel, select_tag="elsewhere")
    kernel.clock.shift(3700)
    sweep_for(kernel, 3700)
    with kernel.write_session() as session:
        session.execute(
            text("INSERT INTO kernel_select_tags (tag, seen_at) VALUES ('elsewhere', :now)"),
            {"now": kernel.clock.now().replace(tzinfo=None)},
        )
    sweep(kernel, rescue=True)
    assert order(kernel, order_id).state == "pending"


@pytest.mark.parametrize(
    ("state", "left"), [("delivered", 0), ("dead", 0), ("pending", 1), ("held", 1)]
)
def test_order_is_pruned_when_it_is_old_and_its_delivery_is_over(
    kernel: Kernel, state: str, left: int
) -> None:
    old = kernel.clock.now() - DAYS
    ended = None if state in ("pending", "held") else old
    order_id = make_order(kernel, state="success", finished_at=old, created_at=old)
    make_delivery(kernel, order_id, state=state, finished_at=ended)
    prune(kernel)
    assert (count(kernel, Order), count(kernel, Delivery)) == (left, left)


def test_order_is_kept_when_it_is_unfinished_or_young(kernel: Kernel) -> None:
    now = kernel.clock.now()
    make_order(kernel, created_at=now - DAYS)
    make_order(kernel, state="success", created_at=now - DAYS, finished_at=now)
    assert (prune(kernel), count(kernel, Order)) == ((0, None), 2)


NAMES = [one.name for one in sweep_jobs(None, may_rescue=lambda: True)]


@pytest.mark.parametrize("name", NAMES)
def test_other_jobs_have_their_turns_when_one_fails(kernel: Kernel, name: str) -> None:
    ran: list[str] = []

    def watched(job: Job) -> Job:
        def run(kernel: Kernel, swept: Swept) -> None:
            ran.append(job.name)
            if job.name == name:
                raise ZeroDivisionError
            job.run(kernel, swept)

        return Job(job.name, run)

    jobs = sweep_jobs(None, may_rescue=lambda: True)
    ended = run_jobs(kernel, [watched(one) for one in jobs])
    assert [job.name for job, _, error in ended if error is not None] == [name]
    assert ran == NAMES


def test_error_is_raised_when_the_other_jobs_of_a_sweep_are_done(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(sweep_module, "rescue_orders", fail)
    due, unknown = make_order(kernel), make_order(kernel, select_tag="forgotten")
    make_order(kernel, state="running")
    kernel.clock.shift(3700)
    sweep_for(kernel, 3700)
    swept = Swept()
    with pytest.raises(ZeroDivisionError):
        sweep(kernel, rescue=True, swept=swept)
    assert (swept.due, list(swept.failed)) == ([due], [unknown])


@pytest.mark.parametrize(("waiting", "found"), [(0, 1), (None, 1), (10_000, 0)])
def test_due_orders_are_found_when_few_hints_wait(
    kernel: Kernel, waiting: int | None, found: int
) -> None:
    make_order(kernel)
    kernel.clock.shift(60)
    swept = Swept()
    DueHints(FakeHints(waiting)).run(kernel, swept)
    assert (len(swept.due), swept.is_whole) == (found, waiting is not None)


def test_waiting_is_measured_from_the_oldest_due_order_when_some_wait(kernel: Kernel) -> None:
    assert waiting_longest(kernel) == 0
    make_order(kernel, run_after=kernel.clock.now() - MINUTE)
    make_order(kernel)
    assert 60 <= waiting_longest(kernel) < 70


def test_frozen_connection_is_killed_when_its_order_is_rescued(
    make_kernel, main_rows_url: str
) -> None:
    kernel = make_kernel(main_rows_url)
    with kernel.engine.connect() as frozen:
        number = kernel.dialect.connection_number(frozen)
        running(kernel, connection_id=number)
        sweep(kernel, rescue=True)
        with pytest.raises(DBAPIError):
            frozen.execute(text("SELECT 1"))
        with pytest.raises(DBAPIError), kernel.write() as connection:
            kernel.dialect.kill_connection(connection, number)


def orphaned(kernel: Kernel, **values: object) -> str:
    """Make an order whose caller was deleted by hand: its callback cannot be written."""
    with kernel.engine.connect() as connection:
        connection.execute(text(kind_of(connection.dialect.name).forget_keys))
        order_id = new_id(kernel.clock.now())
        make_order(kernel, id=order_id, **values)
        connection.execute(update(Order).where(Order.id == order_id).values(caller_id=77))
        connection.commit()
        connection.invalidate()
    return order_id


def test_others_are_rescued_when_one_cannot_be_written(
    make_kernel, main_rows_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    kernel = make_kernel(main_rows_url)
    long_ago = kernel.clock.now() - 9 * MINUTE
    poison = orphaned(kernel, state="running", crashes=4, lease_until=long_ago)
    lost, fine = running(kernel, crashes=4), running(kernel)
    swept = sweep(kernel, rescue=True)
    assert (swept.rescued, list(swept.failed)) == ([fine], [lost])
    assert order(kernel, poison).state == "running"
    assert [one.order_id for one in caplog.records if "not rescued" in one.message] == [poison]


def test_others_of_unknown_tags_fail_when_one_cannot_be_written(
    make_kernel, main_rows_url: str
) -> None:
    kernel = make_kernel(main_rows_url)
    orphaned(kernel, select_tag="forgotten")
    fine = make_order(kernel, select_tag="forgotten")
    kernel.clock.shift(3700)
    sweep_for(kernel, 3700)
    assert list(sweep(kernel, rescue=True).failed) == [fine]
