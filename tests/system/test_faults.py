"""Servers and processes that die, freeze or lie while orders are under way. All of them real."""

import os
import signal
import threading
import time

import pytest
import requests
from celery import Celery
from sqlalchemy import insert

from kernel.builtin import projects
from kernel.insight.workers import processes
from tests.support.handlers.misbehaving import names
from tests.support.receiver import Answer
from tests.support.stack import Stack, children_of, family, pool_process, stopped
from tests.support.waiting import is_running, wait_until

FAST = {"handlers": "tests.support.handlers.misbehaving:handlers"}


def with_settings(**settings: object) -> pytest.MarkDecorator:
    """Run the test on a stack with these settings and the misbehaving handlers."""
    return pytest.mark.parametrize("stack", [FAST | settings], indirect=True, ids=[""])


def written(stack: Stack) -> list[str]:
    """The names of all rows that were committed."""
    with stack.kernel.read_session() as session:
        return names(session)


def make_wanted(stack: Stack) -> None:
    """Insert the row that some handlers lock."""
    now = stack.kernel.clock.now()
    with stack.kernel.write_session() as session:
        session.execute(insert(projects).values(projname="wanted", prodesc="", projctime=now))


def submit_seconds(stack: Stack) -> float:
    """How long a submit took: the middle one of eleven, for a busy machine has outliers."""
    took = []
    for _ in range(11):
        started = time.monotonic()
        stack.submit("write")
        took.append(time.monotonic() - started)
    return sorted(took)[5]


@with_settings()
def test_order_runs_when_the_broker_was_down_at_submit(stack: Stack) -> None:
    stack.api()
    stack.worker()
    usual = submit_seconds(stack)
    stack.redis.kill()
    try:
        meanwhile = submit_seconds(stack)
        order_id = stack.submit("write")
    finally:
        stack.redis.start()
    assert meanwhile < usual + 0.25, "a request waited for the broker"
    assert stack.finished(order_id)["state"] == "success"


@with_settings()
def test_submit_is_no_slower_when_the_broker_is_frozen(stack: Stack) -> None:
    stack.api()
    usual = submit_seconds(stack)
    with stopped(stack.redis.pid):
        meanwhile = submit_seconds(stack)
        order_id = stack.submit("write")
    assert meanwhile < usual + 0.25, "a request waited for the broker"
    stack.worker()
    assert stack.finished(order_id)["state"] == "success"


@with_settings()
def test_order_resumes_after_its_checkpoint_when_its_process_is_killed(stack: Stack) -> None:
    stack.api()
    stack.worker()
    order_id = stack.submit("killed_once")
    assert stack.finished(order_id)["result"] == {"run": 2}
    assert written(stack) == ["first", "second"]


@with_settings()
def test_order_is_taken_over_within_its_lease_when_a_whole_worker_is_killed(stack: Stack) -> None:
    stack.api()
    first = stack.worker()
    order_id = stack.submit("slow", name="row")
    wait_until(lambda: stack.show(order_id)["progress"]["current"] >= 2)
    for pid in family(first.pid):
        os.kill(pid, signal.SIGKILL)
    stack.worker()
    ready = time.monotonic()
    assert stack.finished(order_id)["result"] == {"run": 2}
    assert time.monotonic() - ready < 3 + 10
    assert written(stack) == [f"row{n}" for n in range(10)]


@with_settings()
def test_order_fails_as_worker_lost_when_it_kills_every_worker(stack: Stack) -> None:
    stack.api()
    stack.worker()
    order_id = stack.submit("killed_always")
    assert stack.finished(order_id)["error"]["code"] == "worker_lost"
    assert stack.callback(order_id).headers["webhook-id"]


@with_settings()
def test_process_ends_when_its_handler_is_over_the_time_limit(stack: Stack) -> None:
    stack.api()
    stack.worker()
    order_id = stack.submit("over_limit")
    assert stack.finished(order_id)["error"]["code"] == "timed_out"


@with_settings()
def test_process_lives_on_when_its_handler_is_over_its_soft_limit(stack: Stack) -> None:
    stack.api()
    process = pool_process(stack.worker())
    order_id = stack.submit("over_soft_limit")
    assert stack.finished(order_id)["error"]["code"] == "timed_out"
    assert written(stack) == []
    assert stack.finished(stack.submit("write"))["result"] == {"run": 1}
    assert is_running(process)


@with_settings()
def test_next_run_gets_through_when_a_frozen_one_holds_a_row_lock(stack: Stack) -> None:
    stack.api()
    make_wanted(stack)
    frozen = stack.worker()
    order_id = stack.submit("frozen_once")
    process = pool_process(frozen)
    stack.worker()
    assert stack.finished(order_id)["result"] == {"run": 2}
    os.kill(process, signal.SIGCONT)
    wait_until(lambda: "lost" in stack.log() or "broken" in stack.log() or not is_running(process))
    with stack.kernel.read_session() as session:
        assert session.scalars(projects.select().with_only_columns(projects.c.prodesc)).all() == [
            "run 2"
        ]


