"""Steps of a run: what earlier runs have recorded is given back, and the rest is done and recorded.

A step is two commits under the fence: its attempt before its function is called, and afterwards its
result or its error. A process that dies between the two leaves an attempt without an end, and the
next run attempts the step again.
"""

import json
import logging
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from pydantic import SecretStr
from sqlalchemy import insert, select, update

from kernel.db.guard import Guard
from kernel.db.states import OrderState, Outcome
from kernel.db.tables.gates import Has
from kernel.db.tables.orders import with_bit
from kernel.db.tables.steps import STEPS
from kernel.errors import (
    HandlerVerdict,
    LeaseLost,
    OrderCancelled,
    Retry,
    RunBroken,
    RunInterrupted,
    WorkerStopping,
)
from kernel.formats.envelope import cut
from kernel.handlers import Run, StepCall
from kernel.handlers.values import refused, revealed, to_json
from kernel.orders.secrets.arguments import SecretsGone, prepare_secrets
from kernel.runs.claim import Claimed
from kernel.runs.ends.forked import in_this_process
from kernel.runs.fence import (
    PROGRESS,
    committing,
    interruption,
    statements_of_ours,
    stop_if_told,
    undo,
)
from kernel.runs.secret_arguments import open_secret, texts_in, texts_of, without_secrets
from kernel.runtime.kernel import Kernel

log = logging.getLogger(__name__)

MAX_RESULT_BYTES = 262_144
MAX_STEPS = 1000
# No more are counted: the column takes none, and a step that polls may be attempted without end.
MOST_ATTEMPTS = 2**15 - 1
_COLUMNS = ("number", "name", "attempts", "again", "done_at", "result", "secret_result")
_LOOK = select(*(STEPS.c[name] for name in _COLUMNS)).order_by(STEPS.c.number)


@dataclass(frozen=True, slots=True)
class Known:
    """A step as its row has it. ``result``: JSON text; None once it is secret and gone."""

    number: int
    name: str
    attempts: int = 0
    again: int = 0
    done: bool = False
    result: str | None = None
    sealed: bool = False


