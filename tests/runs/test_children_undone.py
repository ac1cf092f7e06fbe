"""Children that a run has submitted and not committed go with what undoes it."""

from collections.abc import Callable
from typing import Any

import pytest

from kernel import Reject, StepRetry
from kernel.handlers import Run, Wait
from kernel.runtime.kernel import Kernel
from kernel.testing import drain, order
from tests.runs.test_children import Parts, children, handlers, handlers_of, states
from tests.support.factories import order as stored


@pytest.fixture
def kernel(make_kernel: Callable[..., Kernel], database_url: str) -> Kernel:
    return make_kernel(database_url, handlers)


def test_rejected_order_leaves_no_child(kernel: Kernel) -> None:
    @handlers_of(kernel).register("refuses", Parts)
    def refuses(run: Run, args: Parts) -> dict[str, Any]:
        run.submit("part", number=1)
        run.checkpoint(1)
        run.submit("part", number=2)
        raise Reject("no", "not like this")

    parent = order(kernel, "refuses")
    drain(kernel)
    assert stored(kernel, parent).error_code == "no"
    assert len(children(kernel)) == 1, "that of the checkpoint stays"
    assert states(kernel) == ["failed", "success"]


def test_step_that_fails_once_and_submits_makes_one_child(kernel: Kernel) -> None:
    @handlers_of(kernel).register("stepping", Parts)
    def stepping(run: Run, args: Parts) -> dict[str, Any] | Wait:
        def work() -> str:
            child = run.submit("part", number=1)
            if run.number == 1:
                raise RuntimeError("not yet")
            return child

        child = run.step("work", work, retry=StepRetry(after=0))
        if run.number < 3:
            return Wait.children()
        return {"mine": [one.order_id for one in run.children] == [child]}

    parent = order(kernel, "stepping")
    drain(kernel)
    assert stored(kernel, parent).result == '{"mine":true}'
    assert len(children(kernel)) == 1


def test_child_of_a_step_whose_error_is_caught_is_forgotten(kernel: Kernel) -> None:
    @handlers_of(kernel).register("catching", Parts)
    def catching(run: Run, args: Parts) -> dict[str, Any]:
        run.submit("part", number=1)
        with pytest.raises(TypeError):  # what it returns is no JSON
            run.step("work", lambda: [run.submit("part", number=2), object()])
        run.submit("part", number=3)
        return {}

    order(kernel, "catching")
    drain(kernel)
    assert sorted(stored(kernel, one).result or "" for one in children(kernel)) == [
        '{"number":1,"pin":0}',
        '{"number":3,"pin":0}',
    ]
