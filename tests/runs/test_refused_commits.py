"""A COMMIT that is refused, by a constraint that is looked at then: the work is to blame."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from kernel.errors import RunBroken
from kernel.handlers import Handlers, Run
from kernel.runs.execute import execute
from kernel.runtime.kernel import Kernel
from tests.support.factories import make_order, order
from tests.support.handlers.misbehaving import Named, names, write

MakeKernel = Callable[..., Kernel]
KIND = "REFERENCES kernel_orders (id) DEFERRABLE INITIALLY DEFERRED"


@pytest.mark.parametrize("saves", [None, "lets it pass", "goes on", "saves again"])
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_order_ends_at_once_whose_commit_is_refused(
    make_kernel: MakeKernel, request: pytest.FixtureRequest, kind: str, saves: str | None
) -> None:
    registry = Handlers()

    @registry.register("do", Named)
    def do(run: Run, args: Named) -> dict[str, Any]:
        write(run, args.name)
        run.session.execute(text("INSERT INTO orphans VALUES ('of no order')"))
        if saves == "lets it pass":
            run.checkpoint(1)
        elif saves is not None:
            with suppress(DBAPIError):
                run.checkpoint(1)
        if saves == "saves again":
            with suppress(DBAPIError, RunBroken):
                run.checkpoint(2)
        return {}

    kernel = make_kernel(request.getfixturevalue(f"{kind}_url"), registry)
    with kernel.write() as connection:
        connection.exec_driver_sql(f"CREATE TABLE orphans (order_id VARCHAR(36) {KIND})")
    order_id = make_order(kernel, select_tag="do", args="{}")
    execute(kernel, order_id)
    found = order(kernel, order_id)
    assert (found.state, found.error_code, found.run) == ("failed", "internal_error", 1)
    with kernel.read_session() as session:
        assert names(session) == []
