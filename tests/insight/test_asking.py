"""What people ask of processes, as the rows have it and heartbeats find it."""

import platform
from typing import Any

import pytest
from sqlalchemy import event, update

from kernel.callers.audit import search
from kernel.callers.audit.actor import Actor
from kernel.callers.audit.acts import By
from kernel.callers.audit.search import ActFilter
from kernel.db.tables.service import Asked, Worker
from kernel.errors import Conflict, NotFound
from kernel.insight.workers import Heartbeat, Process, Running, processes
from kernel.insight.workers.asking import (
    drain,
    drained_hosts,
    process_ids,
    resume,
    terminate,
)
from kernel.runtime.kernel import Kernel

HOST = platform.node()
ANN = By(Actor("Ann", "page"), "CHG42")


def beat(kernel: Kernel, process: Heartbeat, *running: Running) -> Process:
    """Let a process have a heartbeat; return it as people see it then."""
    with kernel.write_session() as session:
        process.note(session, kernel.clock.sql(), running, [])
    return next(one for one in processes(kernel) if one.id == process.id)


def started(kernel: Kernel, kind: str = "worker") -> Heartbeat:
    """A process that has had a few heartbeats."""
    process = Heartbeat(kind, kernel.clock.now(), pool="prefork")
    for _ in range(2):
        beat(kernel, process)
    return process


def acts(kernel: Kernel) -> list[tuple[str, str, str]]:
    with kernel.read() as connection:
        found = search.find(connection, ActFilter())
    return [(one["verb"], one["target"], one["reason"]) for one in found]


def test_what_a_process_runs_is_told_with_its_tag_its_beginning_and_its_limit(
    kernel: Kernel,
) -> None:
    running = Running("01", 2, "桥", kernel.clock.now(), 600.0)
    seen = beat(kernel, started(kernel), running)
    assert (seen.runs, seen.running, seen.pool) == ((running,), ("01",), "prefork")
    assert seen.version[0].isdigit()


def test_row_of_an_older_release_is_read_and_is_not_taken_to_obey(kernel: Kernel) -> None:
    process = started(kernel)
    with kernel.write_session() as session:
        older = {"version": None, "pool": None, "runs": None, "quiet": None, "running": "01 02"}
        session.execute(update(Worker).values(older))
    (seen,) = processes(kernel)
    assert seen.runs == (Running("01"), Running("02"))
    assert not seen.obeys
    with pytest.raises(Conflict):
        terminate(kernel, process.id)


@pytest.mark.parametrize("written", ["?", "{}", '["01"]', '[["01", 1, "x", "noon", 1]]', "7"])
def test_what_another_release_writes_of_runs_is_left_out(kernel: Kernel, written: str) -> None:
    beat(kernel, started(kernel), Running("01", 1, "create_project"))
    with kernel.write_session() as session:
        session.execute(update(Worker).values(runs=written, running="01"))
    seen = {one.runs for one in processes(kernel)}
    assert seen == {(Running("01"),)}


def test_heartbeat_of_which_nothing_is_asked_is_one_statement(kernel: Kernel) -> None:
    process = started(kernel)
    said: list[str] = []
    event.listen(kernel.engine, "before_cursor_execute", lambda *a: said.append(a[2].split()[0]))
    with kernel.write_session() as session:
        process.note(session, kernel.clock.sql(), [], [])
    assert [one for one in said if one in ("SELECT", "UPDATE", "INSERT")] == ["UPDATE"]


def test_drained_host_is_heeded_by_its_processes_and_by_those_that_start_there(
    kernel: Kernel,
) -> None:
    process = started(kernel)
    assert drain(kernel, HOST, ANN) == 1
    (asked,) = processes(kernel)
    assert (asked.asked, asked.quiet) == (Asked.DRAIN, False)
    busy = beat(kernel, process, Running("01"))
    assert (process.asked, busy.quiet, busy.is_drained) == (Asked.DRAIN, True, False)
    assert beat(kernel, process).is_drained
    late = Heartbeat("worker", kernel.clock.now())
    assert beat(kernel, late).is_drained
    assert late.asked is Asked.DRAIN
    with kernel.read_session() as session:
        (found,) = drained_hosts(session)
    assert (found.host, found.by, found.why) == (HOST, "Ann", "CHG42")


