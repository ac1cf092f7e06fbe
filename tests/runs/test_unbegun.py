"""Orders that are claimed and cannot begin: each leaves its run, and the others have theirs."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from sqlalchemy.exc import TimeoutError as PoolTimeout

from kernel.delivery.first_attempt import FirstAttempts
from kernel.handlers import Handlers, Run
from kernel.runs.execute import execute_each
from kernel.runtime.kernel import Kernel
from tests.support.factories import make_order, order
from tests.support.handlers.misbehaving import Named, write

MakeKernel = Callable[..., Kernel]


class Failing(FirstAttempts):
    """It cannot be told how to send for caller 1, when it is asked for the nth time."""

    def __init__(self, errors: Mapping[int, Exception]) -> None:
        super().__init__()
        self.errors = errors
        self.asked = 0

    def prepare(self, caller_id: int) -> None:
        """Fail by the error for this time, if there is one."""
        self.asked += 1
        if error := self.errors.get(self.asked):
            raise error


def run_three(
    make_kernel: MakeKernel, url: str, *errors: Exception, together: bool
) -> tuple[Kernel, list[Any]]:
    registry = Handlers()

    @registry.register("do", Named, together=together)
    def do(run: Run, args: Named) -> dict[str, Any]:
        write(run, args.name)
        return {}

    kernel = make_kernel(url, registry)
    ids = [make_order(kernel, select_tag="do", args="{}") for _ in range(3)]
    list(execute_each(kernel, ids, Failing(dict(enumerate(errors, 2)))))
    assert kernel.running == {}, "no lease is renewed for what does not run"
    return kernel, [order(kernel, order_id) for order_id in ids]


def test_order_that_a_bug_keeps_from_beginning_ends(
    make_kernel: MakeKernel, database_url: str
) -> None:
    _, found = run_three(make_kernel, database_url, ZeroDivisionError(), together=False)
    assert [(one.state, one.run) for one in found] == [
        ("success", 1),
        ("failed", 1),
        ("success", 1),
    ]
    assert found[1].error_code == "internal_error"


def test_short_orders_run_one_by_one_where_one_cannot_begin(
    make_kernel: MakeKernel, database_url: str
) -> None:
    _, found = run_three(make_kernel, database_url, ZeroDivisionError(), together=True)
    assert [(one.state, one.run) for one in found] == [("success", 1)] * 3


@pytest.mark.parametrize("together", [False, True])
def test_orders_are_handed_back_when_the_pool_has_no_connection_to_begin_with(
    make_kernel: MakeKernel, database_url: str, together: bool
) -> None:
    kernel, found = run_three(make_kernel, database_url, PoolTimeout(), together=together)
    assert {one.state for one in found} <= {"pending", "success"}
    assert found[1].state == "pending"
    assert sum(one.crashes + one.broken for one in found) == 0
    ids = [one.id for one in found if one.state == "pending"]
    list(execute_each(kernel, ids))
    assert {order(kernel, order_id).state for order_id in ids} == {"success"}


def test_short_order_is_handed_back_that_began_beside_others_and_cannot_begin_alone(
    make_kernel: MakeKernel, database_url: str
) -> None:
    errors = (ZeroDivisionError(), PoolTimeout())
    _, found = run_three(make_kernel, database_url, *errors, together=True)
    assert "pending" in {one.state for one in found} <= {"pending", "success"}
    assert sum(one.crashes + one.broken for one in found) == 0
