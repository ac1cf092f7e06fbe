"""What waiting costs, counted: for an event, a slot, children; as docs/performance.md has it."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from pydantic import BaseModel

from kernel.handlers import Handlers, Run, Wait
from kernel.orders.cancel import cancel
from kernel.orders.gates.events import Told, tell
from kernel.orders.gates.limits import known
from kernel.orders.transitions import RunEnd
from kernel.runs.execute import execute
from kernel.runtime.kernel import Kernel
from kernel.testing import order
from tests.performance.test_costs import COUNTED, counting, documented
from tests.support.factories import order as stored


class Parts(BaseModel):
    """How many children to make."""

    count: int = 0


class Desk:
    """A kernel whose handlers write nothing themselves, and what its work costs."""

    def __init__(self, make_kernel: Callable[..., Kernel], url: str) -> None:
        registry = Handlers()
        registry.register("nothing", Parts)(lambda run, args: {})
        registry.register("event", Parts)(_waits_for_an_event)
        registry.register("slot", Parts, concurrency=1)(self._in_the_slot)
        registry.register("children", Parts)(_waits_for_children)
        self.kernel = make_kernel(url, registry)
        # What the handler of `slot` does while it runs.
        self.meanwhile: list[Callable[[], Any]] = []
        for tag in ("nothing", "slot"):  # caches and connections are warm
            self.run(self.order(tag))

    def _in_the_slot(self, run: Run, args: Parts) -> dict[str, Any]:
        while self.meanwhile:
            self.meanwhile.pop()()
        return {}

    def order(self, tag: str, **members: Any) -> str:
        """Submit an order without counting."""
        return order(self.kernel, tag, **members)

    def count(self, work: Callable[[], Any]) -> Counter[str]:
        """Count what something costs."""
        with counting(self.kernel) as found:
            work()
        return found

    def run(self, order_id: str) -> tuple[Counter[str], RunEnd]:
        """Count a run and what follows on its end."""
        ends: list[RunEnd | None] = []
        found = self.count(lambda: ends.append(execute(self.kernel, order_id)))
        assert ends[0] is not None
        return found, ends[0]

    def state(self, order_id: str) -> str:
        """Return the state of an order."""
        return stored(self.kernel, order_id).state


def _waits_for_an_event(run: Run, args: Parts) -> dict[str, Any] | Wait:
    return {} if run.events else Wait("approved")


def _waits_for_children(run: Run, args: Parts) -> dict[str, Any] | Wait:
    if run.has_waited:
        return {}
    for _ in range(args.count):
        run.submit("nothing")
    return Wait.children()


@pytest.fixture
def desk(
    make_kernel: Callable[..., Kernel], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> Desk:
    monkeypatch.setattr(known, "KNOWN_SECONDS", 3600.0)
    return Desk(make_kernel, database_url)


def beyond(found: Counter[str], plain: Counter[str]) -> dict[str, int]:
    """Return by how much one costs more than the other."""
    return {name: found[name] - plain[name] for name in COUNTED}


def told(found: dict[str, Any]) -> dict[str, dict[str, int]]:
    """Return counts as `documented` does."""
    return {stage: dict(counts) for stage, counts in found.items()}


def test_wait_for_an_event_costs_what_the_page_says(desk: Desk) -> None:
    plain, _ = desk.run(desk.order("nothing"))
    assert told({"run": plain}) == documented("nothing")
    waiting, late = desk.order("event"), desk.order("event")
    wait, end = desk.run(waiting)
    assert end.waits
    tells = desk.count(lambda: tell(desk.kernel, waiting, Told("approved")))
    after, end = desk.run(waiting)
    assert desk.state(waiting) == "success"
    early = desk.count(lambda: tell(desk.kernel, late, Told("approved")))
    found = {"wait": wait, "tell": tells, "early": early, "after": after}
    assert told(found) == documented("event")


def test_wait_for_a_slot_costs_what_the_page_says(desk: Desk) -> None:
    run, _ = desk.run(desk.order("slot"))
    first, second = desk.order("slot"), desk.order("slot")
    waits: list[Counter[str]] = []
    desk.meanwhile.append(lambda: waits.append(desk.count(lambda: execute(desk.kernel, second))))
    both, _ = desk.run(first)
    assert desk.state(second) == "pending"  # it has waited, and was let go on
    after, _ = desk.run(second)
    assert [desk.state(one) for one in (first, second)] == ["success", "success"]
    passing = beyond(both, waits[0])
    # The first look, which locks nothing but a free slot, is rolled back.
    assert waits[0].pop("rollbacks") == (desk.kernel.engine.dialect.name != "sqlite")
    waits[0]["rollbacks"] = 0
    found = {"run": run, "wait": waits[0], "passing": passing, "after": after}
    assert told(found) == documented("slot")


def test_children_cost_what_the_page_says(desk: Desk) -> None:
    plain, _ = desk.run(desk.order("nothing", callback_url=None))
    many, _ = desk.run(desk.order("children", count=300))
    parent = desk.order("children", count=100)
    wait, end = desk.run(parent)
    children = [desk.run(one) for one in end.woken]
    (last, end), (child, _) = children[-1], children[0]
    assert [one.parent for _, one in children[:-1]] == [None] * 99
    assert end.parent is not None
    assert end.parent.woken == (parent,)
    after, _ = desk.run(parent)
    assert desk.state(parent) == "success"
    found = {
        "wait": wait,
        "hundred": {name: count // 2 for name, count in beyond(many, wait).items()},
        "child": beyond(child, plain),
        "last": beyond(last, plain),
        "after": after,
    }
    assert told(found) == documented("children")
    assert all(count == child for count, _ in children[:-1])


def test_cancel_of_children_costs_what_the_page_says(desk: Desk) -> None:
    counts = []
    for hundreds in (3, 1):
        parent = desk.order("children", count=hundreds * 100)
        _, end = desk.run(parent)
        counts.append(desk.count(partial(cancel, desk.kernel, None, parent)))
        assert {desk.state(one) for one in (parent, *end.woken)} == {"cancelled"}
    each = {name: count // 2 for name, count in beyond(*counts).items()}
    assert told({"hundred": each}) == documented("cancel")
