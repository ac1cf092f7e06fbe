"""T3: the one commit that ends a run with an outcome.

The handler's writes, the outcome under the fence, the callback's outbox row with the claim of its
first attempt, and the claim of the next order are one transaction.
"""

from kernel.db.states import OrderState, Outcome
from kernel.errors import LeaseLost, RunBroken
from kernel.formats.tracecontext import Trace
from kernel.handlers import Run
from kernel.orders.transitions import RunEnd, end_order
from kernel.runs.claim import Batch, Claimed
from kernel.runs.fence import broken_by_passing_errors, commit


def finish(batch: Batch, claimed: Claimed, run: Run, outcome: Outcome) -> RunEnd:
    """Commit the handler's writes, the outcome and the callback it owes.

    Raises LeaseLost or RunBroken, and SQLAlchemy's DBAPIError for an outcome that cannot be
    written. Nothing is committed then, or it will never be known: when the answer to COMMIT is
    lost, the row tells the next claim.
    """
    order = claimed.order._replace(state=OrderState.RUNNING, checkpoint=run.checkpoints)
    with broken_by_passing_errors(run):
        first = batch.first_attempts.claim_first_attempt(order)
        trace = Trace(run.request_id, run.traceparent)
        owed = end_order(batch.kernel, run.session, order, outcome, first, trace)
        if run.guard.broken is not None:
            raise RunBroken(str(run.guard.broken))
        if owed is None:
            raise LeaseLost
        # Last: the next order's row is locked for a moment only.
        batch.claim_along()
        commit(run)
    return RunEnd(run.order_id, outcome, owed=owed)
