"""T3, before the handler: what it is given, on the connection that its order was claimed with."""

from functools import partial
from secrets import token_hex
from typing import Any

from sqlalchemy.exc import DBAPIError

from kernel.db.errors import DRIVER_ERRORS
from kernel.db.guard import GUARD, Guard, RunSession
from kernel.db.tables.gates import Has
from kernel.handlers import Run, SoftLimit
from kernel.orders.gates.links import make_link
from kernel.runs.children import RunChildren
from kernel.runs.claim import Batch, Claimed
from kernel.runs.fence import look, save_checkpoint, statements_of_ours
from kernel.runs.steps import StepRecorder
from kernel.runtime.kernel import Kernel

# A worker's connection that is silent for longer than its handler may run is dropped by the
# server: the row locks of a frozen worker do not outlive it by the usual eight hours.
WAIT_MARGIN_SECONDS = 30
# Whose code talks to the database: SQLAlchemy, and each driver.
DATABASE_CODE = frozenset(
    kind.__module__.partition(".")[0] for kind in (DBAPIError, *DRIVER_ERRORS)
)


def begin_run(batch: Batch, claimed: Claimed) -> Run:
    """Make the run of an order that ``batch`` has claimed, and have its lease renewed."""
    kernel, connection, order = batch.kernel, batch.connection, claimed.order
    time_limit = claimed.handler.time_limit or kernel.settings.time_limit_seconds
    kernel.dialect.limit_silence(connection, int(time_limit) + WAIT_MARGIN_SECONDS)
    batch.first_attempts.prepare(order.caller_id)
    guard = Guard(
        mark=(order.id, order.run),
        # Nothing that a handler runs can guess it.
        name=f"kernel-{token_hex(16)}" if claimed.handler.guarded else None,
        together=claimed.handler.together,
    )
    run = Run(
        order_id=order.id,
        number=order.run,
        now=kernel.clock.now(),
        session=RunSession(connection, close_resets_only=False),
        progress=claimed.progress,
        state=claimed.state,
        time_limit=time_limit,
        checkpoints=order.checkpoint,
        _save=partial(save_checkpoint, kernel),
        _look=partial(look, kernel),
        steps=StepRecorder(kernel, claimed),
        children=RunChildren(kernel, claimed, guard),
        limit=SoftLimit(claimed.handler.soft_limit, DATABASE_CODE),
        connection_number=kernel.dialect.connection_number(connection),
        request_id=claimed.trace.request_id,
        reference=order.reference,
        select_tag=order.select_tag,
        gates=order.gates,
        together=claimed.handler.together,
        events=claimed.events,
        has_waited=bool((order.gates or 0) & Has.WAITED),
        waits=claimed.waits,
        _link=partial(_link, kernel),
        _settings=kernel.own_settings.get(claimed.handler.declared.name),
        guard=guard,
    )
    connection.info[GUARD] = run.guard
    kernel.running[run.order_id, run.number] = run
    return run


def _link(kernel: Kernel, run: Run, *given: Any, **options: Any) -> str:
    """Make a link, whose key is a row: see `kernel.orders.gates.links.make_link`."""
    with statements_of_ours(run.guard):
        return make_link(kernel, run, *given, **options)
