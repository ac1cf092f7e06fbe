"""The pages of errors: what fails, since when, how often; resolved, reopened, run again."""

import pytest

from kernel.callers.people import people
from kernel.callers.people.roles import Role
from kernel.insight.failures.counting import count_failures
from kernel.insight.failures.errors import resolve
from kernel.runtime.kernel import Kernel
from tests.support.clients import serve
from tests.support.factories import make_order
from tests.support.failures import BOOKED, PLACE, REFUSED, make_error, make_failure, make_refusal
from tests.support.people.dashboard import Visitor, operator, said, words

PATH = "/dashboard/errors"


def test_errors_are_listed_with_place_count_and_course(kernel: Kernel) -> None:
    make_error(kernel, 3)
    make_refusal(kernel)
    count_failures(kernel)
    shown = words(operator(kernel).get(PATH))
    assert f"ValueError {PLACE} no such customer" in shown
    assert "no_room refusal there is no room" in shown
    page = operator(kernel, name="other").get(PATH).text
    assert "3 failures in 24 hours" in page
    assert f"kind=rerun&amp;fingerprint={BOOKED}" in page


def test_resolved_errors_have_a_list_of_their_own(kernel: Kernel) -> None:
    make_error(kernel)
    visitor = operator(kernel)
    assert said(visitor.post(f"{PATH}/{BOOKED}/resolve", reason="1.4.1")) == "done_error_resolved"
    assert said(visitor.post(f"{PATH}/{BOOKED}/resolve")) == "done_error_was_resolved"
    assert "No open errors" in words(visitor.get(PATH))
    assert "ValueError" in words(visitor.get(f"{PATH}?state=resolved"))
    one = words(visitor.get(f"{PATH}/{BOOKED}"))
    assert "Resolved by ops" in one
    assert "1.4.1" in one
    assert said(visitor.post(f"{PATH}/{BOOKED}/reopen")) == "done_error_reopened"
    assert said(visitor.post(f"{PATH}/{BOOKED}/reopen")) == "done_error_was_open"


def test_error_that_came_back_says_so(kernel: Kernel) -> None:
    make_error(kernel)
    resolve(kernel, BOOKED)
    kernel.clock.shift(60)
    make_error(kernel)
    visitor = operator(kernel)
    assert "Came back" in words(visitor.get(PATH))
    assert "Came back" in words(visitor.get(f"{PATH}/{BOOKED}"))
    overview = words(visitor.get("/dashboard/"))
    assert "It had been resolved and has come back." in overview


def test_page_of_one_has_its_traceback_its_orders_and_the_way_to_run_them_again(
    kernel: Kernel,
) -> None:
    order_id = make_failure(kernel, message="<b>no</b>", traceback="Traceback\n  <i>in</i> book")
    count_failures(kernel)
    visitor = operator(kernel)
    page = visitor.get(f"{PATH}/{BOOKED}").text
    assert "&lt;i&gt;in&lt;/i&gt; book" in page
    assert "&lt;b&gt;no&lt;/b&gt;" in page
    assert f"/dashboard/orders/{order_id}" in page
    listed = visitor.get(f"/dashboard/orders?state=failed&fingerprint={BOOKED}").text
    assert f"state=failed&amp;fingerprint={BOOKED}" in page
    assert order_id in listed
    counted = words(visitor.get(f"/dashboard/bulk/new?kind=rerun&fingerprint={BOOKED}"))
    assert "1 match" in counted


def test_order_is_called_by_its_reference(kernel: Kernel) -> None:
    ended = {"state": "failed", "finished_at": kernel.clock.now(), "reference": "INC0012345"}
    make_failure(kernel, make_order(kernel, run=1, **ended))
    count_failures(kernel)
    assert "INC0012345" in words(operator(kernel).get(f"{PATH}/{BOOKED}"))


def test_viewer_sees_errors_and_changes_none(kernel: Kernel) -> None:
    make_error(kernel)
    with kernel.write_session() as session:
        key = people.add_person(session, "Eve", Role.VIEWER, kernel.clock.now())
    visitor = Visitor(serve(kernel))
    visitor.sign_in(key.get_secret_value())
    for path in (PATH, f"{PATH}/{BOOKED}"):
        page = visitor.get(path).text
        assert "ValueError" in page
        assert PLACE in page
        assert "no such customer" not in page
        assert "in book" not in page
        assert "Run all again" not in page
        assert "/resolve" not in page
    assert visitor.post(f"{PATH}/{BOOKED}/resolve").status_code == 403


@pytest.mark.parametrize("query", ["?state=x&tag=none", "?before=nonsense", f"/{REFUSED}"])
def test_address_that_leads_nowhere_is_no_error_of_ours(kernel: Kernel, query: str) -> None:
    make_error(kernel)
    answer = operator(kernel).get(PATH + query)
    assert answer.status_code == (404 if query.startswith("/") else 200)


def test_page_says_it_in_chinese(kernel: Kernel) -> None:
    make_error(kernel)
    visitor = operator(kernel)
    zh = {"headers": {"Accept-Language": "zh"}}
    assert "全部重新执行" in visitor.get(PATH, **zh).text
    assert "最近 14 天" in visitor.get(f"{PATH}/{BOOKED}", **zh).text
