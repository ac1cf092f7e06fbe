"""What a bulk act does to one order: it is cancelled, or submitted once more as a new one."""

import logging
from dataclasses import replace

from sqlalchemy import Connection

from kernel.bulk.progress import Left, Noting, Overtaken
from kernel.callers.identity import identity_of
from kernel.db.errors import driver_error, is_passing
from kernel.db.states import OrderState
from kernel.db.tables.callers import Caller
from kernel.errors import Conflict, InvalidOrder, RequestRefused, SecretsLocked, Unavailable
from kernel.formats.tracecontext import Trace
from kernel.orders.accept import Submission, accept
from kernel.orders.backpressure import Pressure
from kernel.orders.cancel import begin_cancel, go_down
from kernel.orders.ends.descent import is_noted
from kernel.orders.ends.unknown_tags import is_for_others
from kernel.orders.gates.shown import gate_shown
from kernel.orders.pages import get_order
from kernel.orders.secrets.arguments import as_submitted
from kernel.orders.transitions import RunEnd
from kernel.runs.recorded import members_of
from kernel.runs.reruns import AlreadyRerun, note_rerun
from kernel.runtime.kernel import Kernel

log = logging.getLogger(__name__)


class ForOthers(Exception):
    """A process of another kind does it, which this says in words: this one cannot."""


def cancel_one(
    kernel: Kernel, order_id: str, by: Noting, ends: list[RunEnd], until: float
) -> Left | None:
    """Cancel an order; what this has ended is added to ``ends``. None when it was done.

    It goes down to children ``until`` then (monotonic); call `go_on_down` after that. Raises
    Overtaken, and what says that the database is away.
    """
    try:
        begin_cancel(kernel, order_id, by, ends, until)
    except Overtaken:
        raise
    except Exception as error:  # noqa: BLE001 - the others have their turn
        return _left(order_id, error)
    return None if by.is_written else Left(order_id, Conflict.code, "it was cancelled already")


def go_on_down(kernel: Kernel, order_id: str, ends: list[RunEnd], until: float) -> bool:
    """Cancel the children of an order that an act has cancelled, as far as they are not.

    False: it was ``until`` (monotonic) before the last. Those that cannot be written are left to
    the sweep. Raises what says that the database is away.
    """
    with kernel.read_session() as session:
        if not is_noted(session, order_id):
            return True
    try:
        return go_down(kernel, order_id, ends, until)
    except Exception as error:  # noqa: BLE001 - the others have their turn
        _left(order_id, error)
        return True


def rerun_one(
    kernel: Kernel, order_id: str, by: Noting, again: bool, pressure: Pressure
) -> list[str] | Left:
    """Submit an order that has ended once more; return the new order if it is to be hinted.

    Its idempotency key is ``bulk:JOB:ORDER``: where the job's row is an older one (a restored
    database), that key finds the order. Raises ForOthers, TooManyPending, Overtaken, and what says
    that the database is away.
    """
    job_id, now = by.progress.job.id, kernel.clock.sql()

    def along(connection: Connection, new_id: str) -> None:
        note_rerun(connection, order_id, new_id, now, job_id=job_id, again=again)
        by.record(connection, "order.rerun", f"order {order_id}", after={"order": new_id})

    try:
        submission = replace(
            _submission(kernel, order_id),
            idempotency_key=f"bulk:{job_id}:{order_id}",
            trace=Trace(request_id=f"bulk-{job_id}"),
            pressure=pressure,
            along=along,
        )
        hints = accept(kernel, submission).hints
    except (Overtaken, ForOthers):
        raise
    except Exception as error:  # noqa: BLE001 - the others have their turn
        return _left(order_id, error)
    return hints if by.is_written else Left(order_id, AlreadyRerun.code)


def _submission(kernel: Kernel, order_id: str) -> Submission:
    """Return an order that has ended as it was submitted, for the same caller."""
    with kernel.read_session() as session:
        order = get_order(session, None, order_id)
        if not OrderState(order.state).is_final:
            raise Conflict(f"the order has not ended: {order.state}")
        if is_for_others(kernel, session.connection(), order.select_tag):
            raise ForOthers("left to a process that knows the orders' tag")
        owner = identity_of(session, session.get_one(Caller, order.caller_id).name)
        its = (as_submitted(kernel, order), gate_shown(session, order))
        members = members_of(order, *its, kernel.handlers.get(order.select_tag))
        session.expunge(order)
    return Submission(owner, members, reference=order.reference, is_original=order.is_original)


def _left(item_id: str, error: Exception) -> Left:
    """Say why an order is left as it was. Raises the error when a later step may do better."""
    if isinstance(error, InvalidOrder):
        return Left(item_id, error.code, _in_words(error))
    if isinstance(error, (RequestRefused, SecretsLocked)):
        return Left(item_id, error.code, error.message)
    if isinstance(error, Unavailable) or is_passing(error):
        raise error
    log.error("bulk act left an order as it was", exc_info=error, extra={"order_id": item_id})
    return Left(item_id, "error", f"{type(error).__name__}: {driver_error(error)}")


def _in_words(invalid: InvalidOrder) -> str:
    problems = invalid.data["errors"]
    return "; ".join(f"{one['code']}: {one['pointer'] or '/'} {one['detail']}" for one in problems)
