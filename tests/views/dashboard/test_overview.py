"""The overview: what it says of now, its figures, and what a person changes there."""

from datetime import timedelta

import pytest

from kernel.db.tables.callers import Caller
from kernel.delivery.pauses import list_pauses, pause
from kernel.insight.workers import Heartbeat
from kernel.runtime.kernel import Kernel
from tests.support.factories import delivery, make_delivery, make_order
from tests.support.people.dashboard import operator, words

A = "https://receiver.example:443"


def work(kernel: Kernel, *running: str, broken: tuple[str, ...] = ()) -> None:
    """Have a worker process say that it is there."""
    with kernel.write_session() as session:
        now = kernel.clock.now()
        Heartbeat("worker", now).note(session, now, running, broken)


def test_overview_says_that_all_is_quiet_when_nothing_was_ever_ordered(kernel: Kernel) -> None:
    said = words(operator(kernel).get("/dashboard/"))
    assert "No worker is alive" in said
    assert "No callback waits." in said
    assert "nothing to tell yet" in said


def test_overview_counts_what_there_is_when_orders_wait_and_run(kernel: Kernel) -> None:
    now = kernel.clock.now()
    oldest = make_order(kernel)
    running = make_order(kernel, state="running")
    make_delivery(kernel, next_attempt_at=now - timedelta(minutes=5))
    make_delivery(kernel, is_retry=True, next_attempt_at=now + timedelta(hours=1))
    work(kernel, running)
    page = operator(kernel).get("/dashboard/")
    said = words(page)
    for expected in (
        "pending 1",
        "running 1",
        "success 2",
        "workers alive 1",
        "due 1 oldest 5 min",
    ):
        assert expected in said, said
    assert "due later 1" in said
    assert f'href="/dashboard/orders/{oldest}"' in page.text
    assert f'href="/dashboard/orders/{running}"' in page.text


def test_overview_has_its_charts_as_a_table_when_scripts_are_off(kernel: Kernel) -> None:
    now = kernel.clock.now()
    make_order(kernel, state="success", finished_at=now)
    visitor = operator(kernel)
    hour, day = visitor.get("/dashboard/").text, visitor.get("/dashboard/?span=day").text
    assert (hour.count('id="at-'), day.count('id="at-')) == (60, 96)
    assert 'data-figures="hour"' in hour
    assert 'role="img" aria-labelledby="said-orders"' in hour
    assert "1 accepted, 1 finished" in hour
    minute = int(now.timestamp()) // 60 * 60
    assert f'id="at-{minute}"' in hour


def test_overview_is_polled_without_its_frame_when_a_script_asks(kernel: Kernel) -> None:
    part = operator(kernel).live("/dashboard/").text
    assert "<html" not in part
    assert "data-figures" in part


def test_overview_is_asked_of_the_rows_once_when_many_look(kernel: Kernel) -> None:
    visitor = operator(kernel)
    before = words(visitor.live("/dashboard/"))
    make_order(kernel)
    assert "pending 0" in before
    assert "pending 0" in words(visitor.live("/dashboard/"))
    # Who comes from a change sees it.
    assert "pending 1" in words(visitor.get("/dashboard/?done=done_paused"))


def test_host_is_paused_and_resumed_when_its_button_is_pressed(kernel: Kernel) -> None:
    waiting = make_delivery(kernel)
    visitor = operator(kernel)
    address = "/dashboard/pauses/host?host=receiver.example:443&back=overview"
    answer = visitor.post(address)
    assert answer.status_code == 303
    assert delivery(kernel, waiting).state == "held"
    page = visitor.get(answer.headers["Location"])
    assert "Paused: what is owed is held" in words(page)
    assert "/dashboard/pauses/host/resume?host=receiver.example:443&amp;back=overview" in page.text
    answer = visitor.post(address.replace("/host?", "/host/resume?"))
    assert delivery(kernel, waiting).state == "pending"
    assert "done=done_resumed" in answer.headers["Location"]
    again = visitor.post(address.replace("/host?", "/host/resume?"))
    assert "done=done_not_paused" in again.headers["Location"]


def test_caller_is_paused_and_shown_when_its_button_is_pressed(kernel: Kernel) -> None:
    waiting = make_delivery(kernel)
    visitor = operator(kernel)
    assert visitor.post("/dashboard/pauses/caller/1?back=overview").status_code == 303
    assert delivery(kernel, waiting).state == "held"
    assert "Nothing is sent for anonymous." in words(visitor.get("/dashboard/"))
    visitor.post("/dashboard/pauses/caller/1/resume?back=overview")
    assert delivery(kernel, waiting).state == "pending"
    assert visitor.post("/dashboard/pauses/caller/77").status_code == 404


def test_breaker_is_shown_when_a_process_has_opened_it(kernel: Kernel) -> None:
    work(kernel, broken=(A,))
    work(kernel)
    said = words(operator(kernel).get("/dashboard/"))
    assert f"{A} open in 1 of 2 processes" in said


def test_overview_shows_hostile_text_as_text_when_a_person_paused_it(kernel: Kernel) -> None:
    pause(kernel, host="<script>alert(1)</script>")
    page = operator(kernel).get("/dashboard/").text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


@pytest.mark.parametrize("host", ["", "two words", "x" * 301, "桥.example"])
def test_pause_is_refused_when_its_host_is_none(kernel: Kernel, host: str) -> None:
    assert operator(kernel).post("/dashboard/pauses/host", host=host).status_code == 400
    with kernel.read_session() as session:
        assert list_pauses(session) == []


def test_overview_has_no_buttons_when_the_dashboard_is_read_only(
    make_kernel: object, sqlite_url: str
) -> None:
    kernel = make_kernel(sqlite_url, dashboard="read-only")  # type: ignore[operator]
    make_delivery(kernel)
    visitor = operator(kernel)
    page = visitor.get("/dashboard/")
    assert A in page.text
    assert "/dashboard/pauses/host" not in page.text
    assert visitor.post("/dashboard/pauses/host?host=receiver.example").status_code == 403


def test_overview_is_in_chinese_when_the_browser_asks_for_it(kernel: Kernel) -> None:
    with kernel.write_session() as session:
        session.add(Caller(name="zammad", created_at=kernel.clock.now()))
    page = operator(kernel).get("/dashboard/", headers={"Accept-Language": "zh-CN"})
    assert "存活工作进程" in page.text