@with_settings(worker_processes=2)
def test_order_runs_once_when_workers_race_for_it(stack: Stack) -> None:
    stack.api()
    order_id = stack.submit("slow")
    forge(stack, [order_id] * 20)
    stack.worker()
    stack.worker()
    assert stack.finished(order_id)["result"] == {"run": 1}
    assert len(written(stack)) == 10


def forge(stack: Stack, order_ids: list[object]) -> None:
    """Send messages that nobody but a broker's neighbour would send."""
    client = Celery(broker=stack.redis.url(1), set_as_current=False)
    client.conf.broker_transport_options = {"priority_steps": [0]}
    for order_id in order_ids:
        client.send_task("kernel.execute", (order_id,), queue=stack.queue)
    client.close()


@with_settings()
def test_forged_messages_change_nothing_when_they_arrive(stack: Stack) -> None:
    stack.api()
    order_id = stack.submit("write")
    stack.worker()
    done = stack.finished(order_id)
    forge(stack, [order_id, "unknown", "x" * 10_000, None, 7, {"a": 1}, ["b"], "' OR 1=1"] * 10)
    last = stack.submit("write")
    assert stack.finished(last)["state"] == "success"
    assert stack.show(order_id) | {"deliveries": 0} == done | {"deliveries": 0}
    assert written(stack) == ["row", "row"]


def test_one_order_is_made_when_fifty_identical_submits_come_at_once(stack: Stack) -> None:
    stack.api()
    answers: list[requests.Response] = []
    body = {"select_tag": "create_project", "projname": "one", "callback_url": stack.receiver.url}
    headers = {"Authorization": f"Bearer {stack.key}", "Idempotency-Key": "fifty"}

    def submit() -> None:
        answers.append(stack.post("/v1/orders", body, headers=headers))

    threads = [threading.Thread(target=submit) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["data"]["order_id"] for answer in answers}) == 1
    assert len(stack.get("/v1/orders").json()["data"]["orders"]) == 1


@pytest.mark.parametrize("command", ["kernel", "celery"])
@with_settings(shutdown_grace_seconds=20)
def test_handler_finishes_when_its_worker_is_told_to_stop(stack: Stack, command: str) -> None:
    stack.api()
    worker = stack.worker(command)
    order_id = stack.submit("slow")
    wait_until(lambda: stack.show(order_id)["state"] == "running")
    os.kill(worker.pid, signal.SIGTERM)
    wait_until(lambda: worker.returncode is not None, 30)
    assert stack.show(order_id)["result"] == {"run": 1}


@pytest.mark.parametrize("command", ["kernel", "celery"])
@with_settings(shutdown_grace_seconds=0.5)
def test_order_is_handed_back_when_its_worker_stops_before_it(stack: Stack, command: str) -> None:
    stack.api()
    worker = stack.worker(command)
    order_id = stack.submit("silent", name="60")
    wait_until(lambda: stack.show(order_id)["state"] == "running")
    os.kill(worker.pid, signal.SIGTERM)
    wait_until(lambda: stack.show(order_id)["state"] == "pending", 30)
    wait_until(lambda: worker.returncode is not None, 30)
    assert written(stack) == []
    # An orderly end: no process is said to run the order, and nothing is logged as an error.
    assert processes(stack.kernel) == []
    assert [one for one in stack.log().splitlines() if "ERROR" in one or "exited with" in one] == []


@with_settings(shutdown_grace_seconds=0.1, callback_timeout=5)
def test_callback_under_way_is_recorded_when_its_worker_hands_back_an_order(stack: Stack) -> None:
    stack.api()
    worker = stack.worker()
    stack.receiver.script(Answer(delay=4))
    sent = stack.submit("write")
    stack.callback(sent)
    order_id = stack.submit("silent", name="60")
    wait_until(lambda: stack.show(order_id)["state"] == "running")
    os.kill(worker.pid, signal.SIGTERM)
    wait_until(lambda: worker.returncode is not None, 30)
    assert [one["state"] for one in stack.show(sent)["deliveries"]] == ["delivered"]
    assert stack.show(order_id)["state"] == "pending"


@with_settings()
def test_nothing_of_a_worker_is_left_when_its_supervisor_is_killed(stack: Stack) -> None:
    worker = stack.worker()
    wait_until(lambda: children_of(children_of(worker.pid)[0]))
    everybody = family(worker.pid)
    os.kill(worker.pid, signal.SIGKILL)
    wait_until(lambda: not any(is_running(pid) for pid in everybody[1:]), 15)
