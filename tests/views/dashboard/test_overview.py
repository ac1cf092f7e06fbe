"""The overview: what it says of now, its figures, and what a person changes there."""

import re
from datetime import timedelta

import pytest

from kernel.db.ids import new_id
from kernel.db.tables.callers import Caller
from kernel.db.tables.operating.pauses import Pause
from kernel.delivery.breakers import Target
from kernel.insight.trends import rows
from kernel.insight.workers import Heartbeat, Running
from kernel.pauses.changes import pause
from kernel.pauses.listing import list_pauses
from kernel.pauses.subjects import Subject
from kernel.runtime.kernel import Kernel
from tests.support.factories import delivery, make_delivery, make_order
from tests.support.people.dashboard import Visitor, operator, said, words

A = "https://receiver.example:443"


def work(kernel: Kernel, *running: str, broken: tuple[str, ...] = ()) -> None:
    """Have a worker process say that it is there."""
    with kernel.write_session() as session:
        now = kernel.clock.now()
        Heartbeat("worker", now).note(session, now, map(Running, running), broken)


def test_overview_says_that_all_is_quiet_when_nothing_was_ever_ordered(kernel: Kernel) -> None:
    said = words(operator(kernel).get("/dashboard/"))
    assert "No worker is alive" in said
    assert "No callback waits." in said
    assert "No data yet" in said


def test_overview_says_in_one_line_that_nothing_is_wrong(kernel: Kernel) -> None:
    work(kernel)
    page = operator(kernel).get("/dashboard/").text
    assert 'data-condition="none"' in page
    assert "Nothing is wrong." in page
    assert "<title>Overview · kernel</title>" in page


def test_overview_begins_with_what_is_wrong_and_what_to_do_the_worst_first(
    kernel: Kernel,
) -> None:
    late = kernel.clock.now() - timedelta(minutes=10)
    oldest = make_order(kernel, run_after=late, reference="INC0012345")
    make_delivery(kernel, state="dead", finished_at=late, died_of="gone")
    pause(kernel, Subject(host="quiet.example"))
    visitor = operator(kernel)
    page = visitor.get("/dashboard/")
    keys = re.findall(r'data-condition="(\w+)"', page.text)
    assert keys == ["no_worker", "orders_wait", "dead_callbacks", "paused"]
    said = words(page)
    assert "The oldest has waited 10 min (INC0012345, create_project of anonymous)." in said
    assert "Start one: kernel worker." in said
    assert "docs/operations.md#callbacks-are-dead" in said
    assert f'href="/dashboard/orders/{oldest}"' in page.text
    assert "/dashboard/pauses/resume?back=overview&amp;what=host&amp;of=quiet.example" in page.text
    # Notices are not counted. The part that is polled tells the number, too.
    assert "<title>(3) Overview · kernel</title>" in page.text
    assert 'data-trouble="3"' in visitor.live("/dashboard/").text


def test_failing_receiver_is_paused_from_its_condition(kernel: Kernel) -> None:
    owed = make_delivery(kernel, is_retry=True)
    work(kernel, broken=(Target(1, A),))
    visitor = operator(kernel)
    page = visitor.get("/dashboard/").text
    assert f"{A} is failing" in page
    address = "/dashboard/pauses?what=host&amp;of=receiver.example:443&amp;back=overview"
    assert address in page.partition('id="now"')[0]
    visitor.post(address.replace("&amp;", "&"))
    assert delivery(kernel, owed).state == "held"


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
        "workers alive 1",
        "callbacks due 1 oldest",
        "callbacks due later 1",
    ):
        assert expected in said, said
    assert "success" in said.partition("Activity")[2], "what has ended is told of a window"
    assert f'href="/dashboard/orders/{oldest}"' in page.text
    assert 'href="/dashboard/work#workers"' in page.text, "what runs is told there"


def test_overview_has_its_charts_as_a_table_when_scripts_are_off(kernel: Kernel) -> None:
    now = kernel.clock.now()
    make_order(kernel, state="success", finished_at=now)
    visitor = operator(kernel)
    hour, day, week = (
        visitor.get(f"/dashboard/?span={one}").text for one in ("hour", "day", "week")
    )
    assert [one.count('id="at-') for one in (hour, day, week)] == [60, 96, 168]
    assert 'data-figures="hour"' in hour
    assert 'role="img" aria-labelledby="said-orders"' in hour
    assert "1 accepted, 1 finished" in hour
    minute = int(now.timestamp()) // 60 * 60
    assert f'id="at-{minute}"' in hour


