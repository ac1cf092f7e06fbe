"""The pages of bulk acts: counted by group, begun with a reason, followed, aborted."""

import re
from datetime import timedelta
from html import unescape
from zoneinfo import ZoneInfo

import pytest

from kernel.db.ids import new_id
from kernel.db.statements.keyset import Budget
from kernel.db.tables.operating.bulk import JOBS, RERUNS
from kernel.filters.fields import CALLBACK_FIELDS, ORDER_FIELDS
from kernel.runtime.kernel import Kernel
from kernel.views.dashboard.frame import Limits
from tests.support.bulk import begun, stepped
from tests.support.factories import CALLBACK, make_delivery, make_order, rows
from tests.support.people.dashboard import limited, operator, said, words

PATH = "/dashboard/bulk"


def failed(kernel: Kernel, code: str = "timed_out") -> str:
    """An order that has failed."""
    ended = {"state": "failed", "error_code": code, "finished_at": kernel.clock.now()}
    return make_order(kernel, callback_url=CALLBACK, **ended)


def test_failed_orders_are_counted_and_run_again_with_a_reason(kernel: Kernel) -> None:
    order_id = failed(kernel)
    failed(kernel, "other")
    visitor, asked = operator(kernel), "kind=rerun&error=timed_out&since=2h"
    counted = words(visitor.get(f"{PATH}/new?{asked}"))
    assert "1 match" in counted
    assert "timed_out 1" in counted
    answer = visitor.post(f"{PATH}?{asked}", reason="INC7", rate="600")
    (job,) = rows(kernel, JOBS)
    assert (said(answer), job.reason, job.rate) == ("done_bulk_begun", "INC7", 600)
    stepped(kernel, job.id)
    (made,) = rows(kernel, RERUNS)
    shown = words(visitor.get(answer.headers["Location"]))
    assert "1 done, 0 left as they were" in shown
    assert order_id in shown
    assert made.new_id in shown


def test_dead_callbacks_alone_are_counted_unless_a_state_is_said(kernel: Kernel) -> None:
    now = kernel.clock.now()
    for state in ("dead", "delivered", "delivered"):
        make_delivery(kernel, state=state, finished_at=now)
    visitor = operator(kernel)
    assert "1 match" in words(visitor.get(f"{PATH}/new?kind=redeliver&count=1"))
    assert "2 match" in words(visitor.get(f"{PATH}/new?kind=redeliver&state=delivered"))
    assert "Nothing matches" in words(visitor.get(f"{PATH}/new?kind=drop&count=1"))


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("since=soon", "since: 'soon' is no time: write 14:00"),
        ("state=running", "state: a rerun is for orders in these states"),
        ("caller=stranger", "caller: there is no caller 'stranger'"),
    ],
)
def test_act_that_makes_no_sense_is_not_begun(kernel: Kernel, query: str, why: str) -> None:
    failed(kernel)
    visitor = operator(kernel)
    page = visitor.get(f"{PATH}/new?kind=rerun&{query}")
    assert "Not understood" in words(page)
    answer = visitor.post(f"{PATH}?kind=rerun&{query}")
    assert (answer.status_code, why in words(answer)) == (400, True)
    assert rows(kernel, JOBS) == []


def test_act_is_listed_and_aborted(kernel: Kernel) -> None:
    make_order(kernel)
    job_id = begun(kernel, "cancel")
    visitor = operator(kernel)
    assert "Cancel orders" in words(visitor.get(PATH))
    answer = visitor.post(f"{PATH}/{job_id}/abort")
    assert said(answer) == "done_bulk_aborted"
    assert "aborted" in words(visitor.get(f"{PATH}/{job_id}"))
    assert said(visitor.post(f"{PATH}/{job_id}/abort")) == "done_bulk_ended"


