"""Pages of deliveries by filter. On both databases."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from kernel.db.ids import new_id
from kernel.db.statements.keyset import Budget, Cursor
from kernel.db.states import DeliveryState
from kernel.filters.callbacks import CallbackFilter
from kernel.insight.search.deliveries import BUDGET, Page, page
from kernel.runtime.kernel import Kernel
from tests.support.factories import make_attempt, make_delivery

HOUR = timedelta(hours=1)
OTHER = {"origin": "https://other.example:8443", "url": "https://other.example:8443/"}


def over(kernel: Kernel, age: int, state: str = "dead", **values: Any) -> str:
    """Make a delivery that ended so many hours ago."""
    then = kernel.clock.now() - age * HOUR
    row = {"id": new_id(then), "state": state, "created_at": then, "finished_at": then}
    return make_delivery(kernel, **{**row, "next_attempt_at": then, **values})


def pages(
    kernel: Kernel, wanted: CallbackFilter, limit: int = 2, budget: Budget = BUDGET
) -> Iterator[Page]:
    """Go through all pages."""
    below: Cursor | None = None
    while True:
        with kernel.read_session() as session:
            found = page(session, wanted, below, limit, budget)
        yield found
        below = found.next
        if below is None:
            return


def ids(kernel: Kernel, **wanted: Any) -> list[str]:
    """The ids on all pages of a filter."""
    return [row.id for one in pages(kernel, CallbackFilter(**wanted)) for row in one.rows]


def test_pages_hold_every_delivery_once_when_a_filter_is_gone_through(kernel: Kernel) -> None:
    dead = [over(kernel, age) for age in (1, 2, 3, 4, 5)]
    away = [over(kernel, 6, **OTHER), over(kernel, 7, "delivered", **OTHER)]
    waiting = [make_delivery(kernel), make_delivery(kernel, state="held", **OTHER)]
    assert ids(kernel) == [*reversed(waiting), *dead, *away]
    assert ids(kernel, state=DeliveryState.DEAD) == [*dead, away[0]]
    assert ids(kernel, state=DeliveryState.PENDING) == waiting[:1]
    assert ids(kernel, state=DeliveryState.HELD, host="other.example") == waiting[1:]
    assert ids(kernel, host="other.example") == [waiting[1], *away]
    assert ids(kernel, caller_id=1, state=DeliveryState.DELIVERED) == away[1:]
    assert ids(kernel, caller_id=2) == []


def test_pages_keep_to_a_range_of_time_when_it_has_one(kernel: Kernel) -> None:
    made = [over(kernel, age) for age in (1, 3, 5)]
    late = over(kernel, 9, finished_at=kernel.clock.now())
    now = kernel.clock.now()
    dead = DeliveryState.DEAD
    assert ids(kernel, since=now - 4 * HOUR) == made[:2]
    assert ids(kernel, state=dead, since=now - 4 * HOUR) == made[:2]
    assert ids(kernel, state=dead, since=now - 4 * HOUR, until=now - 2 * HOUR) == made[1:2]
    # Without a range the dead are shown in the order of their end.
    assert ids(kernel, state=dead) == [late, *made]


def test_dead_deliveries_are_all_shown_when_they_ended_together(kernel: Kernel) -> None:
    then = kernel.clock.now()
    made = {over(kernel, age, finished_at=then) for age in range(5)}
    found = ids(kernel, state=DeliveryState.DEAD)
    assert (len(found), set(found)) == (5, made)


def test_page_says_how_far_it_looked_when_little_was_found(kernel: Kernel) -> None:
    rare = over(kernel, 50, **OTHER)
    for age in range(1, 39):
        over(kernel, age)
    budget = Budget(first=8, largest=8, seconds=0.0)
    found = list(pages(kernel, CallbackFilter(host="other.example"), budget=budget))
    assert [len(one.rows) for one in found] == [0, 0, 0, 0, 1]
    assert [one.complete for one in found] == [False] * 4 + [True]
    assert found[-1].rows[0].id == rare


def test_page_shows_the_latest_attempt_when_there_are_several(kernel: Kernel) -> None:
    delivery_id = make_delivery(kernel)
    make_attempt(kernel, delivery_id, kernel.clock.now(), "timeout")
    make_attempt(kernel, delivery_id, kernel.clock.now(), "dns")
    with kernel.read_session() as session:
        found = page(session, CallbackFilter(), None, 10)
    assert found.latest[delivery_id].reason == "dns"


def test_page_begins_at_the_newest_when_its_cursor_is_of_another_order(kernel: Kernel) -> None:
    dead = [over(kernel, age) for age in (1, 2)]
    wanted = CallbackFilter(state=DeliveryState.DEAD)
    with kernel.read_session() as session:
        assert [row.id for row in page(session, wanted, Cursor((dead[0],)), 5).rows] == dead
