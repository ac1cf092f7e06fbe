"""Parents and children on the dashboard: a batch's progress, its orders, the way up and down."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event, update

from kernel.db.tables.gates import GATES
from kernel.db.tables.orders import ORDERS
from kernel.runs.execute import execute
from kernel.runtime.kernel import Kernel
from tests.support.batches import ONE, ids, sent
from tests.support.clients import Client, client
from tests.support.factories import make_delivery, make_order
from tests.support.people.dashboard import HOSTILE, Visitor, operator, words


@pytest.fixture
def zammad(kernel: Kernel) -> Client:
    return client(kernel)


@pytest.fixture
def visitor(kernel: Kernel, zammad: Client) -> Visitor:
    return operator(kernel)


def batch_of(zammad: Client, number: int, **more: Any) -> tuple[str, list[str]]:
    """Send a batch; return its id and those of its orders."""
    data = sent(zammad, [ONE | {"callback_url": None}] * number, batch={"reference": "CHG1"} | more)
    return data["batch"]["order_id"], [str(one) for one in ids(data)]


def listed(visitor: Visitor, query: str) -> list[str]:
    """The ids on a page of the list."""
    page = visitor.get(f"/dashboard/orders?{query}")
    assert page.status_code == 200
    return re.findall(r'<tr data-row id="o-([0-9a-f-]{36})"', page.text)


def rows_of(text: str) -> list[str]:
    """The ids of the children on an order's page."""
    return re.findall(r'<tr data-row id="c-([0-9a-f-]{36})"', text)


def fail(kernel: Kernel, order_id: str, **values: Any) -> None:
    """Have an order fail, as far as its row tells."""
    ended = {"state": "failed", "finished_at": kernel.clock.now(), **values}
    with kernel.write() as connection:
        connection.execute(update(ORDERS).where(ORDERS.c.id == order_id).values(ended))


@contextmanager
def statements(kernel: Kernel) -> Iterator[list[str]]:
    """Collect what a kernel asks its database meanwhile."""
    heard: list[str] = []

    def hear(_: Any, __: Any, statement: str, *___: Any) -> None:
        heard.append(statement)

    for engine in set(kernel.engines[1:]):
        event.listen(engine, "before_cursor_execute", hear)
    yield heard
    for engine in set(kernel.engines[1:]):
        event.remove(engine, "before_cursor_execute", hear)


def test_page_of_a_batch_shows_its_progress_and_its_orders(
    kernel: Kernel, zammad: Client, visitor: Visitor
) -> None:
    batch, children = batch_of(zammad, 4)
    assert execute(kernel, children[0])
    fail(kernel, children[1], error_code="<b>quota</b>", reference=HOSTILE)
    for page in (
        visitor.get(f"/dashboard/orders/{batch}"),
        visitor.live(f"/dashboard/orders/{batch}"),
    ):
        said = words(page)
        assert "2 of 4 child orders have ended · 50 %" in said
        assert '<progress value="2" max="4"' in page.text
        for part in ("pending 2", "success 1", "failed 1", "failed <b>quota</b>", "All 4"):
            assert part in said
        assert rows_of(page.text) == sorted(children, reverse=True)
        assert "<b>quota" not in page.text
        assert HOSTILE not in page.text
    links = re.findall(r'href="/dashboard/orders\?([^"]*batch=[^"]*)"', page.text)
    found = {link: listed(visitor, link.replace("&amp;", "&")) for link in links}
    assert sorted(map(len, found.values())) == [1, 1, 2, 4]


def test_child_leads_to_its_parent_while_that_is_kept(
    kernel: Kernel, zammad: Client, visitor: Visitor
) -> None:
    batch, (child,) = batch_of(zammad, 1)
    page = visitor.get(f"/dashboard/orders/{child}")
    assert f"Child order of CHG1 {batch} kernel.batch waiting" in words(page)
    assert f'href="/dashboard/orders/{batch}"' in page.text
    with kernel.write() as connection:
        connection.execute(ORDERS.delete().where(ORDERS.c.id == batch))
    page = visitor.get(f"/dashboard/orders/{child}")
    assert f"Child order of {batch} (no longer kept)" in words(page)
    assert f'href="/dashboard/orders/{batch}"' not in page.text


def test_fifty_orders_of_a_large_batch_are_shown_and_all_are_listed(
    zammad: Client, visitor: Visitor, kernel: Kernel
) -> None:
    batch, children = batch_of(zammad, 60)
    make_order(kernel)
    newest = sorted(children, reverse=True)
    page = visitor.get(f"/dashboard/orders/{batch}")
    assert rows_of(page.text) == newest[:50]
    assert "All 60" in words(page)
    pages, query = list[str](), f"batch={batch}"
    while query:
        pages += listed(visitor, query)
        found = visitor.get(f"/dashboard/orders?{query}")
        assert f"Child orders of {batch}" in words(found)
        older = re.search(r'rel="next" href="/dashboard/orders\?([^"]+)"', found.text)
        query = "" if older is None else older[1].replace("&amp;", "&")
    assert pages == newest
    assert listed(visitor, f"batch={batch}&after={newest[30]}") == newest[5:30]


def test_children_are_found_by_other_filters_as_well(
    kernel: Kernel, zammad: Client, visitor: Visitor
) -> None:
    batch, (first, second) = batch_of(zammad, 2)
    other = make_order(kernel)
    fail(kernel, second)
    for query, wanted in {
        "state=failed": [second],
        "caller=zammad": [second, first],
        "tag=none": [],
        f"q={first}": [first],
        f"q={other}": [],
        "q=Bridge": [second, first],
    }.items():
        assert sorted(listed(visitor, f"batch={batch}&{query}")) == sorted(wanted), query
    assert listed(visitor, f"batch={other}") == []
    assert "Not understood: Child orders of ('all' is no id)" in words(
        visitor.get("/dashboard/orders?batch=all")
    )


def test_page_is_live_while_an_order_of_an_ended_batch_goes_on(
    kernel: Kernel, zammad: Client, visitor: Visitor
) -> None:
    batch, children = batch_of(zammad, 2)
    fail(kernel, batch)
    make_delivery(kernel, batch, state="delivered", finished_at=kernel.clock.now())
    fail(kernel, children[0])
    assert "data-live" in visitor.get(f"/dashboard/orders/{batch}").text
    fail(kernel, children[1])
    page = visitor.get(f"/dashboard/orders/{batch}")
    assert "2 of 2 child orders have ended" in words(page)
    assert "data-live" not in page.text


def test_order_without_relatives_costs_no_question_more(
    kernel: Kernel, zammad: Client, visitor: Visitor
) -> None:
    alone = make_order(kernel)
    batch, (child,) = batch_of(zammad, 1)
    with kernel.write() as connection:
        # As a plain order: it waits for nothing.
        connection.execute(update(GATES).values(waiting_for=None))
    for name, order_id in {"alone": alone, "parent": batch, "child": child}.items():
        with statements(kernel) as heard:
            said = words(visitor.live(f"/dashboard/orders/{order_id}"))
        of_orders = [one for one in heard if f"FROM {ORDERS.name}" in one]
        of_gates = [one for one in heard if GATES.name in one]
        has_family = name != "alone"
        assert ("hild order" in said, len(of_orders) > 1, of_gates != []) == (has_family,) * 3
