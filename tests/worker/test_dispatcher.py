"""The dispatcher: a thread that delivers, renews, sweeps and survives. On both databases."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pymysql
import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from kernel.db.tables.service import SelectTag
from kernel.insight.workers import processes
from kernel.runs.execute import execute
from kernel.runtime.kernel import Kernel
from kernel.testing import FakeTransport, Sent
from kernel.transport.addresses import CallbackPolicy
from kernel.transport.client import Limits, Request, Response, Transport
from kernel.worker.dispatcher import Dispatcher
from kernel.worker.maintenance.turn import next_turn
from kernel.worker.services import housekeeping, recorder, sending
from kernel.worker.services.loop import Pace
from kernel.worker.services.service import Service
from tests.support.factories import delivery, make_delivery, make_order, order
from tests.support.handlers.misbehaving import handlers
from tests.support.hints import FakeHints
from tests.support.postgresql import PostgreSQL
from tests.support.receiver import Receiver
from tests.support.servers import MariaDB
from tests.support.waiting import wait_until

OUTAGE = OperationalError("", {}, pymysql.err.OperationalError(2013, "gone"))


@contextmanager
def dispatching(kernel: Kernel, **options: object) -> Iterator[tuple[Dispatcher, FakeHints]]:
    """Run a dispatcher in the background, stopped at the end."""
    hints = FakeHints()
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


def test_callbacks_are_recorded_when_there_are_enough_of_them(kernel: Kernel) -> None:
    ids = [make_delivery(kernel) for _ in range(11)]
    with dispatching(kernel, pace=Pace(record_seconds=3600.0, record_together=10)):
        wait_until(lambda: [delivery(kernel, one).state for one in ids].count("delivered") > 9)


def test_single_callback_is_recorded_when_the_dispatcher_stops(kernel: Kernel) -> None:
    delivery_id = make_delivery(kernel)
    with dispatching(kernel, pace=Pace(record_seconds=3600.0)):
        wait_until(lambda: kernel.transport.sent)  # type: ignore[attr-defined]
        assert delivery(kernel, delivery_id).state == "pending"
    assert delivery(kernel, delivery_id).state == "delivered"


def test_dispatcher_hints_what_is_due_when_it_sweeps(kernel: Kernel) -> None:
    order_id = make_order(kernel)
    with dispatching(kernel) as (_, hints):
        wait_until(lambda: order_id in hints.hinted)


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
    make_kernel: Callable[..., Kernel], main_rows_url: str
) -> None:
    kernel = make_kernel(main_rows_url, handlers, lease_seconds=0.9)
    order_id = make_order(kernel, select_tag="silent", args='{"name": "2.5"}')
    with dispatching(kernel):
        execute(kernel, order_id)
    found = order(kernel, order_id)
    assert (found.state, found.run, found.crashes) == ("success", 1, 0)


def test_dispatcher_goes_on_when_the_database_was_away(
    make_kernel: Callable[..., Kernel], main_database: MariaDB | PostgreSQL, main_rows_url: str
) -> None:
    kernel = make_kernel(main_rows_url)
    with dispatching(kernel):
        main_database.kill()
        main_database.start()
        kernel.engine.dispose()  # its pooled connections are gone, and this test's with them
        delivery_id = make_delivery(kernel)
        wait_until(lambda: delivery(kernel, delivery_id).state == "delivered")


SERVICES = (
    *("watch", "recording of attempts", "leases", "tags of this process", "heartbeat"),
    *("claim of callbacks", "timed hints", "waiting orders", "sweep", "bulk acts", "pruning"),
    *("kept connections", "metrics"),
)


@pytest.mark.parametrize("works", [True, False])
def test_process_vouches_for_its_tags_when_it_runs_handlers_though_another_one_sweeps(
    kernel: Kernel, works: bool
) -> None:
    assert next_turn(kernel) == 0  # another process's
    with dispatching(kernel, works=works):
        wait_until(lambda: processes(kernel))
    with kernel.read_session() as session:
        known = set(session.scalars(select(SelectTag.tag)))
    assert known == (set(kernel.handlers) if works else set())


@pytest.mark.parametrize("error", [OUTAGE, ZeroDivisionError()], ids=["outage", "bug"])
@pytest.mark.parametrize("failing", SERVICES)
def test_other_services_have_their_turns_when_one_fails(
    make_kernel: Callable[..., Kernel],
    sqlite_url: str,
    monkeypatch: pytest.MonkeyPatch,
    failing: str,
    error: Exception,
) -> None:
    ran: list[str] = []

    def watched(service: Service) -> Callable[[], None]:
        def run() -> None:
            ran.append(service.name)
            if service.name == failing and ran.count(failing) == 1:
                raise error

        return run

    pace = Pace(retry_seconds=0.0)
    dispatcher = Dispatcher(make_kernel(sqlite_url), FakeHints(), beat=lambda: None, pace=pace)
    for service in dispatcher.loop.services:
        monkeypatch.setattr(type(service), "due_at", 0.0)
        monkeypatch.setattr(service, "run", watched(service))
    dispatcher.loop.round()
    assert ran == list(SERVICES)
    dispatcher.loop.round()
    assert ran == 2 * list(SERVICES), "and it recovers"


@pytest.mark.parametrize("error", [OUTAGE, ZeroDivisionError()], ids=["outage", "bug"])
@pytest.mark.parametrize(
    ("module", "name"), [(recorder, "record"), (sending, "due_lanes"), (housekeeping, "next_turn")]
)
def test_dispatcher_does_the_rest_while_a_part_of_it_always_fails(
    kernel: Kernel,
    monkeypatch: pytest.MonkeyPatch,
    module: object,
    name: str,
    error: Exception,
) -> None:
    def fail(*_: object) -> None:
        raise error

    due = kernel.clock.now() - timedelta(minutes=1)
    order_id, delivery_id = make_order(kernel, run_after=due), make_delivery(kernel)
    with monkeypatch.context() as broken, dispatching(kernel) as (dispatcher, hints):
        broken.setattr(module, name, fail)
        dispatcher.hint_later("later", 0.1)
        wait_until(lambda: "later" in hints.hinted)
        wait_until(lambda: name == "next_turn" or order_id in hints.hinted)
        wait_until(lambda: name == "due_lanes" or kernel.transport.sent)  # type: ignore[attr-defined]
        broken.undo()
        wait_until(lambda: delivery(kernel, delivery_id).state == "delivered")
        wait_until(lambda: order_id in hints.hinted)


def test_dispatcher_waits_between_tries_when_results_cannot_be_written(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[float] = []

    def fail(*_: object, **__: object) -> None:
        tries.append(time.monotonic())
        if len(tries) < 3:
            raise OUTAGE

    monkeypatch.setattr(recorder, "record", fail)
    make_delivery(kernel)
    with dispatching(kernel, pace=Pace(retry_seconds=0.2)):
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
    dispatcher = Dispatcher(kernel, FakeHints())
    dispatcher.start()
    assert begun.wait(10)
    assert not dispatcher.stop(0.1)
    go_on.set()
    assert dispatcher.stop(10)
    assert delivery(kernel, delivery_id).state == "delivered"


def test_dispatcher_closes_idle_connections_when_no_callback_is_sent(
    make_kernel: Callable[..., Kernel], sqlite_url: str
) -> None:
    transport = Transport(limits=Limits(max_idle=0.0))
    kernel = make_kernel(sqlite_url, transport=transport)
    with Receiver() as receiver:
        policy = CallbackPolicy.from_strings(("127.0.0.1/32",))
        transport.send(Request(receiver.url, {}, b"{}"), policy)
        assert transport.kept == 1
        with dispatching(kernel):
            receiver.wait_closed(1)


def test_dispatcher_fills_its_senders_when_more_is_due_than_one_claim_takes(kernel: Kernel) -> None:
    pace = Pace(idle_seconds=3600.0, claim_batch=2)  # no look but those at once
    go_on = threading.Event()

    def hang(sent: Sent) -> Response:
        go_on.wait(20)
        return Response(200, {}, b"", {})

    transport = kernel.transport
    assert isinstance(transport, FakeTransport)
    transport.answers = [hang]
    for _ in range(9):
        make_delivery(kernel)
    with dispatching(kernel, threads=8, pace=pace):
        wait_until(lambda: len(transport.sent) == 4)  # half of the senders: it is one origin
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