def test_counters_are_of_a_window_and_tell_their_change_against_the_one_before(
    kernel: Kernel,
) -> None:
    now = kernel.clock.now()
    for minutes in (1, 2, 3, 70, 71, 130):
        at = now - timedelta(minutes=minutes)
        ended = {"state": "failed", "started_at": at, "finished_at": at}
        make_order(kernel, id=new_id(at), created_at=at, **ended)
    assert "from" not in counted(operator(kernel), "hour"), "no row reaches back so far"
    while rows.write(kernel, timedelta(hours=3)):
        pass
    visitor = operator(kernel, name="another")
    assert "accepted 3 +50% from 2" in counted(visitor, "hour")
    assert "failed 3 +50% from 2 cancelled 0 no change" in counted(visitor, "hour")
    assert "accepted 6" in counted(visitor, "day")
    page = visitor.get("/dashboard/?span=day").text
    assert 'href="/dashboard/orders?state=failed&amp;ended_since=1d"' in page
    assert 'href="/dashboard/?span=week#trends"' in page


def counted(visitor: Visitor, span: str) -> str:
    """What the counters of a window say."""
    page = words(visitor.get(f"/dashboard/?span={span}"))
    return page.partition("Last 7 days")[2].partition("Orders per minute")[0]


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
    changed = visitor.post("/dashboard/pauses?what=host&of=receiver.example&back=overview")
    assert "pending 1" in words(visitor.get(changed.location))


def test_host_is_paused_and_resumed_when_its_button_is_pressed(kernel: Kernel) -> None:
    waiting = make_delivery(kernel)
    visitor = operator(kernel)
    address = "/dashboard/pauses?what=host&of=receiver.example:443&back=overview"
    answer = visitor.post(address)
    assert answer.status_code == 303
    assert delivery(kernel, waiting).state == "held"
    page = visitor.get(answer.headers["Location"])
    assert "Paused: what is owed or due is held" in words(page)
    button = "/dashboard/pauses/resume?what=host&amp;of=receiver.example:443&amp;back=overview"
    assert button in page.text
    answer = visitor.post(address.replace("/pauses?", "/pauses/resume?"))
    assert delivery(kernel, waiting).state == "pending"
    assert said(answer) == "done_resumed"
    again = visitor.post(address.replace("/pauses?", "/pauses/resume?"))
    assert said(again) == "done_not_paused"


def test_host_is_paused_as_the_table_shows_it_and_doubted_when_it_is_unknown(
    kernel: Kernel,
) -> None:
    waiting, visitor = make_delivery(kernel), operator(kernel)
    answer = visitor.post("/dashboard/pauses?what=host", of=f" {A.upper()}/ ")
    assert (delivery(kernel, waiting).state, said(answer)) == ("held", "done_paused")
    answer = visitor.post("/dashboard/pauses?what=host", of="reciever.example")
    assert said(answer) == "done_paused_unknown"


def test_caller_is_paused_and_shown_when_its_button_is_pressed(kernel: Kernel) -> None:
    waiting = make_delivery(kernel)
    visitor = operator(kernel)
    address = "/dashboard/pauses?what=caller&of=anonymous&back=overview"
    assert visitor.post(address).status_code == 303
    assert delivery(kernel, waiting).state == "held"
    assert "Nothing is sent for anonymous." in words(visitor.get("/dashboard/"))
    visitor.post("/dashboard/pauses/resume?what=caller&of=anonymous&back=overview")
    assert delivery(kernel, waiting).state == "pending"
    assert visitor.post("/dashboard/pauses?what=caller&of=nobody").status_code == 404


def test_breaker_is_shown_when_a_process_has_opened_it(kernel: Kernel) -> None:
    work(kernel, broken=(Target(1, A),))
    work(kernel)
    said = words(operator(kernel).get("/dashboard/"))
    assert f"{A} failing in 1 of 2 processes: anonymous" in said


def test_overview_shows_hostile_text_as_text_when_a_person_paused_it(kernel: Kernel) -> None:
    with kernel.write_session() as session:  # an older release took it
        hostile, now = "<script>alert(1)</script>", kernel.clock.now()
        session.add(Pause(host=hostile, created_at=now))
    page = operator(kernel).get("/dashboard/").text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


@pytest.mark.parametrize("host", ["", "two words", "x" * 301, "https://a.example/path"])
def test_pause_is_refused_in_words_when_its_host_is_none(kernel: Kernel, host: str) -> None:
    answer = operator(kernel).post("/dashboard/pauses?what=host", of=host)
    assert (answer.status_code, "That is not a host." in words(answer)) == (422, True)
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
    assert "/dashboard/pauses?" not in page.text
    assert visitor.post("/dashboard/pauses?what=host&of=receiver.example").status_code == 403


def test_overview_is_in_chinese_when_the_browser_asks_for_it(kernel: Kernel) -> None:
    with kernel.write_session() as session:
        session.add(Caller(name="zammad", created_at=kernel.clock.now()))
    page = operator(kernel).get("/dashboard/", headers={"Accept-Language": "zh-CN"})
    assert "存活工作进程" in page.text
