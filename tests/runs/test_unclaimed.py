"""Orders at whose claim a bug strikes: each ends, and the others have their turns."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from kernel.db.tables.deliveries import DELIVERIES
from kernel.handlers import Handlers, Run
from kernel.runs.execute import execute_each
from kernel.runtime.kernel import Kernel
from tests.support.factories import make_order, order, rows

handlers = Handlers()


class Work(BaseModel):
    """Nothing."""


def work(run: Run, args: Work) -> dict[str, Any]:
    return {}


handlers.register("alone", Work)(work)
handlers.register("together", Work, together=True)(work)
handlers.register("limited", Work, concurrency=1)(work)


@pytest.fixture
def kernel(make_kernel: Callable[..., Kernel], database_url: str) -> Kernel:
    return make_kernel(database_url, handlers)


def broken(kernel: Kernel, tag: str) -> str:
    """An order whose state cannot be read."""
    return make_order(kernel, select_tag=tag, args="{}", run=1, checkpoint=1, run_state="{")


@pytest.mark.parametrize("tag", ["alone", "together", "limited"])
def test_order_that_a_bug_keeps_from_being_claimed_ends_and_the_others_run(
    kernel: Kernel, tag: str
) -> None:
    wrong, heard = broken(kernel, tag), list[tuple[str, BaseException]]()
    kernel.on_bug.append(lambda *told: heard.append(told))
    first, last = (make_order(kernel, select_tag=tag, args="{}") for _ in range(2))
    ends = {end.order_id: end.outcome for end in execute_each(kernel, [first, wrong, last])}
    told = ends[wrong]
    assert told is not None
    assert (told.state, told.error_code) == ("failed", "internal_error")
    assert [row.order_id for row in rows(kernel, DELIVERIES) if row.order_id == wrong] == [wrong]
    assert [(one, isinstance(error, ValueError)) for one, error in heard] == [(wrong, True)]
    kernel.clock.shift(60)
    list(execute_each(kernel, [first, last]))  # one was given back, for it had claimed it along
    assert [order(kernel, one).state for one in (first, last)] == ["success", "success"]
    assert list(execute_each(kernel, [wrong])) == []
