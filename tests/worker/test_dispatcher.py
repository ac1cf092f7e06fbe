"""The dispatcher: a thread that delivers, renews, sweeps and survives. On both databases."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pymysql
import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from kernel.db.states import Outcome
from kernel.db.tables.service import SelectTag
from kernel.handlers import Run
from kernel.runs.execute import execute
from kernel.runtime.kernel import Kernel
from kernel.testing import FakeTransport, Sent
from kernel.transport.client import Response
from kernel.worker import dispatcher as dispatcher_module
from kernel.worker.dispatcher import Dispatcher
from tests.support.factories import delivery, make_delivery, make_order, order
from tests.support.handlers.misbehaving import handlers
from tests.support.servers import MariaDB
from tests.support.waiting import wait_until


class HintList:
    """A broker that keeps what it is told."""

    def __init__(self) -> None:
        self.hinted: list[str] = []
        self.outcomes: dict[str, Outcome] = {}
        self.waiting: int | None = 0

    def hint(self, order_ids: Sequence[str]) -> None:
        self.hinted += order_ids

    def backlog(self) -> int | None:
        return self.waiting

    def finished(self, order_id: str, outcome: Outcome) -> None:
        self.outcomes[order_id] = outcome


@contextmanager
def dispatching(kernel: Kernel, **options: object) -> Iterator[tuple[Dispatcher, HintList]]:
    """Run a dispatcher in the background, stopped at the end."""
    hints = HintList()
    dispatcher = Dispatcher(kernel, hints, **options)  # type: ignore[arg-type]
    dispatcher.start()
    try:
        yield dispatcher, hints
    finally:
        assert dispatcher.stop(20)


def test_dispatcher_delivers_what_is_due_when_it_starts(kernel: Kernel) -> None:
    ids = [make_delivery(kernel) for _ in range(60)]
    with dispatching(kernel):
        wait_until(lambda: all(delivery(kernel, one).state == "delivered" for one in ids))


def test_callbacks_are_recorded_when_there_are_enough_of_them(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher_module, "RECORD_SECONDS", 3600.0)
    ids = [make_delivery(kernel) for _ in range(dispatcher_module.RECORD_TOGETHER + 1)]
    with dispatching(kernel):
        wait_until(lambda: [delivery(kernel, one).state for one in ids].count("delivered") > 9)


def test_callback_without_company_is_recorded_when_the_dispatcher_stops(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher_module, "RECORD_SECONDS", 3600.0)
    delivery_id = make_delivery(kernel)
    with dispatching(kernel):
        wait_until(lambda: kernel.transport.sent)  # type: ignore[attr-defined]
        assert delivery(kernel, delivery_id).state == "pending"
    assert delivery(kernel, delivery_id).state == "delivered"


def test_dispatcher_hints_what_is_due_when_it_sweeps(kernel: Kernel) -> None:
    order_id = make_order(kernel)
    with dispatching(kernel) as (_, hints):
        wait_until(lambda: order_id in hints.hinted)


def test_dispatcher_hints_nothing_when_the_queue_is_full(kernel: Kernel) -> None:
    hints = HintList()
    hints.waiting = 10_000
    make_order(kernel)
    Dispatcher(kernel, hints).sweep_once()
    assert hints.hinted == []


@pytest.mark.parametrize("works", [True, False])
def test_dispatcher_vouches_for_tags_when_its_process_runs_handlers(
    kernel: Kernel, works: bool
) -> None:
    Dispatcher(kernel, HintList(), works=works).sweep_once()
    with kernel.read_session() as session:
        assert (session.scalars(select(SelectTag.tag)).all() != []) == works


def test_dispatcher_hints_later_when_asked_to(kernel: Kernel) -> None:
    with dispatching(kernel) as (dispatcher, hints):
        dispatcher.hint_later("later", 0.2)
        dispatcher.hint_later("sooner", 0.0)
        wait_until(lambda: hints.hinted == ["sooner", "later"])


def test_dispatcher_shows_outcomes_when_it_fails_orders(
    make_kernel: Callable[..., Kernel], database_url: str
) -> None:
    kernel = make_kernel(database_url, lease_seconds=0.2)
    order_id = make_order(kernel, state="running", crashes=9)
    with dispatching(kernel) as (_, hints):
        wait_until(lambda: kernel.clock.shift(1) or order_id in hints.outcomes)
    assert order(kernel, order_id).error_code == "worker_lost"


def test_dispatcher_renews_the_lease_when_a_handler_is_silent(
    make_kernel: Callable[..., Kernel], mariadb_rows_url: str
) -> None:
    kernel = make_kernel(mariadb_rows_url, handlers, lease_seconds=0.9)
    order_id = make_order(kernel, select_tag="silent", args='{"name": "2.5"}')
    with dispatching(kernel):
        execute(kernel, order_id)
    found = order(kernel, order_id)
    assert (found.state, found.run, found.crashes) == ("success", 1, 0)


def test_dispatcher_reports_a_run_when_it_is_over_its_time_limit(
    make_kernel: Callable[..., Kernel], mariadb_rows_url: str
) -> None:
    kernel = make_kernel(mariadb_rows_url, handlers, time_limit_seconds=0.1)
    order_id = make_order(kernel, select_tag="patient", args='{"name": "1.5"}')
    overdue: list[Run] = []
    with dispatching(kernel, overdue=overdue.append):
        execute(kernel, order_id)
        wait_until(lambda: overdue != [])


def test_dispatcher_goes_on_when_the_database_was_away(
    make_kernel: Callable[..., Kernel], mariadb: MariaDB, mariadb_rows_url: str
) -> None:
    kernel = make_kernel(mariadb_rows_url)
    with dispatching(kernel):
        mariadb.kill()
        mariadb.start()
        kernel.engine.dispose()  # its pooled connections are gone, and this test's with them
        delivery_id = make_delivery(kernel)
        wait_until(lambda: delivery(kernel, delivery_id).state == "delivered")


@pytest.mark.parametrize(("number", "is_outage"), [(1205, False), (1213, False), (2013, True)])
def test_dispatcher_puts_rescues_off_when_the_database_was_away_not_when_it_was_busy(
    kernel: Kernel, number: int, is_outage: bool
) -> None:
    dispatcher = Dispatcher(kernel, HintList())
    dispatcher._reached_since = 1.0
    dispatcher._failed(OperationalError("", {}, pymysql.err.OperationalError(number, "")))
    assert (dispatcher._reached_since is None) == is_outage


def test_dispatcher_waits_between_tries_when_results_cannot_be_written(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[float] = []

    def fail(*_: object) -> None:
        tries.append(time.monotonic())
        if len(tries) < 3:
            raise OSError("the database is away")

    monkeypatch.setattr(dispatcher_module, "IDLE_SECONDS", 0.2)
    monkeypatch.setattr(dispatcher_module, "record", fail)
    make_delivery(kernel)
    with dispatching(kernel):
        wait_until(lambda: len(tries) == 3)
    assert tries[2] - tries[0] > 0.3


def test_dispatcher_finishes_what_is_in_flight_when_it_is_stopped(kernel: Kernel) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(sent: Sent) -> Response:
        begun.set()
        go_on.wait(10)
        return Response(200, {}, b"", {})

    transport = kernel.transport
    assert isinstance(transport, FakeTransport)
    transport.answers = [slow]
    delivery_id = make_delivery(kernel)
    dispatcher = Dispatcher(kernel, HintList())
    dispatcher.start()
    assert begun.wait(10)
    assert not dispatcher.stop(0.1)
    go_on.set()
    assert dispatcher.stop(10)
    assert delivery(kernel, delivery_id).state == "delivered"


def test_dispatcher_fills_its_senders_when_more_is_due_than_one_claim_takes(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher_module, "IDLE_SECONDS", 3600.0)  # no look but those at once
    monkeypatch.setattr(dispatcher_module, "BATCH", 2)
    go_on = threading.Event()

    def hang(sent: Sent) -> Response:
        go_on.wait(20)
        return Response(200, {}, b"", {})

    transport = kernel.transport
    assert isinstance(transport, FakeTransport)
    transport.answers = [hang]
    for _ in range(9):
        make_delivery(kernel)
    with dispatching(kernel, threads=12):
        wait_until(lambda: len(transport.sent) == 6)  # half of the senders: it is one origin
        go_on.set()


@pytest.mark.parametrize("threads", [1, 8])
def test_dispatcher_never_sends_more_at_once_than_it_may(kernel: Kernel, threads: int) -> None:
    lock, now, most = threading.Lock(), [0], [0]

    def count(sent: Sent) -> Response:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        threading.Event().wait(0.02)
        with lock:
            now[0] -= 1
        return Response(200, {}, b"", {})

    transport = kernel.transport
    assert isinstance(transport, FakeTransport)
    transport.answers = [count]
    ids = [make_delivery(kernel) for _ in range(20)]
    with dispatching(kernel, threads=threads):
        wait_until(lambda: all(delivery(kernel, one).state == "delivered" for one in ids))
    assert 1 <= most[0] <= threads