def test_process_that_starts_in_the_moment_of_a_drain_finds_it_a_heartbeat_later(
    kernel: Kernel,
) -> None:
    process = Heartbeat("worker", kernel.clock.now())
    assert not beat(kernel, process).quiet
    drain(kernel, HOST)
    with kernel.write_session() as session:  # as if the drain had not seen the row yet
        session.execute(update(Worker).values(asked=None))
    assert beat(kernel, process).quiet


def test_resumed_host_takes_work_again(kernel: Kernel) -> None:
    process = started(kernel)
    drain(kernel, HOST, ANN)
    beat(kernel, process)
    assert resume(kernel, HOST, ANN) == 1
    assert not beat(kernel, process).quiet
    assert process.asked is None
    said = [("workers.resume", f"host {HOST}", "CHG42"), ("workers.drain", f"host {HOST}", "CHG42")]
    assert acts(kernel) == said
    with pytest.raises(NotFound):
        resume(kernel, HOST)


@pytest.mark.parametrize(("before", "then"), [(None, Asked.DRAIN), (Asked.DRAIN, None)])
def test_what_is_asked_between_look_and_write_of_a_heartbeat_is_found_by_the_next(
    kernel: Kernel, before: Asked | None, then: Asked | None
) -> None:
    process, left = Heartbeat("worker", kernel.clock.now()), [then]
    beat(kernel, process)
    with kernel.write_session() as session:
        session.execute(update(Worker).values(asked=before))

    def ask(_: object, cursor: Any, statement: str, *__: object) -> None:
        if statement.startswith("UPDATE kernel_workers") and left:
            asked = "NULL" if left.pop() is None else f"'{then}'"
            cursor.execute(f"UPDATE kernel_workers SET asked = {asked}")

    event.listen(kernel.engine, "before_cursor_execute", ask)
    beat(kernel, process)
    assert left == []
    beat(kernel, process)
    assert process.asked is then


def test_host_that_is_drained_twice_is_drained_once(kernel: Kernel) -> None:
    drain(kernel, "elsewhere.example", ANN)
    assert drain(kernel, "elsewhere.example", By(Actor("Bob", "page"))) == 0
    with kernel.read_session() as session:
        assert [one.by for one in drained_hosts(session)] == ["Ann"]
    assert len(acts(kernel)) == 1


def test_process_is_told_to_end_and_its_siblings_are_not(kernel: Kernel) -> None:
    one, other = started(kernel), started(kernel)
    assert terminate(kernel, one.id, ANN).startswith(f"{HOST}:")
    beat(kernel, one)
    beat(kernel, other)
    assert (one.asked, other.asked) == (Asked.TERMINATE, None)
    ((verb, target, reason),) = acts(kernel)
    assert (verb, reason) == ("workers.terminate", "CHG42")
    assert target.startswith(f"process {HOST}:")


def test_dispatcher_is_not_terminated_and_neither_is_what_is_not_there(kernel: Kernel) -> None:
    dispatcher = started(kernel, "dispatcher")
    with pytest.raises(Conflict):
        terminate(kernel, dispatcher.id)
    with pytest.raises(NotFound):
        terminate(kernel, "nobody")


def test_name_of_a_host_means_all_of_its_workers_and_an_id_one_of_them(kernel: Kernel) -> None:
    ids = [started(kernel).id for _ in range(2)]
    started(kernel, "dispatcher")
    with kernel.read_session() as session:
        assert process_ids(session, HOST) == sorted(ids)
        assert process_ids(session, ids[0]) == ids[:1]
        with pytest.raises(NotFound):
            process_ids(session, "nobody")
