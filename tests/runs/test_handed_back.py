"""An order that was claimed is given back when the process that has it will not run it."""

from collections.abc import Callable

from kernel.handlers import Handlers
from kernel.runs.execute import execute_each
from kernel.runtime.kernel import Kernel
from tests.support.factories import make_order, order
from tests.support.handlers.misbehaving import Named

MakeKernel = Callable[..., Kernel]


def test_order_is_handed_back_when_no_run_follows_what_its_claim_found_early(
    make_kernel: MakeKernel, database_url: str
) -> None:
    handlers = Handlers()
    handlers.register("paced", Named, rate="1/h")(lambda run, args: {})
    handlers.register("do", Named)(lambda run, args: {})
    kernel = make_kernel(database_url, handlers)
    tags = ("paced", "paced", "do")
    ids = [make_order(kernel, select_tag=tag, args='{"name":"a"}') for tag in tags]
    executing = execute_each(kernel, ids)
    ended, early = next(executing), next(executing)
    assert [ended.order_id, early.order_id] == ids[:2]
    assert order(kernel, ids[2]).state == "running"
    executing.close()  # type: ignore[attr-defined]
    assert [order(kernel, one).state for one in ids] == ["success", "pending", "pending"]
