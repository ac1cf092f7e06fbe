"""The counts of many processes: added up once each, whatever becomes of the processes."""

import os
import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, select, update
from sqlalchemy.exc import OperationalError

from kernel.db.tables.service import ProcessMetrics
from kernel.insight import process_metrics as metering
from kernel.runtime.kernel import Kernel
from kernel.runtime.metrics import ACCEPTED, RUN_SECONDS, RUNS, Metrics
from kernel.testing import FakeTransport
from kernel.views.http.tracking import track
from tests.support.waiting import wait_until


def rows(kernel: Kernel) -> set[str]:
    with kernel.read_session() as session:
        return set(session.scalars(select(ProcessMetrics.id)))


def age(kernel: Kernel, minutes: float) -> None:
    """Have every row be written so many minutes ago."""
    with kernel.write_session() as session:
        then = kernel.clock.now() - timedelta(minutes=minutes)
        session.execute(update(ProcessMetrics).values(written_at=then))


def test_counts_add_up_when_several_processes_wrote_theirs(kernel: Kernel) -> None:
    for number in range(3):
        other = Kernel(kernel.settings, kernel.handlers, FakeTransport())
        other.metrics.count(RUNS, "tag", "success", amount=number)
        metering.write(other)
        other.close()
    assert metering.totals(kernel)["kernel_runs_total", ("tag", "success")] == [3.0]


def test_counts_stay_when_the_rows_of_ended_processes_are_folded(kernel: Kernel) -> None:
    for _ in range(3):
        kernel.metrics = Metrics()
        kernel.metrics.count(ACCEPTED, "tag")
        metering.write(kernel)
        age(kernel, 11)
        assert metering.fold(kernel).rows == 1
    assert rows(kernel) == {"past"}
    assert metering.totals(kernel)["kernel_orders_accepted_total", ("tag",)] == [3.0]


def test_counts_are_told_once_when_an_idle_process_was_folded_and_goes_on(kernel: Kernel) -> None:
    for _ in range(3):
        kernel.metrics.count(ACCEPTED, "tag")
        kernel.metrics.observe(RUN_SECONDS, 0.25, "tag")
        metering.write(kernel)
        age(kernel, 11)
        metering.fold(kernel)
    kernel.metrics.count(ACCEPTED, "tag")
    metering.write(kernel)
    total = metering.totals(kernel)
    assert total["kernel_orders_accepted_total", ("tag",)] == [4.0]
    assert total["kernel_run_seconds", ("tag",)][0] == 0.75


UNREADABLE = ("{", '[["name", ["label"]]]', '[["name", 1, [1.0]]]', '[["name", [], [null]]]')


@pytest.mark.parametrize("bad", UNREADABLE)
def test_other_rows_are_folded_and_told_when_one_cannot_be_read(kernel: Kernel, bad: str) -> None:
    for unreadable in ("some process", metering.PAST):
        with kernel.write_session() as session:
            session.add(ProcessMetrics(id=unreadable, written_at=kernel.clock.now(), series=bad))
    kernel.metrics.count(ACCEPTED, "tag")
    metering.write(kernel)
    age(kernel, 11)
    found = metering.fold(kernel)
    assert (found.rows, list(found.unreadable)) == (1, ["some process"])
    assert len(rows(kernel)) == 3, "past, and two that stay for people to look at"
    assert metering.totals(kernel) == {("kernel_orders_accepted_total", ("tag",)): [1.0]}
    assert metering.fold(kernel, rows(kernel)) == metering.Folded()


def test_row_is_left_alone_when_nothing_was_counted(kernel: Kernel) -> None:
    kernel.metrics.count(ACCEPTED, "tag")
    metering.write(kernel)
    commits: list[Any] = []
    event.listen(kernel.engine, "commit", commits.append)
    metering.write(kernel)
    assert commits == []


def test_forked_process_begins_at_zero_when_its_parent_has_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    metrics = Metrics()
    metrics.count(ACCEPTED, "tag")
    ledger = metrics.ledger
    monkeypatch.setattr(os, "getpid", lambda: 1)
    assert metrics.snapshot() == {}
    assert metrics.ledger is not ledger


def test_api_writes_its_counts_by_itself_when_nobody_scrapes(kernel: Kernel) -> None:
    app = Flask("counting")
    track(app, kernel, write_seconds=0.05)
    app.test_client().get("/")
    wait_until(lambda: rows(kernel) != set())


def test_counting_stays_within_a_few_microseconds_when_it_is_hot() -> None:
    metrics, turns = Metrics(), 2000
    best = min(_seconds_for(metrics, turns) for _ in range(5))
    assert best / turns < 20e-6


def _seconds_for(metrics: Metrics, turns: int) -> float:
    """All that is counted of one order, so many times."""
    began = time.process_time()
    for _ in range(turns):
        metrics.count(ACCEPTED, "tag")
        metrics.count(RUNS, "tag", "success")
        for _ in range(4):
            metrics.observe(RUN_SECONDS, 0.01, "tag")
        for _ in range(3):
            metrics.count(RUNS, "tag", "other")
    return time.process_time() - began


def test_counts_are_told_once_when_the_answer_to_a_commit_was_lost(
    kernel: Kernel,
) -> None:
    kernel.metrics.count(ACCEPTED, "tag")
    event.listen(kernel.engine, "commit", _lose, once=True)
    with pytest.raises(OperationalError):
        metering.write(kernel)
    kernel.metrics.count(ACCEPTED, "tag")
    metering.write(kernel)
    assert metering.totals(kernel)["kernel_orders_accepted_total", ("tag",)] == [2.0]
    assert len(rows(kernel)) == 1


def _lose(connection: Any) -> None:
    """Commit, and say that it failed."""
    connection.connection.commit()
    raise OperationalError("COMMIT", {}, OSError("gone"))


def test_counts_are_written_when_no_thread_was_to_be_had_before(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_threads(_: threading.Thread) -> None:
        raise RuntimeError("no thread")

    writer = metering.LateWriter(kernel, 0.01)
    kernel.metrics.count(RUNS, "tag", "success")
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", without_threads)
        writer.write_soon()
    writer.write_soon()
    wait_until(lambda: len(rows(kernel)) == 1)
    writer.close()


def test_sum_of_a_histogram_never_falls_when_a_clock_is_set_back() -> None:
    metrics = Metrics()
    for seconds in (100.0, -3600.0):
        metrics.observe(RUN_SECONDS, seconds, "tag")
    (values,) = metrics.snapshot().values()
    assert (values[0], sum(values[1:])) == (100.0, 2)
