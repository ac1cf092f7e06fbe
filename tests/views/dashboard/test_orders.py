"""The list of orders: what it shows, by which filters, page by page."""

import re
from datetime import timedelta

import pytest

from kernel.callers import identity, keys
from kernel.db.statements.keyset import Budget
from kernel.runtime.kernel import Kernel
from kernel.views.dashboard.frame import Limits
from tests.support.factories import make_order
from tests.support.people.dashboard import Visitor, limited, operator, words


@pytest.fixture
def visitor(kernel: Kernel) -> Visitor:
    return operator(kernel)


def listed(visitor: Visitor, query: str = "") -> list[str]:
    """The ids on a page of the list."""
    page = visitor.get(f"/dashboard/orders{query}")
    assert page.status_code == 200
    return re.findall(r'<tr data-row id="o-([0-9a-f-]{36})"', page.text)


def test_list_says_that_it_is_empty_when_it_is(visitor: Visitor) -> None:
    assert "No orders yet." in words(visitor.get("/dashboard/orders"))
    assert "No order fits." in words(visitor.get("/dashboard/orders?state=failed"))


def test_list_shows_every_callers_orders_when_an_operator_looks(
    kernel: Kernel, visitor: Visitor
) -> None:
    with kernel.write_session() as session:
        keys.add(session, "jira", kernel.clock.now())
        other = identity.find(session, "jira").id
    mine, theirs = make_order(kernel), make_order(kernel, caller_id=other, state="failed")
    assert set(listed(visitor)) == {mine, theirs}
    assert listed(visitor, "?state=failed") == [theirs]
    assert listed(visitor, "?caller=jira&state=failed") == [theirs]
    assert listed(visitor, f"?q={mine}") == [mine]
    assert listed(visitor, "?tag=none") == []


def test_tabs_count_their_states_when_nothing_is_filtered(kernel: Kernel, visitor: Visitor) -> None:
    for state in ("success", "success", "failed"):
        make_order(kernel, state=state)
    page = visitor.get("/dashboard/orders")
    assert "success 2 warning 0 failed 1" in words(page)
    assert "success 2" not in words(visitor.get("/dashboard/orders?tag=create_project"))


def test_list_is_paged_by_links_when_there_are_many(kernel: Kernel, visitor: Visitor) -> None:
    made = [make_order(kernel) for _ in range(30)]
    page = visitor.get("/dashboard/orders?tag=create_project")
    older = re.search(r'rel="next" href="([^"]+)"', page.text)
    assert older is not None
    address = older[1].replace("&amp;", "&").removeprefix("/dashboard/orders")
    assert "tag=create_project" in address
    first, second = listed(visitor, "?tag=create_project"), listed(visitor, address)
    assert sorted([*first, *second]) == sorted(made)
    assert 'rel="prev"' in visitor.get(f"/dashboard/orders{address}").text


@pytest.mark.parametrize(
    "query", ["state=none", "caller=nobody", "since=yesterday", "q=a%00b", "host=a%20b", "tag=é"]
)
def test_nothing_is_shown_when_a_filter_makes_no_sense(
    kernel: Kernel, visitor: Visitor, query: str
) -> None:
    make_order(kernel)
    assert listed(visitor, f"?{query}") == []
    assert "Not understood:" in words(visitor.get(f"/dashboard/orders?{query}"))


def test_times_are_taken_for_utc_when_no_offset_is_given(kernel: Kernel, visitor: Visitor) -> None:
    order_id = make_order(kernel)
    now = kernel.clock.now()
    before, after = (now + timedelta(minutes=m) for m in (-5, 5))
    assert listed(visitor, f"?since={before:%Y-%m-%dT%H:%M}&until={after:%Y-%m-%dT%H:%M:%S}") == [
        order_id
    ]
    assert listed(visitor, f"?since={after:%Y-%m-%dT%H:%M}") == []


def test_search_says_how_far_it_looked_when_it_stopped(kernel: Kernel) -> None:
    budget = Budget(first=2, largest=2, seconds=1000.0, rows=2)
    visitor = limited(kernel, Limits(search=budget))
    for _ in range(5):
        make_order(kernel)
    page = visitor.get("/dashboard/orders?q=nowhere")
    assert "Looked through 2 orders, back to" in words(page)
    assert "Look further back" in words(page)


def test_live_part_is_the_list_alone_when_a_script_asks(kernel: Kernel, visitor: Visitor) -> None:
    order_id = make_order(kernel)
    part = visitor.live("/dashboard/orders?state=pending")
    assert order_id in part.text
    assert "<html" not in part.text
    assert "<form" not in part.text
    whole = visitor.get("/dashboard/orders?state=pending&done=done_cancelled")
    assert 'hx-get="/dashboard/orders?state=pending"' in whole.text
