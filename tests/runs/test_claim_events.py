"""A run is given what its order was told before it began."""

from collections.abc import Callable
from typing import Any

import pytest

from kernel import Handlers, Run
from kernel.orders.gates.events import Told, tell
from kernel.runs import claim
from kernel.runs.claim import Batch
from kernel.runs.execute import execute
from kernel.runtime.kernel import Kernel
from tests.support.factories import make_order, order
from tests.support.handlers.misbehaving import Named


def test_event_that_is_told_after_the_look_at_an_order_is_given_to_its_run(
    make_kernel: Callable[..., Kernel], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim, "BATCH_SECONDS", 3600.0)
    registry = Handlers()

    @registry.register("do", Named)
    def do(run: Run, args: Named) -> dict[str, Any]:
        return {"told": [one.name for one in run.events]}

    kernel = make_kernel(database_url, registry)
    first, second = (make_order(kernel, select_tag="do", args="{}") for _ in range(2))
    with kernel.run_connection() as connection:
        batch = Batch(kernel, connection, [first, second])
        assert batch.claim() is not None  # it has looked at both
        telling = tell(kernel, second, Told("approved"))
        assert batch.claim() is None
    assert telling.hints == [second]
    execute(kernel, second)
    assert order(kernel, second).result == '{"told":["approved"]}'


def test_short_order_that_is_told_an_event_after_the_look_is_run_with_it(
    make_kernel: Callable[..., Kernel], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim, "BATCH_SECONDS", 3600.0)
    registry = Handlers()

    @registry.register("long", Named)
    def long(run: Run, args: Named) -> dict[str, Any]:
        return {}

    @registry.register("short", Named, together=True)
    def short(run: Run, args: Named) -> dict[str, Any]:
        return {"told": [one.name for one in run.events]}

    kernel = make_kernel(database_url, registry)
    tags = ("long", "short", "short")
    ids = [make_order(kernel, select_tag=tag, args="{}") for tag in tags]
    with kernel.run_connection() as connection:
        batch = Batch(kernel, connection, ids)
        assert batch.claim() is not None  # it has looked at all
        tell(kernel, ids[1], Told("approved"))
        taken = [batch.claim(), *batch.take_beside()]
    assert ids[1] not in {one.order.id for one in taken if one is not None}
    execute(kernel, ids[1])
    assert order(kernel, ids[1]).result == '{"told":["approved"]}'
