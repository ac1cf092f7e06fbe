"""The sweep: due orders, rescues, unknown tags, pruning. On SQLite and on MariaDB."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import OperationalError

from kernel.db.engine import IDLE_TRANSACTION_SECONDS, LOCK_WAIT_SECONDS
from kernel.db.tables.callers import Caller
from kernel.db.tables.deliveries import Delivery
from kernel.db.tables.orders import Order
from kernel.db.tables.service import Sweep
from kernel.orders.due import due_orders, waiting_longest
from kernel.runs.execute import execute
from kernel.runtime.kernel import Kernel
from kernel.testing import drain
from kernel.worker.maintenance.prune import prune
from kernel.worker.maintenance.sweep import next_turn, sweep
from tests.support.factories import make_delivery, make_order, order
from tests.support.waiting import wait_until

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


def test_turn_is_taken_once_per_interval_when_many_ask(kernel: Kernel) -> None:
    for _ in range(2):
        assert [next_turn(kernel) == 0 for _ in range(3)] == [True, False, False]
        kernel.clock.shift(6)


def test_turn_is_said_to_come_when_the_interval_ends(kernel: Kernel) -> None:
    next_turn(kernel)
    kernel.clock.shift(3)
    assert 1 < next_turn(kernel) <= kernel.settings.sweep_seconds - 3


def test_turn_is_taken_when_a_frozen_process_holds_the_row(
    make_kernel: Callable[..., Kernel], mariadb_rows_url: str
) -> None:
    kernel, frozen = make_kernel(mariadb_rows_url), make_kernel(mariadb_rows_url)
    assert next_turn(kernel) == 0
    kernel.clock.shift(60)
    with frozen.engine.connect() as connection:
        connection.execute(update(Sweep).values(swept_at=kernel.clock.now()))
        wait_until(lambda: _taken(kernel), 2 * IDLE_TRANSACTION_SECONDS + LOCK_WAIT_SECONDS)
        connection.invalidate()


def _taken(kernel: Kernel) -> bool:
    try:
        return next_turn(kernel) == 0
    except OperationalError:  # a lock wait timeout
        return False


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


def test_order_fails_when_no_worker_knew_its_tag_for_an_hour(kernel: Kernel) -> None:
    order_id = make_order(kernel, select_tag="forgotten")
    kernel.clock.shift(3500)
    assert sweep(kernel, rescue=True).failed == {}
    kernel.clock.shift(200)
    assert list(sweep(kernel, rescue=True).failed) == [order_id]
    assert order(kernel, order_id).error_code == "unknown_select_tag"


def test_order_waits_when_another_worker_knows_its_tag(kernel: Kernel) -> None:
    order_id = make_order(kernel, select_tag="elsewhere")
    kernel.clock.shift(3700)
    with kernel.write_session() as session:
        session.execute(
            text("INSERT INTO select_tags (tag, seen_at) VALUES ('elsewhere', :now)"),
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


def test_waiting_is_measured_from_the_oldest_due_order_when_some_wait(kernel: Kernel) -> None:
    assert waiting_longest(kernel) == 0
    make_order(kernel, run_after=kernel.clock.now() - MINUTE)
    make_order(kernel)
    assert 60 <= waiting_longest(kernel) < 70


def test_frozen_connection_is_killed_when_its_order_is_rescued(
    make_kernel, mariadb_rows_url: str
) -> None:
    kernel = make_kernel(mariadb_rows_url)
    with kernel.engine.connect() as frozen:
        thread_id = frozen.connection.dbapi_connection.thread_id()
        running(kernel, connection_id=thread_id)
        sweep(kernel, rescue=True)
        with kernel.read_session() as session:
            query = text("SELECT COUNT(*) FROM information_schema.processlist WHERE id = :id")
            assert session.scalar(query, {"id": thread_id}) == 0
        frozen.invalidate()
