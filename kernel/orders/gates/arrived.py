"""An order whose run returned a Wait: it waits, unless what it waits for is there already.

Each kind of wait has a question of its own, asked under the lock of the order's row once the order
waits: what came before is found, and what comes later finds an order that waits.
"""

from collections.abc import Callable, Mapping
from datetime import datetime

from sqlalchemy.orm import Session

from kernel.handlers import Run
from kernel.handlers.events import CHILDREN
from kernel.orders.decide import Exit, Why
from kernel.orders.gates.children import have_ended
from kernel.orders.gates.events import take_early
from kernel.orders.transitions import RunEnd, leave_running, wake
from kernel.runtime.kernel import Kernel

# Tells of an order, and of what it waits for, whether that is there. By the kind: what stands in
# front of the colon of `Wait.what`.
IsThere = Callable[[Session, str, str], bool]
ARRIVED: Mapping[str, IsThere] = {"event": take_early, CHILDREN: have_ended}


def go_to_wait(
    kernel: Kernel, session: Session, run: Run, what: str, until: datetime
) -> RunEnd | None:
    """End a run by a wait, or as `decide` has it; None, having written nothing, as `leave_running`.

    The caller commits, and hints an order that is due again.
    """
    held, waits = (run.order_id, run.number), Exit(Why.WAIT, what=what, until=until)
    end = leave_running(kernel, session, held, waits, gates=run.gates)
    if end is None or not end.waits:
        return end
    is_there = ARRIVED.get(what.partition(":")[0])
    if is_there is None or not is_there(session, end.order_id, what):
        return end
    wake(kernel, session, [end.order_id])
    return RunEnd(end.order_id, again_in=0.0, woken=end.woken)
