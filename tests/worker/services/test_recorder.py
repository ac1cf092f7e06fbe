"""The recorder: how long results wait, and what becomes of a batch that cannot be written."""

import math
import time
from dataclasses import replace
from typing import Any

import pymysql
import pytest
from sqlalchemy import event, func, select
from sqlalchemy.exc import IntegrityError, OperationalError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from kernel.db.tables.deliveries import ATTEMPTS
from kernel.delivery.attempt import FinishedAttempt, attempt
from kernel.delivery.claim import claim_due, due_lanes
from kernel.delivery.record import record
from kernel.runtime.kernel import Kernel
from kernel.worker.services import recorder as recorder_module
from kernel.worker.services.recorder import Recorder
from tests.support.factories import delivery, make_delivery


def recorder(kernel: Kernel, wakes: list[None] | None = None) -> Recorder:
    """A recorder of batches of three."""
    told = [] if wakes is None else wakes
    return Recorder(kernel, lambda: told.append(None), seconds=3600.0, together=3)


def attempts(kernel: Kernel, count: int) -> list[FinishedAttempt]:
    """Make, claim and send deliveries; return the attempts, which are not recorded yet."""
    for _ in range(count):
        make_delivery(kernel)
    claimed = claim_due(kernel, dict.fromkeys(due_lanes(kernel), count)).deliveries
    return [attempt(kernel, due) for due in claimed]


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What kernel itself logged; psycopg may log a pipeline that the server gave up."""
    return [one.message for one in caplog.records if one.name.startswith("kernel")]


def states(kernel: Kernel, finished: list[FinishedAttempt]) -> set[str]:
    """The states of their deliveries."""
    return {delivery(kernel, one.due.id).state for one in finished}


def test_batch_is_due_at_once_when_enough_attempts_are_there(kernel: Kernel) -> None:
    wakes: list[None] = []
    recording, finished = recorder(kernel, wakes), attempts(kernel, 3)
    assert recording.due_at == math.inf
    for one in finished[:2]:
        recording.put(one)
    assert recording.due_at > time.monotonic() + 3000
    assert len(wakes) == 1
    recording.put(finished[2])
    assert recording.due_at <= time.monotonic()
    assert len(wakes) == 2


def test_batch_is_due_at_once_when_the_recorder_hurries(kernel: Kernel) -> None:
    recording = recorder(kernel)
    recording.put(attempts(kernel, 1)[0])
    recording.hurry()
    assert recording.due_at <= time.monotonic()


def test_batch_is_recorded_in_one_turn_when_the_database_takes_it(kernel: Kernel) -> None:
    recording, finished = recorder(kernel), attempts(kernel, 3)
    for one in finished:
        recording.put(one)
    recording.run()
    assert (recording.is_empty, states(kernel, finished)) == (True, {"delivered"})
    recording.run()  # there is nothing to do


def refused(number: int, *, unfit: bool = False) -> OperationalError:
    """An error of the driver, from a server that was ``unfit`` when it was asked."""
    error = pymysql.err.OperationalError(number, "")
    return OperationalError("", {}, error, connection_invalidated=unfit)


@pytest.mark.parametrize(
    "away",
    [refused(2013), refused(1047, unfit=True), refused(1045, unfit=True), PoolTimeout("")],
    ids=["lost", "outside its cluster", "another password", "no connection is free"],
)
def test_batch_is_kept_for_as_long_as_the_database_is_away(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, away: Exception
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise away

    recording, finished = recorder(kernel), attempts(kernel, 2)
    for one in finished:
        recording.put(one)
    with monkeypatch.context() as patched:
        patched.setattr(recorder_module, "record", fail)
        for _ in range(3 * recorder_module.REFUSALS):
            with pytest.raises(type(away)):
                recording.run()
    assert not recording.is_empty
    recording.run()
    assert (recording.is_empty, states(kernel, finished)) == (True, {"delivered"})


def test_attempts_are_written_once_when_the_answer_to_the_commit_is_lost(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def commit_and_hang_up(*given: Any, **more: Any) -> None:
        record(*given, **more)
        raise OperationalError("", {}, pymysql.err.OperationalError(2013, ""))

    recording, finished = recorder(kernel), attempts(kernel, 2)
    for one in finished:
        recording.put(one)
    with monkeypatch.context() as patched:
        patched.setattr(recorder_module, "record", commit_and_hang_up)
        for _ in range(2):
            with pytest.raises(OperationalError):
                recording.run()
    recording.put(attempts(kernel, 1)[0])
    recording.run()
    with kernel.read() as connection:
        assert connection.scalar(select(func.count()).select_from(ATTEMPTS)) == 3


def test_attempt_that_cannot_be_written_is_set_aside_alone(
    kernel: Kernel, caplog: pytest.LogCaptureFixture
) -> None:
    recording, finished = recorder(kernel), attempts(kernel, 3)
    lost = finished[1]
    recording.put(finished[0])
    recording.put(replace(lost, due=replace(lost.due, id="not there")))
    recording.put(finished[2])
    for _ in range(2):
        with pytest.raises(IntegrityError):
            recording.run()
    assert states(kernel, [finished[0], finished[2]]) == {"delivered"}
    while not recording.is_empty:
        with pytest.raises(IntegrityError):
            recording.run()
    assert told(caplog) == ["attempt dropped"]


def test_new_attempts_are_recorded_together_while_one_is_refused(kernel: Kernel) -> None:
    recording, finished = recorder(kernel), attempts(kernel, 4)
    poison = replace(finished[0], due=replace(finished[0].due, id="not there"))
    recording.put(poison)
    with pytest.raises(IntegrityError):
        recording.run()
    for one in finished[1:]:
        recording.put(one)
    commits: list[object] = []
    note = commits.append
    event.listen(kernel.engine, "commit", note)
    with pytest.raises(IntegrityError):
        recording.run()
    event.remove(kernel.engine, "commit", note)
    assert (len(commits), states(kernel, finished[1:])) == (1, {"delivered"})


def test_callback_is_not_sent_again_when_its_attempt_cannot_be_written(
    kernel: Kernel, caplog: pytest.LogCaptureFixture
) -> None:
    recording, finished = recorder(kernel), attempts(kernel, 1)
    recording.put(replace(finished[0], duration_ms=10**30))
    while not recording.is_empty:
        with pytest.raises(StatementError):
            recording.run()
    assert states(kernel, finished) == {"delivered"}
    assert told(caplog) == ["attempt dropped"]
