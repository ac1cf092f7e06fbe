"""A worker whose consumer is gone while handlers run: another main process starts beside it."""

import os
import signal
from collections.abc import Callable

import pytest
from redis import Redis as Client
from sqlalchemy import select

from kernel.db.tables.orders import ORDERS
from tests.support.handlers.paced import STEPS, Leader
from tests.support.stack import Stack, children_of, family, stopped
from tests.support.waiting import is_running, wait_until

# A lease that no busy machine lets run out.
SETTINGS = {"handlers": "tests.support.handlers.paced:handlers", "lease_seconds": 60}
PATIENCE = 90.0
pytestmark = pytest.mark.slow


def with_settings(**settings: object) -> pytest.MarkDecorator:
    """Run the test on a stack with these settings, and a handler that keeps the test's pace."""
    return pytest.mark.parametrize("stack", [SETTINGS | settings], indirect=True, ids=[""])


def refuse_writes(client: Client) -> Callable[[], object]:
    """Make Redis a replica, as a failover does; return what undoes it."""
    client.replicaof("127.0.0.1", "1")
    return lambda: client.replicaof("NO", "ONE")


def spoil_the_queue(client: Client) -> Callable[[], object]:
    """Put a value of another kind where the queue was; return what undoes it."""
    (queue,) = (key.removeprefix("_kombu.binding.") for key in bindings(client))
    client.set(queue, "no list")
    return lambda: client.delete(queue)


def bindings(client: Client) -> list[str]:
    """The keys in which kombu notes the queues that were declared."""
    return [key.decode() for key in client.scan_iter("_kombu.binding.orders.*")]


class Long:
    """A worker, and an order whose handler runs until it is told to end."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.leader = Leader(stack.folder / "pace")
        stack.api()
        self.worker = stack.worker()
        self.order_id = stack.submit("paced", file=str(self.leader.file))
        wait_until(lambda: stack.show(self.order_id)["state"] == "running", PATIENCE)
        (self.main,) = children_of(self.worker.pid)

    def ends_in_peace(self) -> None:
        """A new order ends while the handler runs; its first run succeeds, and its main ends."""
        self.new_order_ends()
        assert self.stack.show(self.order_id)["state"] == "running"
        self.leader.go(STEPS)
        assert self.stack.finished(self.order_id, PATIENCE)["state"] == "success"
        with self.stack.kernel.read_session() as session:
            runs = session.scalar(select(ORDERS.c.run).where(ORDERS.c.id == self.order_id))
        assert runs == 1
        wait_until(lambda: not is_running(self.main), PATIENCE, "end of the first main process")
        self.new_order_ends()

    def new_order_ends(self) -> None:
        """An order that is submitted now is run."""
        order_id = self.stack.submit("create_project", projname="new")
        assert self.stack.finished(order_id, PATIENCE)["state"] == "success"

    def end_consumer(self, how: Callable[[Client], Callable[[], object]] = refuse_writes) -> None:
        """End the consumer by an answer of the broker that Celery does not recover from."""
        with self.stack.redis.client(1) as client:
            undo = how(client)
            try:
                wait_until(lambda: "takes nothing more" in self.stack.log(), PATIENCE)
            finally:
                undo()

    def get_second_main(self) -> list[int]:
        """Have a second main process start beside the first; return all processes of the worker."""
        self.end_consumer()
        self.new_order_ends()
        processes = family(self.worker.pid)
        assert len(processes) == 1 + 2 * 2, "supervisor, and two mains with a pool process each"
        return processes


@pytest.mark.parametrize(
    ("stack", "how"),
    [
        (SETTINGS | {"worker_processes": 1}, refuse_writes),
        (SETTINGS | {"worker_processes": 2}, spoil_the_queue),
    ],
    indirect=["stack"],
)
def test_new_orders_run_and_the_long_handler_ends_when_the_consumer_has_ended(
    stack: Stack, how: Callable[[Client], Callable[[], object]]
) -> None:
    long = Long(stack)
    long.end_consumer(how)
    long.ends_in_peace()


@with_settings()
def test_new_orders_run_and_the_long_handler_ends_when_the_main_process_is_frozen(
    stack: Stack,
) -> None:
    long = Long(stack)
    with stopped(long.main):
        long.ends_in_peace()


@with_settings(shutdown_grace_seconds=PATIENCE)
def test_new_orders_run_when_the_main_process_alone_is_told_to_stop(stack: Stack) -> None:
    long = Long(stack)
    os.kill(long.main, signal.SIGTERM)
    long.ends_in_peace()


@with_settings()
def test_new_orders_run_in_a_successor_when_the_main_process_is_told_to_begin_anew(
    stack: Stack,
) -> None:
    """Celery would begin anew in the same process, once the long handler has ended."""
    long = Long(stack)
    os.kill(long.main, signal.SIGHUP)
    long.ends_in_peace()
    assert "Restarting celery worker" not in stack.log()


@with_settings(shutdown_grace_seconds=1)
def test_both_main_processes_end_within_the_grace_when_the_worker_is_told_to_stop(
    stack: Stack,
) -> None:
    long = Long(stack)
    processes = long.get_second_main()
    os.kill(long.worker.pid, signal.SIGTERM)
    wait_until(lambda: long.worker.returncode is not None, 30)
    assert long.worker.returncode == 0
    assert not any(map(is_running, processes))
    assert stack.show(long.order_id)["state"] == "pending", "handed back"


@with_settings()
def test_no_process_is_left_when_the_supervisor_of_two_main_processes_is_killed(
    stack: Stack,
) -> None:
    long = Long(stack)
    processes = long.get_second_main()
    os.kill(long.worker.pid, signal.SIGKILL)
    wait_until(lambda: not any(map(is_running, processes)))
