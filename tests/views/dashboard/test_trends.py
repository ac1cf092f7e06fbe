"""The page of trends: its charts as a table, what is compared, what is marked."""

from datetime import timedelta

import pytest

from kernel.insight.trends import marks
from kernel.insight.workers import Heartbeat
from kernel.pauses.changes import pause
from kernel.pauses.subjects import Subject
from kernel.runtime.kernel import Kernel
from tests.support.factories import make_attempt, make_delivery, make_order
from tests.support.people.dashboard import operator, words
from tests.support.ticketing import make_receiver

DESK = {"origin": "https://desk.example:443", "url": "https://desk.example/in"}


def worked(kernel: Kernel) -> None:
    """Orders of two tags: one has ended, three wait, and one callback is retried."""
    now = kernel.clock.now()
    make_receiver(kernel, "desk", "https://desk.example/")
    done = make_order(kernel, state="failed", finished_at=now, started_at=now)
    make_attempt(kernel, make_delivery(kernel, done, **DESK), now, "timeout")
    for _ in range(3):
        make_order(kernel, select_tag="slow", run_after=now - timedelta(minutes=9))


def test_page_says_that_there_is_nothing_when_nothing_was_ordered(kernel: Kernel) -> None:
    said = words(operator(kernel).get("/dashboard/trends"))
    assert "No data yet" in said
    assert "No starts, pauses or failing receivers." in said


@pytest.mark.parametrize(("span", "points"), [("hour", 60), ("day", 96), ("week", 168)])
def test_charts_are_a_table_when_scripts_are_off(kernel: Kernel, span: str, points: int) -> None:
    worked(kernel)
    page = operator(kernel).get(f"/dashboard/trends?span={span}")
    assert page.text.count('id="at-') == points
    assert f'data-figures="{span}"' in page.text
    assert "4 accepted, 1 finished, 1 failed" in words(page)
    assert 'data-chart="queue" data-columns="4,5"' in page.text


def test_tag_that_grows_the_queue_is_the_first_when_it_has_most_pending(kernel: Kernel) -> None:
    worked(kernel)
    page = operator(kernel).get("/dashboard/trends")
    tags = page.text[page.text.index('id="by-tag"') :]
    assert tags.index(">slow</a>") < tags.index(">create_project</a>")
    assert "select_tag" not in words(page)[:20]
    callers = words(page)[words(page).index("anonymous") :]
    assert "Pending 3" in callers or " 3 " in callers


def test_page_is_of_a_part_when_one_is_chosen(kernel: Kernel) -> None:
    worked(kernel)
    visitor = operator(kernel)
    for address in ("?tag=slow", "?by=tag:slow"):
        page = visitor.get(f"/dashboard/trends{address}")
        assert "3 accepted, 0 finished" in words(page)
        assert '<option value="tag:slow" selected>' in page.text
    receiver = visitor.get("/dashboard/trends?receiver=anonymous/desk")
    assert "0.0% of 1 attempts" in words(receiver)
    assert "timed out" in words(receiver)
    host = words(visitor.get("/dashboard/trends?host=DESK.example"))
    assert "0.0% of 1 attempts" in host
    gone = visitor.get("/dashboard/trends?tag=unheard%3Cof").text
    assert '<option value="tag:unheard&lt;of" selected>' in gone


def test_page_says_what_is_wrong_when_two_parts_are_named(kernel: Kernel) -> None:
    page = operator(kernel).get("/dashboard/trends?tag=a&caller=b")
    assert page.status_code == 422
    assert "give one of tag, caller" in words(page)


def test_marks_are_on_the_page_when_something_happened(kernel: Kernel) -> None:
    now = kernel.clock.now()
    with kernel.write_session() as session:
        marks.note_start(session, "app1", now)
        process = Heartbeat("worker", now)
        process.note(session, now, [], ["https://desk.example:443#1"])  # type: ignore[list-item]
    marks.note_breakers(kernel)
    pause(kernel, Subject(host="desk.example"))
    page = operator(kernel).get("/dashboard/trends")
    said = words(page)
    assert "on app1 started" in said
    assert "https://desk.example:443 failing for anonymous still failing" in said
    assert "host desk.example paused by" in said
    for kind in ("start", "breaker", "pause"):
        assert f'data-kind="{kind}"' in page.text


def test_page_is_polled_without_its_frame_and_its_form(kernel: Kernel) -> None:
    part = operator(kernel).live("/dashboard/trends?span=day").text
    assert "<html" not in part
    assert "data-figures" in part
    assert "<select" not in part


def test_receivers_say_how_their_callbacks_went(kernel: Kernel) -> None:
    worked(kernel)
    now, visitor = kernel.clock.now(), operator(kernel)
    with kernel.write_session() as session:
        process = Heartbeat("worker", now)
        process.note(session, now, [], ["https://desk.example:443#1"])  # type: ignore[list-item]
    marks.note_breakers(kernel)
    for address in ("/dashboard/receivers", "/dashboard/receivers/anonymous/desk"):
        said = words(visitor.get(address))
        assert "0.0% of 1 attempts" in said
        assert "timed out 1" in said
    assert "still failing" in said
    assert "by=receiver:anonymous/desk" in visitor.get(address).text.replace("%3A", ":").replace(
        "%2F", "/"
    )


def test_receiver_says_that_there_is_nothing_when_nothing_was_sent(kernel: Kernel) -> None:
    make_receiver(kernel, "desk", "https://desk.example/")
    said = words(operator(kernel).get("/dashboard/receivers/anonymous/desk"))
    assert "No data yet" in said
    assert "Never." in said


def test_callers_say_what_is_pending_and_since_when(kernel: Kernel) -> None:
    worked(kernel)
    said = words(operator(kernel).get("/dashboard/callers"))
    assert "Last hour : Pending 3 (Oldest due" in said
    assert "Accepted 4 · Failed 1" in said
