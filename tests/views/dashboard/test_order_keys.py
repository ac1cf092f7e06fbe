"""Ordering keys on the dashboard: an order's page, the search, cancelling, submitting again."""

import html
import re
import shlex
from collections.abc import Callable
from dataclasses import replace

import pytest

from kernel.db.tables.gates import GATES
from kernel.orders.submit import submit
from kernel.runtime.kernel import Kernel
from tests.support.clients import FakeHints, handlers
from tests.support.factories import ANYBODY, make_order, order, request, rows
from tests.support.people.dashboard import Visitor, operator, words

KEY = "<b>客户</b> 7"


@pytest.fixture
def hints() -> FakeHints:
    return FakeHints()


@pytest.fixture
def visitor(kernel: Kernel, hints: FakeHints) -> Visitor:
    return operator(kernel, hints)


@pytest.fixture
def line(kernel: Kernel) -> list[str]:
    """Three orders of one key."""
    keyed = replace(request(), ordering_key=KEY)
    return [submit(kernel, ANYBODY, keyed).order_id for _ in range(3)]


def test_page_shows_key_place_and_position(visitor: Visitor, line: list[str]) -> None:
    page = visitor.get(f"/dashboard/orders/{line[2]}")
    said = words(page)
    assert f"waiting behind order {line[0]} for key {KEY} , at place 2" in said
    assert f"Ordering key {KEY} Place among its key's orders 3" in said
    assert "<b>客户" not in page.text
    assert "at place" not in words(visitor.get(f"/dashboard/orders/{line[0]}"))


def test_text_finds_the_orders_of_a_key(visitor: Visitor, line: list[str]) -> None:
    found = visitor.get("/dashboard/orders", query_string={"q": KEY}).text
    assert [one in found for one in line] == [True] * 3
    assert line[0] not in visitor.get("/dashboard/orders", query_string={"q": KEY[:-1]}).text


def test_next_order_is_hinted_when_one_is_cancelled(
    kernel: Kernel, visitor: Visitor, hints: FakeHints, line: list[str]
) -> None:
    visitor.post(f"/dashboard/orders/{line[0]}/cancel")
    assert hints.hinted == [line[1]]
    assert [order(kernel, one).state for one in line] == ["cancelled", "pending", "waiting"]


def test_order_that_is_submitted_again_has_the_key_and_a_place_of_its_own(
    kernel: Kernel, visitor: Visitor, hints: FakeHints, line: list[str]
) -> None:
    visitor.post(f"/dashboard/orders/{line[0]}/again")
    places = {one.place: one.ordering_key for one in rows(kernel, GATES)}
    assert places == dict.fromkeys((1, 2, 3, 4), KEY)
    assert hints.hinted == []


def test_order_whose_handler_takes_any_member_gets_none_when_it_is_submitted_again(
    make_kernel: Callable[..., Kernel], sqlite_url: str, hints: FakeHints
) -> None:
    kernel = make_kernel(sqlite_url, handlers)
    first = make_order(kernel, select_tag="anything", args='{"x":1}', reference="INC1", priority=1)
    visitor = operator(kernel, hints)
    visitor.post(f"/dashboard/orders/{first}/again")
    (again,) = hints.hinted
    assert (order(kernel, again).args, order(kernel, again).reference) == ('{"x":1}', "INC1")
    found = re.search(r'id="curl"[^>]*>(.*?)<', visitor.get(f"/dashboard/orders/{first}").text)
    assert found is not None
    words = shlex.split(html.unescape(found[1]))
    assert "X-Reference: INC1" in words
    assert '"x":1' in words[-1]
    assert "reference" not in words[-1]
