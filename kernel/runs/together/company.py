"""Short orders that were claimed together: they run in turn in one transaction, and end with it.

Each handler runs behind a savepoint, so what it refuses or breaks by a bug is undone alone. What
takes the transaction itself undoes all of them, and each is run again by itself, as the same run:
nothing of the first time is there any more. No row of the orders is touched before the end.
"""

import logging
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic

from sqlalchemy import RootTransaction
from sqlalchemy.orm import Session

from kernel.db.errors import DATABASE_ERRORS
from kernel.db.guard import GUARD
from kernel.db.statements.prepared import say
from kernel.db.states import OrderState, Outcome
from kernel.errors import RunBroken, RunInterrupted
from kernel.formats.tracecontext import Trace
from kernel.handlers import Run, Wait
from kernel.orders.ends.together import Ending, end_together
from kernel.orders.gates.limits.known import Limits
from kernel.orders.transitions import RunEnd
from kernel.runs.begin import begin_run
from kernel.runs.claim import Batch, Claimed
from kernel.runs.ends.call import count_run, following, judged, run_handler
from kernel.runs.ends.exits import HandlerBug
from kernel.runs.fence import commit, is_fit, reopened, throw_away, undo
from kernel.runs.leases import leave, leave_unbegun

log = logging.getLogger("kernel.runs.execute")

# After this the outcomes that there are commit, and do not wait for a handler that takes long.
TOGETHER_SECONDS = 0.05


@dataclass(slots=True)
class _Done:
    """An order whose handler was called: its outcome, which is not committed, or an error."""

    claimed: Claimed
    run: Run
    outcome: Outcome | None = None
    error: Exception | None = None
    seconds: float = 0.0


