"""An order that a bug keeps from being claimed ends, and keeps no other from its turn."""

import logging

from kernel.db.errors import DATABASE_ERRORS
from kernel.orders.ends.outbox import ending
from kernel.orders.gates.children import with_parent
from kernel.orders.transitions import RunEnd, end_order
from kernel.runs.claim import Claimed
from kernel.runs.secret_arguments import log_failure
from kernel.runtime.kernel import Kernel

log = logging.getLogger("kernel.runs.execute")


def end_unclaimed(kernel: Kernel, found: Claimed, error: Exception) -> list[RunEnd]:
    """End a due order at whose claim ``error`` was raised; return what became of it.

    It would be found due again and again, and break each message that names it. Returns nothing
    when another process has it, or it cannot be ended either. Raises SQLAlchemy's errors.
    """
    order = found.order
    extra = {"order_id": order.id, "select_tag": order.select_tag}
    log_failure(kernel, found, error, extra, "the order cannot be claimed")
    try:
        with kernel.write_session() as session:
            end = end_order(kernel, session, order, ending(kernel, "internal_error"))
    except DATABASE_ERRORS:
        raise
    except Exception:
        log.exception("the order cannot be ended", extra=extra)
        return []
    for hear in kernel.on_bug if end is not None else ():
        hear(order.id, error)
    return [] if end is None else [with_parent(kernel, end)]
