"""What limits ask the database, done once."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import select

from kernel.builtin import CreateProject
from kernel.callers import keys
from kernel.callers.callback_rules import CallerRules
from kernel.db.tables.orders import ORDERS, SNAPSHOT, OrderSnapshot
from kernel.handlers import Run
from kernel.handlers.limits import Limit
from kernel.insight.limits import standings
from kernel.orders.cancel import cancel
from kernel.orders.decide import Exit, Why
from kernel.orders.gates.limits.known import NONE, Place
from kernel.orders.gates.limits.line import fit, locked
from kernel.orders.gates.limits.lining_up import (
    forget_idle,
    pass_over,
    settle,
    unsettled,
    waited_for,
)
from kernel.runs.claim import Batch
from kernel.runs.execute import execute
from kernel.runs.leases import leave
from kernel.runtime.kernel import Kernel
from tests.support.factories import make_order


def give_limited_handlers(kernel: Kernel) -> None:
    """Register a kind with a limit."""

    @kernel.handlers.register("limited", CreateProject, concurrency=1, rate="6/m", per="projname")
    def limited(run: Run, args: CreateProject) -> dict[str, Any]:
        return {}

    kernel.handlers.register("paced", CreateProject, rate="6/m")(limited)


@contextmanager
def a_share(kernel: Kernel) -> Iterator[None]:
    """Have a caller be full that has an order running."""
    for most in (1, 0):
        with kernel.write_session() as session:
            keys.change(session, "anonymous", CallerRules(max_running=most))
        if most:
            yield


def limits_hold(kernel: Kernel) -> None:
    """Wait for a slot, and for a turn; have a slot less; forget a place that is idle."""
    given: dict[str, Any] = {"select_tag": "limited", "args": '{"projname":"one","prodesc":""}'}
    ids = [make_order(kernel, **given) for _ in range(3)]
    with kernel.run_connection() as connection:
        assert Batch(kernel, connection, ids[:1]).claim()
    assert execute(kernel, ids[1]) is None
    with a_share(kernel):
        settle(kernel, Place("limited", "one"))
    leave(kernel, ids[0], 1, Exit(Why.STOPPING))
    for order_id in ids:
        kernel.clock.shift(11.0)
        execute(kernel, order_id)
        settle(kernel, Place("limited", "one"))
    with kernel.write() as connection:
        line = locked(kernel, connection, Place("limited", "two"))
        for limit in (Limit(concurrency=1), NONE):
            fit(connection, line, limit)
    ids = [make_order(kernel, **given | {"select_tag": "paced"}) for _ in range(3)]
    for order_id in ids:
        execute(kernel, order_id)
    with kernel.write() as connection:
        held = connection.execute(select(*SNAPSHOT).where(ORDERS.c.id == ids[1])).one()
        (end,) = pass_over(kernel, connection, OrderSnapshot(*held)) or ()
    assert end.order_id == ids[2]
    cancel(kernel, None, ids[2])  # the turn was kept for it
    waited_for(kernel, None, 10)
    unsettled(kernel, None, 10)
    standings(kernel)
    for _ in range(2):
        forget_idle(kernel, None, 10)
        kernel.clock.shift(86_401)
    kernel.clock.shift(-2 * 86_401)
