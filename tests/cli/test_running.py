"""`kernel worker` and `kernel dispatcher`, as processes. More of the worker: test_faults.py."""

import base64
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from kernel.runtime.installation import Name
from tests.support.factories import delivery, make_delivery, make_order
from tests.support.people.terminal import Terminal
from tests.support.programs import Command
from tests.support.receiver import Answer, Receiver
from tests.support.servers import Redis
from tests.support.stack import children_of
from tests.support.waiting import is_running, wait_until

ALLOWED = {"callback_allow_nets": "127.0.0.1/32"}


@pytest.fixture
def running(terminal: Terminal, redis: Redis, tmp_path: Path) -> Callable[..., Command]:
    """Start a command on the terminal's database and the session's Redis."""
    redis.client(1).flushdb()
    settings = terminal.settings | ALLOWED | {"broker_url": redis.url(1), "worker_processes": "1"}
    return lambda *command: Command(tmp_path, *command, **settings)


@pytest.mark.parametrize("command", ["worker", "dispatcher"])
def test_start_is_refused_when_the_database_is_behind(
    empty_terminal: Terminal, command: str
) -> None:
    assert "run `kernel migrate`" in empty_terminal.run(command, exit_code=2).stderr


def test_worker_starts_celery_again_when_it_was_killed(running: Callable[..., Command]) -> None:
    with running("worker") as worker:
        worker.wait_for("ready.")
        (parent, *_) = sorted(worker.pids("celery"))
        os.kill(parent, signal.SIGKILL)
        worker.wait_for("worker was ended by SIGKILL; again in 0.5 s")
        worker.wait_for("ready.", 2)
        assert worker.stop() == 0
        assert worker.running() == []


def test_worker_has_as_many_processes_as_told(running: Callable[..., Command]) -> None:
    with running("worker", "--concurrency=3") as worker:
        worker.wait_for("ready.")
        wait_until(lambda: len(worker.pids("celery")) == 4)
        assert worker.stop(signal.SIGINT) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_dispatcher_finishes_what_is_in_flight_when_told_to_stop(
    running: Callable[..., Command], terminal: Terminal, number: int
) -> None:
    with Receiver() as receiver, running("dispatcher") as dispatcher:
        receiver.script(Answer(delay=1.0))
        first = make_delivery(terminal.kernel, url=receiver.url, origin=receiver.url[:-1])
        receiver.wait(1, 60)
        second = make_delivery(terminal.kernel, url=receiver.url, origin=receiver.url[:-1])
        assert dispatcher.stop(number) == 0
    assert delivery(terminal.kernel, first).state == "delivered"
    assert delivery(terminal.kernel, second).state in ("delivered", "pending")


def test_dispatcher_hints_what_is_due_and_runs_nothing(
    running: Callable[..., Command], terminal: Terminal, redis: Redis
) -> None:
    order_id, queue = make_order(terminal.kernel), terminal.kernel.one(Name).queue()
    with running("dispatcher") as dispatcher:
        (hint,) = wait_until(lambda: redis.client(1).lrange(queue, 0, -1), 30)
        assert dispatcher.stop() == 0
    (hinted, *_) = json.loads(base64.b64decode(json.loads(hint)["body"]))
    assert hinted == [order_id]
    assert terminal.json("orders", "show", order_id)["state"] == "pending"


@pytest.mark.parametrize("killed", ["the one that sends", "its parent"])
def test_callback_in_flight_goes_out_again_when_a_process_of_the_dispatcher_is_killed(
    running: Callable[..., Command], terminal: Terminal, tmp_path: Path, killed: str
) -> None:
    """Its claim would last for forty-five seconds."""
    with Receiver() as receiver, running("dispatcher") as dispatcher:
        receiver.script(Answer(delay=40.0))
        made = make_delivery(terminal.kernel, url=receiver.url, origin=receiver.url[:-1])
        receiver.wait(1, 60)
        (sender,) = children_of(dispatcher.process.pid)
        if killed == "its parent":
            dispatcher.process.kill()
            wait_until(lambda: not is_running(sender), 30)
            claim = delivery(terminal.kernel, made)
            assert (claim.claim_token, claim.attempt) == (None, 1)
        else:
            os.kill(sender, signal.SIGKILL)
            receiver.wait(2, 20)
            wait_until(lambda: delivery(terminal.kernel, made).state == "delivered", 30)
            assert dispatcher.stop() == 0
            assert dispatcher.running() == []
