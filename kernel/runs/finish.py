"""T3: the one commit that ends a run with its handler's word: an outcome, or a wait.

The handler's writes, the outcome under the fence, the callback's outbox row with the claim of its
first attempt, and the claim of the next order are one transaction.
"""

from dataclasses import replace
from datetime import timedelta

from kernel.db.states import OrderState, Outcome
from kernel.db.tables.gates import Has
from kernel.errors import LeaseLost, RunBroken
from kernel.formats.tracecontext import Trace
from kernel.handlers import Run, Wait
from kernel.handlers.events import CHILDREN
from kernel.orders.ends.descent import note_descent
from kernel.orders.gates.arrived import go_to_wait
from kernel.orders.gates.keys import has_key, lock_turn
from kernel.orders.gates.knots import refuse_knot
from kernel.orders.gates.limits.known import Limits
from kernel.orders.gates.limits.lining_up import let_wait_end
from kernel.orders.transitions import RunEnd, end_order
from kernel.runs.claim import Batch, Claimed
from kernel.runs.fence import commit, statements_of_ours


def finish(batch: Batch, claimed: Claimed, run: Run, outcome: Outcome) -> RunEnd:
    """Commit the handler's writes, the outcome and the callback it owes.

    Raises LeaseLost or RunBroken, and SQLAlchemy's DBAPIError for an outcome that cannot be
    written. Nothing is committed then, or it will never be known: when the answer to COMMIT is
    lost, the row tells the next claim.
    """
    order = claimed.order._replace(state=OrderState.RUNNING, checkpoint=run.checkpoints)
    with statements_of_ours(run.guard):
        run.children.store(run)  # first: keys are locked before limits
        if has_key(order.gates) and _has_limit(batch, claimed):
            lock_turn(run.session.connection(), order.id)
        line = batch.leave_slot(claimed)
        first = batch.first_attempts.claim_first_attempt(order)
        trace = Trace(run.request_id, run.traceparent)
        end = end_order(batch.kernel, run.session, order, outcome, first, trace)
        run.steps.forget_secrets(run, outcome)
        if run.guard.broken is not None:
            raise RunBroken(str(run.guard.broken))
        if end is None:
            raise LeaseLost
        if line is not None:
            batch.hint(let_wait_end(batch.kernel, run.session, line))
        run.children.mark(run)
        # Last: the next order's row is locked for a moment only.
        batch.claim_along()
        commit(run)
    return _with_children(run, end)


def _has_limit(batch: Batch, claimed: Claimed) -> bool:
    """Tell whether the end of a run may lock rows of a limit."""
    limit = batch.kernel.one(Limits).of(claimed.order.select_tag)
    return claimed.hold is not None or limit is not None


def suspend(batch: Batch, claimed: Claimed, run: Run, wait: Wait) -> RunEnd:
    """Commit the handler's writes, and that the order waits; or goes on, or is cancelled.

    What is returned commits: a cancel that was acknowledged ends the order, and the writes stay.
    Raises as `finish` does, and ValueError for children of which one waits for this order.
    """
    longest = timedelta(days=batch.kernel.settings.longest_wait_days)
    until = run.now + longest if wait.until is None else wait.until
    with statements_of_ours(run.guard):
        run.children.store(run)
        if wait.what == CHILDREN:
            refuse_knot(run.session, run.order_id, run.gates)
        end = go_to_wait(batch.kernel, run.session, run, wait.what, until)
        if run.guard.broken is not None:
            raise RunBroken(str(run.guard.broken))
        if end is None:
            raise LeaseLost
        run.children.mark(run)
        if end.outcome is not None and (run.gates or 0) & Has.CHILDREN:
            connection = run.session.connection()
            note_descent(batch.kernel, connection, claimed.order, end.outcome)
        batch.claim_along()
        commit(run)
    return _with_children(run, end)


def _with_children(run: Run, end: RunEnd) -> RunEnd:
    """Return the end with the children to be hinted that were committed with it, or before."""
    return replace(end, woken=(*end.woken, *run.children.due)) if run.children.due else end
