"""What people look at: counts, processes and hosts, and that indexes answer. On both databases."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, insert, text

from kernel.bulk.choosing import Span, count, newest, next_page
from kernel.db.ids import new_id
from kernel.db.statements.keyset import Budget
from kernel.db.states import DeliveryState
from kernel.db.tables.deliveries import ATTEMPTS, DELIVERIES
from kernel.db.tables.orders import ORDERS
from kernel.filters.callbacks import CallbackFilter
from kernel.insight.hosts import Breaker, Host, hosts
from kernel.insight.receivers import SHOWN, all_receivers, one_receiver
from kernel.insight.search.deliveries import page
from kernel.insight.state_counts import counts
from kernel.insight.trends import minutes
from kernel.insight.trends.minutes import MINUTE
from kernel.insight.workers import Heartbeat, Running, processes
from kernel.pauses.changes import pause
from kernel.pauses.subjects import Subject
from kernel.runtime.kernel import Kernel
from tests.support.bulk import plan
from tests.support.factories import make_delivery, make_order, order
from tests.support.ticketing import make_receiver

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
A = "https://receiver.example:443"
OTHER = {"origin": "https://other.example:8443", "url": "https://other.example:8443/"}


def test_counts_name_the_order_that_waits_longest_when_orders_wait(kernel: Kernel) -> None:
    oldest = make_order(kernel)
    make_order(kernel)
    make_order(kernel, state="failed", finished_at=kernel.clock.now())
    found = counts(kernel)
    assert (found.states["pending"], found.states["failed"], found.states["running"]) == (2, 1, 0)
    assert found.oldest_id == oldest
    assert found.oldest_at == order(kernel, oldest).run_after


def test_process_is_not_counted_on_when_it_has_been_silent(kernel: Kernel) -> None:
    with kernel.write_session() as session:
        now = kernel.clock.now()
        Heartbeat("worker", now).note(
            session, now, [Running("b"), Running("a")], [A], ["https://half.example:443"]
        )
        Heartbeat("dispatcher", now + SECOND).note(session, now - timedelta(minutes=5), [], [])
    first, second = processes(kernel)
    assert (first.alive, first.running, first.broken) == (True, ("a", "b"), (A,))
    assert first.probing == ("https://half.example:443",)
    assert not second.alive


def listed(kernel: Kernel) -> dict[str, Host]:
    found, more = hosts(kernel, processes(kernel))
    assert more == 0
    return {one.origin: one for one in found}


def test_host_shows_no_dead_callbacks_that_a_person_dropped(kernel: Kernel) -> None:
    now = kernel.clock.now()
    dead = {"state": "dead", "finished_at": now, "next_attempt_at": now}
    make_delivery(kernel, **dead, died_of="dropped")
    assert listed(kernel) == {}
    make_delivery(kernel, **dead, died_of="gone")
    assert listed(kernel)[A].dead == 1


def test_host_is_shown_with_what_waits_when_something_does(kernel: Kernel) -> None:
    now = kernel.clock.now()
    make_delivery(kernel, next_attempt_at=now - HOUR)
    make_delivery(kernel, is_retry=True)
    make_delivery(kernel, is_retry=True, next_attempt_at=now + HOUR)
    make_delivery(kernel, state="dead", is_retry=True, finished_at=now, next_attempt_at=now)
    old = now - timedelta(days=2)
    make_delivery(kernel, state="dead", is_retry=True, finished_at=old, next_attempt_at=old)
    make_delivery(kernel, state="delivered", finished_at=now, **OTHER)
    found = listed(kernel)
    assert list(found) == [A]
    assert (found[A].due, found[A].dead, found[A].held) == (2, 1, 0)
    assert found[A].oldest_due == now - HOUR
    assert (found[A].host, found[A].breaker, found[A].pauses) == (
        "receiver.example:443",
        "closed",
        [],
    )


def test_host_is_shown_as_paused_when_its_name_or_port_is(kernel: Kernel) -> None:
    make_delivery(kernel)
    make_delivery(kernel, **OTHER)
    for name in ("receiver.example", "other.example:1", "quiet.example"):
        pause(kernel, Subject(host=name))
    found = listed(kernel)
    assert found[A].pauses == ["receiver.example"]
    assert found[A].held == 1
    assert found["https://other.example:8443"].pauses == []
    assert found["quiet.example"].pauses == ["quiet.example"]


def test_breaker_is_open_or_half_when_a_living_process_says_so(kernel: Kernel) -> None:
    half = "https://half.example:443"
    with kernel.write_session() as session:
        now = kernel.clock.now()
        Heartbeat("worker", now).note(session, now, [], [A], [half])
        Heartbeat("worker", now).note(session, now, [], [], [A])
    found = listed(kernel)
    assert (found[A].breaker, found[A].open_in) == (Breaker.OPEN, 1)
    assert (found[half].breaker, found[half].open_in) == (Breaker.HALF, 0)


BIG = {"orders", "deliveries", "attempts"}
# Of 3,000 in each table: a fourth of the deliveries wait, and a count reads them twice.
ROWS_READ = 2000
# Small windows, as a million rows would take many of them.
SMALL = Budget(first=50, largest=100, seconds=60.0, rows=1500)


def fill(kernel: Kernel, rows: int = 3000) -> None:
    """Insert so many orders that have ended, their deliveries and attempts, over two hours."""
    now = kernel.clock.now()
    orders, owed, posts = [], [], []
    for number in range(rows):
        then = now - 2 * HOUR * (rows - number) / rows
        # The backlog is young: whoever looks for it by age goes past all that has ended.
        state = "pending" if number > 0.9 * rows else ("success", "failed")[number % 2]
        base = {"caller_id": 1, "created_at": then}
        order_id, delivery_id = new_id(then), new_id(then)
        orders.append(
            base
            | {"id": order_id, "select_tag": "create_project", "args": "{}", "callback_url": A}
            | {"fingerprint": "0" * 64, "run_after": then, "state": state}
            | {"finished_at": None if state == "pending" else then + SECOND}
        )
        ends = ("delivered", "dead", "pending", "held")[number % 41 % 4]
        over = ends in ("delivered", "dead")
        owed.append(
            base
            | {
                "id": delivery_id,
                "order_id": order_id,
                "url": f"https://r{number % 7}.example/",
                "body": b"{}",
                "state": ends,
            }
            | {"origin": f"https://r{number % 7}.example:443", "is_retry": True}
            | {"next_attempt_at": then, "finished_at": then + SECOND if over else None}
        )
        reason = None if number % 3 else "timeout"
        post = {"delivery_id": delivery_id, "number": 1, "started_at": then, "duration_ms": 9}
        posts.append(post | {"reason": reason, "phases": "{}"})
    with kernel.write_session() as session:
        for table, found in ((ORDERS, orders), (DELIVERIES, owed), (ATTEMPTS, posts)):
            session.execute(insert(table), found)
    with kernel.engine.connect() as connection:
        connection.execute(text("ANALYZE TABLE kernel_orders, kernel_deliveries, kernel_attempts"))


def asked(kernel: Kernel) -> list[tuple[str, Any]]:
    """Ask everything there is to ask; return the statements that were said."""
    make_receiver(kernel, "desk", "https://r1.example")
    said: list[tuple[str, Any]] = []
    event.listen(
        kernel.engines.single,
        "before_cursor_execute",
        lambda *call: said.append((call[2], call[3])),
    )
    now = kernel.clock.now()
    counts(kernel)
    hosts(kernel, processes(kernel))
    with kernel.read_session() as session:
        minutes.count_minute(session, now - HOUR, now - HOUR + MINUTE)
    ranges: list[dict[str, Any]] = [{}, {"since": now - HOUR}, {"until": now - HOUR}]
    for state in (None, *DeliveryState):
        for host in (None, "r1.example"):
            for caller_id in (None, 1):
                for when in ranges:
                    wanted = CallbackFilter(caller_id, state, host, **when)
                    with kernel.read_session() as session:
                        first = page(session, wanted, None, 20, SMALL)
                        page(session, wanted, first.next, 20, SMALL)
    with kernel.read_session() as session:
        all_receivers(session)
        _, _, tried = one_receiver(session, "anonymous", "desk", SMALL)
    assert len(tried) == SHOWN
    for kind, wanted_of in (("redeliver", {}), ("redeliver", {"host": "nobody.example"})):
        act = plan(kind, **wanted_of)
        with kernel.read_session() as session:
            count(session, act, SMALL)
            next_page(session, act, Span(newest(session, act), now), None, 20, SMALL)
    # The counts of all states go through everything up to a limit that these rows do not reach.
    about = [one for one in said if any(table in one[0] for table in BIG)]
    return [one for one in about if "UNION ALL" not in one[0]]


def test_every_question_is_answered_from_an_index_when_there_are_many_rows(
    make_kernel: Callable[..., Kernel], mariadb_rows_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = make_kernel(mariadb_rows_url)
    fill(kernel)
    statements = asked(kernel)
    assert len(statements) > 100
    with kernel.engine.connect() as connection:
        for statement, parameters in statements:
            plan = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).all()
            assert not [row for row in plan if row.type == "ALL" and row.table in BIG], statement
            connection.exec_driver_sql("FLUSH STATUS")
            connection.exec_driver_sql(statement, parameters).all()
            status = connection.exec_driver_sql("SHOW SESSION STATUS LIKE 'Handler\\_read%%'")
            counts = max(1, statement.count("count("))
            assert sum(int(value) for _, value in status) < ROWS_READ * counts, (statement, plan)