class StepRecorder:
    """The steps of one run. It asks for those of earlier runs when its handler names the first."""

    def __init__(self, kernel: Kernel, claimed: Claimed) -> None:
        self._kernel, self._claimed = kernel, claimed
        # Steps by their names; None: not asked for yet.
        self._known: dict[str, Known] | None = None
        self._taken: set[str] = set()
        self._has_secrets = False
        # What is masked in all that errors of this run say.
        self.secrets: set[str] = set()
        # Whether a step's function is being called now.
        self.is_open = False

    def key(self, run: Run, name: str) -> str:
        """Return the idempotency key of a step; no name can make it that of another step."""
        found = self._look(run.guard).get(name)
        again = f"+{found.again}" if found is not None and found.again else ""
        return f"{run.order_id}{again}/{name}"

    def take(self, run: Run, step: StepCall) -> Any:
        """Return what is recorded of a step, or do it and record that; see `Run.step`."""
        self._refuse(run, step.name)
        with run.limit.held():
            self._refuse_interrupted(run)
            found = self._look(run.guard).get(step.name)
            if found is not None and found.done:
                return self._given_back(found)
            begun = self._begin(run, step, found)
        return self._done(run, step, begun)

    def forget_secrets(self, run: Run, outcome: Outcome) -> None:
        """Delete secret results in the transaction of a success, as that of secret arguments.

        Where this run has not looked at the steps of earlier ones, they may be secret.
        """
        has_others = self._known is None and bool((self._claimed.order.gates or 0) & Has.STEPS)
        if (self._has_secrets or has_others) and outcome.state == OrderState.SUCCESS:
            mine = update(STEPS).where(STEPS.c.order_id == run.order_id)
            run.session.execute(mine.values(secret_result=None))

    def _refuse(self, run: Run, name: str) -> None:
        """Raise RuntimeError where a commit would be wrong, and for a name that came before."""
        if self.is_open:
            raise RuntimeError(f"step {name!r}: a step cannot be part of another one")
        if run.session.in_nested_transaction():
            raise RuntimeError(f"step {name!r}: a step commits, and a savepoint is open")
        if name in self._taken:
            raise RuntimeError(f"step {name!r} was taken in this run: name each step otherwise")
        self._taken.add(name)

    def _refuse_interrupted(self, run: Run) -> None:
        run.stopping = run.stopping or self._kernel.stopping.is_set()
        if ended := interruption(run):
            raise ended

    def _look(self, guard: Guard) -> dict[str, Known]:
        """Return the steps that earlier runs have begun; its row says whether there are any."""
        if self._known is None:
            self._known = {}
            if (self._claimed.order.gates or 0) & Has.STEPS:
                mine = _LOOK.where(STEPS.c.order_id == self._claimed.order.id)
                with statements_of_ours(guard), self._kernel.read() as connection:
                    found = connection.execute(mine).all()
                self._known = {row.name: _known(row) for row in found}
                self._has_secrets = any(one.sealed for one in self._known.values())
        return self._known

    def _given_back(self, found: Known) -> Any:
        if found.result is None:
            raise SecretsGone
        if not found.sealed:
            return json.loads(found.result)
        result = json.loads(open_secret(self._kernel, found.result).get_secret_value())
        self.secrets.update(texts_in(result))
        return result

    def _begin(self, run: Run, step: StepCall, found: Known | None) -> Known:
        """Commit the run's writes, and that an attempt begins."""
        steps = self._look(run.guard)
        if found is None and len(steps) >= MAX_STEPS:
            raise ValueError(f"an order has at most {MAX_STEPS} steps; use run.checkpoint()")
        if step.secret and not self._has_secrets:
            with statements_of_ours(run.guard):
                prepare_secrets(self._kernel)
        begun = found or Known(
            number=1 + max((one.number for one in steps.values()), default=0), name=step.name
        )
        begun = replace(begun, attempts=min(begun.attempts + 1, MOST_ATTEMPTS))
        values = {"attempts": begun.attempts, "started_at": self._kernel.clock.sql()}
        # Set with the first step that there is: the others see it there.
        marked = {} if steps else {"gates": with_bit(Has.STEPS)}
        with committing(self._kernel, run, marked):
            if found is None:
                values |= {"order_id": run.order_id, "number": begun.number, "name": step.name}
                run.session.execute(insert(STEPS).values(values))
            else:
                self._update(run, begun, values | {"duration_ms": None})
        steps[step.name] = begun
        return begun

    def _done(self, run: Run, step: StepCall, begun: Known) -> Any:
        """Call the step's function, and record its result or its error."""
        since = time.monotonic()
        self.is_open = True
        try:
            result = in_this_process(step.call)
            if not isinstance(interruption(run), LeaseLost | RunBroken):
                run.session.flush()  # an object that it has added may be refused only now
            step = replace(step, retry=None)  # what is no JSON now will be none later
            encoded = _encoded(step, result)
        except BaseException as error:
            self.is_open = False
            with run.limit.held():
                if step.secret:
                    self._note_told(error)
                told = self._failed(run, step, begun, error, since)
            if told is not None:
                raise told from error
            raise
        self.is_open = False
        with run.limit.held():
            given = json.loads(encoded)
            if step.secret:
                self.secrets.update(texts_in(given))
            self._record(run, step, begun, encoded, since)
        return given

    def _note_told(self, error: BaseException) -> None:
        with suppress(BaseException):  # of a class of the handler's, in which anything may raise
            self.secrets.update(texts_of(error))

    def _record(self, run: Run, step: StepCall, begun: Known, encoded: str, since: float) -> None:
        """Commit the result beside what the function has written, also if a cancel came."""
        if isinstance(ended := interruption(run), LeaseLost | RunBroken):
            raise ended
        result = {"result": encoded}
        if step.secret:
            self._has_secrets = True
            result = {"secret_result": self._kernel.keyring.seal(SecretStr(encoded))}
        values = result | {"done_at": self._kernel.clock.sql(), "duration_ms": _ms(since)}
        with committing(self._kernel, run, PROGRESS, in_spite_of_cancel=True):
            self._update(run, begun, values)
        if run.cancelled:
            raise OrderCancelled
        if run.stopping:
            raise WorkerStopping
        stop_if_told(self._kernel, run)

    def _failed(
        self, run: Run, step: StepCall, begun: Known, error: BaseException, since: float
    ) -> Retry | None:
        """Undo what the function has written and record its error, if the run still can.

        Returns the Retry to be raised in the error's place, if there is to be one.
        """
        lasted = _ms(since)
        if run.guard.ended or isinstance(interruption(run), LeaseLost | RunBroken):
            return None
        undo(run)
        told = self._told(step, error)
        with committing(self._kernel, run, {}, in_spite_of_cancel=True):
            self._update(run, begun, {"error": told, "duration_ms": lasted})
        log.info("step %s failed, attempt %d: %s", step.name, begun.attempts, told)
        if step.retry is None or not _may_pass(error):
            return None
        pause = step.retry.pause(begun.attempts)
        # The reason is told to the caller, and what the error says to operators alone.
        return None if pause is None else Retry(pause, reason=f"step {step.name} failed")

    def _told(self, step: StepCall, error: BaseException) -> str:
        """Return what is recorded of an error. That of a secret step may quote the secret."""
        if step.secret:
            return cut(type(error).__name__)
        said = "".join(traceback.format_exception_only(error)).strip()
        masked = without_secrets(self._kernel, self._claimed, said, self.secrets)
        return cut(masked.replace("\0", "\\0"))

    def _update(self, run: Run, begun: Known, values: dict[str, Any]) -> None:
        mine = (STEPS.c.order_id == run.order_id, STEPS.c.number == begun.number)
        run.session.execute(update(STEPS).where(*mine).values(values))


def _known(row: Any) -> Known:
    is_sealed = row.secret_result is not None
    return Known(
        number=row.number,
        name=row.name,
        attempts=row.attempts,
        again=row.again,
        done=row.done_at is not None,
        result=row.secret_result if is_sealed else row.result,
        sealed=is_sealed,
    )


def _encoded(step: StepCall, result: Any) -> str:
    """Return a result as JSON text. Raises TypeError or ValueError for what cannot be recorded.

    A secret in it is refused unless the step is secret: behind a mask later runs could not use it.
    """
    encoded = to_json(
        result, f"the result of step {step.name!r}", revealed if step.secret else refused
    )
    size = len(encoded.encode())
    if size > MAX_RESULT_BYTES:
        raise ValueError(f"a step's result is at most {MAX_RESULT_BYTES} bytes, this has {size}")
    return encoded


def _ms(since: float) -> int:
    return round(1000 * (time.monotonic() - since))


def _may_pass(error: BaseException) -> bool:
    """Tell whether a step's error may be gone by its next attempt: not what decides by itself."""
    return isinstance(error, Exception) and not isinstance(error, HandlerVerdict | RunInterrupted)
