"""The page of the work, and those of a tag and of a caller."""

from datetime import timedelta

import pytest

from kernel.db.tables.service import Worker
from kernel.insight.workers.asking import drain, drained_hosts
from kernel.pauses.changes import pause
from kernel.pauses.subjects import Subject
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.known_tags import note_tags
from tests.support.clients import new_key
from tests.support.factories import make_order, rows
from tests.support.people.dashboard import HOSTILE, operator, said, words
from tests.support.working import HOST, at_work, running


def worked(kernel: Kernel) -> str:
    """Three orders of a tag wait, one has failed; a process runs one for 50 of 60 minutes."""
    now = kernel.clock.now()
    for _ in range(3):
        make_order(kernel, select_tag="slow", run_after=now - timedelta(minutes=9))
    failed = {"state": "failed", "error_code": "ad_gone", "finished_at": now, "started_at": now}
    make_order(kernel, select_tag="slow", **failed)
    order_id = make_order(kernel, select_tag="slow", state="running")
    at_work(kernel, running(kernel, order_id, 50, "slow"))
    return order_id


def test_page_says_that_nothing_is_there_when_nothing_was_ordered(kernel: Kernel) -> None:
    seen = words(operator(kernel).get("/dashboard/work"))
    assert "No process is at work." in seen


def test_tag_that_waits_most_comes_first_and_what_hangs_is_above_all(kernel: Kernel) -> None:
    order_id = worked(kernel)
    page = operator(kernel).get("/dashboard/work")
    seen = words(page)
    assert seen.index("Hanging") < seen.index("Tags") < seen.index("Callers", seen.index("Tags"))
    assert "close to its time limit" in seen
    assert f"/dashboard/orders/{order_id}" in page.text
    assert '<a href="/dashboard/tags/slow?span=hour">slow</a>' in page.text
    assert '<a href="/dashboard/callers/anonymous?span=hour">anonymous</a>' in page.text


def test_tag_that_only_a_worker_knows_is_listed(kernel: Kernel) -> None:
    note_tags(kernel)
    assert "create_project" in words(operator(kernel).get("/dashboard/work"))


def test_host_is_drained_and_resumed_by_its_buttons(kernel: Kernel) -> None:
    worked(kernel)
    visitor = operator(kernel)
    done = visitor.post("/dashboard/workers/drain", host=HOST, reason="CHG42")
    assert done.location == "/dashboard/work"
    seen = words(visitor.get("/dashboard/work"))
    assert "The host is to be drained" in seen
    assert "Drained by ops" in seen
    assert "CHG42" in seen
    assert "draining" in seen
    visitor.post("/dashboard/workers/resume", host=HOST)
    assert "Drained by" not in words(visitor.get("/dashboard/work"))


def test_drained_host_is_among_what_is_paused_and_resumed_from_the_overview(
    kernel: Kernel,
) -> None:
    drain(kernel, "node-3.example")
    visitor = operator(kernel)
    seen = words(visitor.get("/dashboard/"))
    assert "the host node-3.example is drained, its workers take nothing" in seen
    back = visitor.post("/dashboard/workers/resume?back=overview", host="node-3.example")
    assert back.location == "/dashboard/"
    with kernel.read_session() as session:
        assert drained_hosts(session) == []


def test_unknown_host_is_drained_with_a_warning(kernel: Kernel) -> None:
    visitor = operator(kernel)
    visitor.post("/dashboard/workers/drain", host="node-9")
    assert "No process was seen on this host" in words(visitor.get("/dashboard/work"))


@pytest.mark.parametrize("host", ["", "x" * 256])
def test_form_without_a_host_is_refused(kernel: Kernel, host: str) -> None:
    assert operator(kernel).post("/dashboard/workers/drain", host=host).status_code == 400


def test_process_is_terminated_by_its_button(kernel: Kernel) -> None:
    worked(kernel)
    visitor = operator(kernel)
    (one,) = rows(kernel, Worker.__table__)
    assert f"/dashboard/workers/{one.id}/terminate" in visitor.get("/dashboard/work").text
    visitor.post(f"/dashboard/workers/{one.id}/terminate")
    page = visitor.get("/dashboard/work")
    assert "The process is to end" in words(page)
    assert "/terminate" not in page.text


def test_silent_process_is_not_said_to_end(kernel: Kernel) -> None:
    one, visitor = at_work(kernel, ago=timedelta(minutes=5)), operator(kernel)
    answer = visitor.post(f"/dashboard/workers/{one.id}/terminate")
    assert said(answer) == "done_terminated_silent"
    assert "End it on its host" in words(visitor.get("/dashboard/work"))


def test_page_of_a_tag_says_what_waits_what_runs_and_what_failed(kernel: Kernel) -> None:
    order_id = worked(kernel)
    page = operator(kernel).get("/dashboard/tags/slow")
    seen = words(page)
    assert "Pending 3" in seen
    assert "ad_gone 1" in seen
    assert "anonymous 3" in seen
    assert "close to its time limit" in seen
    assert f"/dashboard/orders/{order_id}" in page.text
    assert "state=failed&amp;tag=slow&amp;error=ad_gone" in page.text


def test_page_of_a_caller_says_the_same_of_its_orders(kernel: Kernel) -> None:
    worked(kernel)
    new_key(kernel, "jira")
    visitor = operator(kernel)
    seen = words(visitor.get("/dashboard/callers/anonymous"))
    assert "Pending 3" in seen
    assert "ad_gone 1" in seen
    assert "slow 3" in seen
    assert "close to its time limit" in seen
    assert "close to its" not in words(visitor.get("/dashboard/callers/jira"))


def test_tag_whose_orders_are_paused_is_marked(kernel: Kernel) -> None:
    worked(kernel)
    pause(kernel, Subject(tag="slow"))
    page = operator(kernel).get("/dashboard/work").text
    assert '>slow</a> <span class="badge warn">' in page
    assert '>anonymous</a> <span class="badge warn">' not in page


def test_refusal_says_on_its_page_what_the_command_says(kernel: Kernel) -> None:
    answer = operator(kernel).post("/dashboard/workers/resume", host="node-1")
    assert answer.status_code == 404
    assert "that host is not drained" in words(answer)


@pytest.mark.parametrize("place", ["tags/never", "callers/never", "tags/%3Cscript%3E"])
def test_part_of_which_nothing_was_heard_is_not_found(kernel: Kernel, place: str) -> None:
    assert operator(kernel).get(f"/dashboard/{place}").status_code == 404


def test_hostile_names_are_text(kernel: Kernel) -> None:
    drain(kernel, HOSTILE)
    at_work(kernel, running(kernel, "01", 50, HOSTILE), host=HOSTILE)
    page = operator(kernel).get("/dashboard/work")
    assert "<script>alert(1)" not in page.text
    assert said(page) is not None