class Company:
    """Orders that ``batch`` has claimed together. Their leases are renewed while they are here."""

    def __init__(self, batch: Batch, claimed: Sequence[Claimed]) -> None:
        self._batch = batch
        self._kernel, self._connection = batch.kernel, batch.connection
        self._waiting = deque(claimed)
        # Orders that are to be run again by themselves.
        self.alone: deque[Claimed] = deque()
        self._runs: dict[str, Run] = {}
        self._transaction: RootTransaction | None = None
        # Whether the transaction has something to lose, and whether a handler may have changed the
        # session: then no other one is called in it.
        self._holds = self._lasts = False
        try:
            for one in claimed:
                run = self._runs[one.order.id] = begin_run(batch, one)
                run.beside = True
        except DATABASE_ERRORS as error:
            log.warning("handed back before they began: %s", error, extra=self._extra())
            throw_away(self._connection)
        except Exception as error:  # noqa: BLE001 - the one that it is of tells of it, by itself
            log.warning("orders are run one by one: %s", error, extra=self._extra())
            self.alone.extend(self._waiting)
            self._waiting.clear()
        self._batch.pooled.pop(GUARD, None)

    @property
    def goes_on(self) -> bool:
        """Whether the next of them may begin here, and is not better left to another process."""
        soon = self._transaction is None or monotonic() < self._batch.until
        stopping = self._kernel.stopping.is_set()
        return bool(self._waiting) and soon and not stopping and is_fit(self._connection)

    def run(self) -> list[RunEnd]:
        """Run orders in turn for a moment and commit what they did; return what became of each.

        If it comes to nothing, all that there are stand in ``alone`` afterwards.
        """
        done: list[_Done] = []
        try:
            self._transaction, self._holds = self._connection.begin(), False
            until = monotonic() + TOGETHER_SECONDS
            while self._waiting and (not done or monotonic() < until):
                if self._lasts or (done and self._kernel.stopping.is_set()):
                    break
                claimed = self._waiting.popleft()
                done.append(_Done(claimed, self._runs[claimed.order.id]))
                self._call(done[-1], f"kernel_{len(done)}")
            ends = self._commit([one for one in done if one.outcome is not None])
        except Exception as error:  # noqa: BLE001 - each of them tells of it again, by itself
            return self._break(done, error)
        finally:
            if self._lasts:
                self._go_on_alone()
        return self._conclude(done, {end.order_id: end for end in ends})

    def _go_on_alone(self) -> None:
        """Leave the session that a handler may have changed; what waits is run by itself."""
        self.alone.extend(self._waiting)
        self._waiting.clear()
        throw_away(self._connection)
        self._batch.pooled = reopened(self._connection, self._batch.pooled)

    def take_alone(self) -> Claimed:
        """Return the next order that is to be run by itself."""
        return self.alone.popleft()

    def hand_back(self) -> None:
        """Give back the orders that will not run here; nothing counts against them."""
        for one in (*self._waiting, *self.alone):
            self._forget(one)
            self._batch.ends.append(leave_unbegun(self._kernel, one.order, one.number))

    def _call(self, one: _Done, savepoint: str) -> None:
        """Call a handler behind a savepoint. Raises when the transaction is not whole any more."""
        run, guard = one.run, one.run.guard
        say(self._connection, f"SAVEPOINT {savepoint}")
        guard.savepoint, guard.holds = savepoint, self._holds
        run.now, run.started, run.beside = self._kernel.clock.now(), monotonic(), False
        self._connection.info[GUARD] = guard
        try:
            with following(self._kernel, one.claimed, run) as note:
                self._judge(one)
                failed = isinstance(one.error, HandlerBug)
                note(one.outcome.state if one.outcome else "failed" if failed else "again")
        finally:
            run.beside, one.seconds = True, monotonic() - run.started
            self._lasts = self._lasts or guard.lasts
            self._batch.pooled.pop(GUARD, None)
        whole = guard.broken is None and guard.ended is None and not guard.spoiled
        if not (whole and self._holds_transaction()):
            raise RunBroken(str(guard.broken or "the transaction is not whole any more"))
        # For good, as `release` does it; the transaction goes on.
        guard.sealed = False
        Session.close(run.session)

    def _judge(self, one: _Done) -> None:
        try:
            outcome = run_handler(self._kernel, one.claimed, one.run)
        except RunInterrupted:
            raise
        except Exception as error:  # noqa: BLE001 - what it means is asked once the others are safe
            undo(one.run)
            one.error = error
            return
        if isinstance(outcome, Wait):  # refused there
            raise TypeError("orders that share a commit do not wait")
        one.outcome = outcome
        if outcome.state != OrderState.FAILED:  # else it is undone, and its session closed
            self._holds = one.run.guard.holds
            commit(one.run)  # of the session alone: the transaction is not its own

    def _holds_transaction(self) -> bool:
        connection = self._connection
        if not is_fit(connection) or connection.in_nested_transaction():
            return False
        return connection.get_transaction() is self._transaction and connection.in_transaction()

    def _commit(self, good: Sequence[_Done]) -> list[RunEnd]:
        """Commit the outcomes, their callbacks, and the claim of what comes after them."""
        if not good:
            self._roll_back()
            return []
        limits = self._kernel.one(Limits)
        if any(limits.of(one.run.select_tag) is not None for one in good):
            raise RunBroken("a limit was set for their tag")
        first = self._batch.first_attempts.claim_together([one.claimed.order for one in good])
        endings = [
            Ending(one.claimed.order, one.outcome, claim, Trace(*_traced(one.run)))
            for one, claim in zip(good, first, strict=True)
            if one.outcome is not None
        ]
        ends = end_together(self._kernel, self._connection, endings)
        if ends is None:
            raise RunBroken("one of them is lost to another run")
        if not (self._waiting or self._lasts):
            self._batch.claim_along()
        self._connection.commit()
        return ends

    def _conclude(self, done: Sequence[_Done], ends: dict[str, RunEnd]) -> list[RunEnd]:
        """Return what became of orders that are committed; write how the runs of the others end."""
        for one in done:
            self._forget(one.claimed)
        for one in done:
            if one.error is not None:
                ends[one.run.order_id] = self._leave(one, one.error)
            count_run(self._kernel, one.claimed, ends[one.run.order_id], one.seconds)
        return [ends[one.run.order_id] for one in done]

    def _leave(self, one: _Done, error: Exception) -> RunEnd:
        exit_ = judged(self._kernel, one.claimed, one.run, error)
        return leave(self._kernel, one.run.order_id, one.run.number, exit_, one.run.gates)

    def _break(self, done: Sequence[_Done], error: Exception) -> list[RunEnd]:
        """Undo all that was done; every order is to be run by itself."""
        log.warning("orders are run again one by one: %s", error, extra=self._extra())
        self._roll_back()
        self._batch.first_attempts.release()
        self._batch.hand_back()
        ended = next((one.run.guard for one in done if one.run.guard.ended), None)
        again = [] if ended else [one.claimed for one in done]
        self.alone.extend([*again, *self._waiting])
        self._waiting.clear()
        if ended is None:
            return []
        # No statement that is let pass can do it. If one did, their writes may be stored.
        for one in done:
            one.error = HandlerBug(ended.told)
        return self._conclude(done, {})

    def _roll_back(self) -> None:
        self._batch.pooled.pop(GUARD, None)
        connection, transaction = self._connection, self._transaction
        try:
            if transaction is not None and connection.get_transaction() is transaction:
                transaction.rollback()
            # A handler's COMMIT that was refused leaves the transaction to the server alone.
            if not connection.invalidated:
                connection.connection.rollback()
        except Exception:
            log.debug("rollback on a lost connection", exc_info=True)
            with suppress(Exception):
                connection.invalidate()

    def _forget(self, claimed: Claimed) -> None:
        self._kernel.running.pop((claimed.order.id, claimed.order.run), None)

    def _extra(self) -> dict[str, object]:
        return {"order_ids": list(self._runs)}


def _traced(run: Run) -> tuple[str | None, str | None]:
    return run.request_id, run.traceparent
