"""A child that would wait for an order which waits for it: refused where the wait begins."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from kernel.db.tables.orders import ORDERS
from kernel.handlers import Handlers, Run, Wait
from kernel.runtime.kernel import Kernel
from kernel.testing import drain, order
from tests.support.factories import order as stored
from tests.support.factories import rows


class Family(BaseModel):
    """The keys of the children of each generation below, the next one first."""

    below: list[list[str | None]] = []
    waits: bool = True
    early: bool = False


def family(run: Run, args: Family) -> dict[str, Any] | Wait:
    if run.has_waited or not args.below:
        return {"children": sorted(one.state for one in run.children)}
    for key in args.below[0]:
        run.submit("family", ordering_key=key, below=args.below[1:])
    if args.early:
        run.checkpoint(1, 2)
    return Wait.children() if args.waits else {}


@pytest.fixture
def kernel(make_kernel: Callable[..., Kernel], database_url: str) -> Kernel:
    handlers = Handlers()
    handlers.register("family", Family)(family)
    return make_kernel(database_url, handlers)


def keyed(kernel: Kernel, *below: list[str | None], key: str | None = "k", **args: Any) -> str:
    return order(kernel, "family", ordering_key=key, below=list(below), **args)


def states(kernel: Kernel) -> list[str]:
    return sorted(row.state for row in rows(kernel, ORDERS))


def test_wait_for_a_child_with_the_own_key_is_refused_with_words(
    kernel: Kernel, caplog: pytest.LogCaptureFixture
) -> None:
    parent = keyed(kernel, [None, "other", "k"])
    drain(kernel, raise_bugs=False)
    assert stored(kernel, parent).error_code == "internal_error"
    assert "has the ordering key 'k' of order" in caplog.text
    # Nothing is left of the run, and the key is free.
    assert states(kernel) == ["failed"]
    after = keyed(kernel)
    drain(kernel, raise_bugs=False)
    assert stored(kernel, after).state == "success"


def test_committed_child_with_the_own_key_runs_when_the_wait_was_refused(kernel: Kernel) -> None:
    keyed(kernel, ["k"], early=True)
    drain(kernel, raise_bugs=False)
    assert states(kernel) == ["failed", "success"]


@pytest.mark.parametrize("below", [[["a"]], [["a", "b", "b"]], [["a"], ["b"]], [[None], ["a"]]])
def test_families_whose_keys_differ_end(kernel: Kernel, below: list[list[str | None]]) -> None:
    keyed(kernel, *below)
    drain(kernel)
    assert set(states(kernel)) == {"success"}


def test_child_with_the_own_key_follows_a_parent_that_does_not_wait(kernel: Kernel) -> None:
    keyed(kernel, ["k", "k"], waits=False)
    drain(kernel)
    assert states(kernel) == ["success"] * 3


@pytest.mark.parametrize("between", [1, 2])
def test_wait_for_a_child_with_the_key_of_an_order_above_is_refused(
    kernel: Kernel, between: int
) -> None:
    top = keyed(kernel, *[[None]] * between, ["k"])
    drain(kernel, raise_bugs=False)
    # The one that would have waited for the knot has failed, and those above have judged it.
    assert stored(kernel, top).state == "success"
    assert states(kernel) == ["failed"] + ["success"] * between


def test_order_whose_grandchild_waits_for_it_already_is_not_let_wait(kernel: Kernel) -> None:
    """The child waits first, which is no knot yet: its parent could end."""

    def late(run: Run, args: Family) -> Wait:
        run.submit("family", below=args.below)
        run.checkpoint(1, 2)
        drain(kernel, raise_bugs=False)
        return Wait.children()

    kernel.handlers.register("late", Family)(late)
    top = order(kernel, "late", ordering_key="k", below=[["k"]])
    drain(kernel, raise_bugs=False)
    assert stored(kernel, top).error_code == "internal_error"
    assert states(kernel) == ["failed", "success", "success"]