@pytest.mark.parametrize(("kind", "fields"), [("rerun", ORDER_FIELDS), ("drop", CALLBACK_FIELDS)])
def test_form_has_a_labelled_field_for_each_of_the_filter(
    kernel: Kernel, kind: str, fields: tuple[str, ...]
) -> None:
    page = operator(kernel).get(f"{PATH}/new?kind={kind}").text
    labels = re.findall(r"<label[^>]*>\s*([^<]*?)\s*<(?:input|select)[^>]*? name=\"(\w+)\"", page)
    assert {name for _, name in labels} >= {*fields}
    assert [said for said, name in labels if said == name or not said] == []


def test_times_are_read_in_the_zone_of_the_page(kernel: Kernel) -> None:
    failed(kernel)
    ago = (kernel.clock.now() - timedelta(minutes=5)).astimezone(ZoneInfo("Asia/Shanghai"))
    query = {"kind": "rerun", "since": f"{ago:%Y-%m-%d %H:%M}"}
    visitor = operator(kernel)
    there = visitor.get(f"{PATH}/new", query_string=query | {"zone": "Asia/Shanghai"})
    assert "1 match" in words(there)
    assert "Nothing matches" in words(visitor.get(f"{PATH}/new", query_string=query))


def test_count_goes_no_further_than_a_page_may_until_it_is_told_to(kernel: Kernel) -> None:
    for _ in range(5):
        failed(kernel)
    few = Limits(counting=Budget(first=2, largest=2, seconds=0.0))
    visitor = limited(kernel, few)
    page = visitor.get(f"{PATH}/new?kind=rerun&count=1")
    assert "At least 2 match" in words(page)
    (more,) = re.findall(r'href="([^"]*count=all[^"]*)"', page.text)
    assert "5 match" in words(visitor.get(unescape(more)))


@pytest.mark.parametrize("rate", ["600/min", "0", "-1", "²"])
def test_act_is_not_begun_at_a_rate_that_is_none(kernel: Kernel, rate: str) -> None:
    failed(kernel)
    answer = operator(kernel).post(f"{PATH}?kind=rerun", reason="INC7", rate=rate)
    assert answer.status_code == 400
    assert "rate: a number from 1 to 1000000 a minute" in words(answer)
    assert rows(kernel, JOBS) == []


def test_page_of_an_act_says_its_filter_in_words(kernel: Kernel) -> None:
    failed(kernel)
    visitor = operator(kernel)
    asked = "kind=rerun&error=timed_out&caller=anonymous&ended_since=2h"
    answer = visitor.post(f"{PATH}?{asked}", reason="INC7")
    said_there = words(visitor.get(answer.headers["Location"]))
    assert "Error code timed_out" in said_there
    assert "Caller anonymous" in said_there
    assert re.search(r"Ended from [0-9-]{10} [0-9:]{8} UTC", said_there)


@pytest.mark.parametrize(("kind", "over"), [("rerun", "ended_"), ("redeliver", "")])
def test_button_is_for_what_was_counted_when_time_has_passed(
    kernel: Kernel, kind: str, over: str
) -> None:
    now = kernel.clock.now()
    for minutes in (50, 90):
        made = {"id": new_id(now - timedelta(minutes=minutes))}
        at = {"finished_at": now - timedelta(minutes=minutes)}
        if kind == "rerun":
            make_order(kernel, **made, **at, state="failed", error_code="timed_out")
        else:
            make_delivery(kernel, **made, **at, state="dead")
    visitor, told = operator(kernel), f"kind={kind}&{over}since=2h&{over}until=1h&caller=anonymous"
    page = visitor.get(f"{PATH}/new?{told}").text
    assert "1 match" in page
    kernel.clock.shift(20 * 60)  # the other one is older than an hour by now
    (action,) = re.findall(r'<form method="post" action="([^"]*kind=[^"]*)"', page)
    visitor.post(unescape(action), reason="INC7")
    (job,) = rows(kernel, JOBS)
    assert job.counted == 1
    stepped(kernel, job.id)
    assert rows(kernel, JOBS)[0].done == 1
