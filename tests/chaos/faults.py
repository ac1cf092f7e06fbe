"""The table of faults, and how several of them are run at a time.

A fault is a generator: what stands before a ``yield`` breaks something, the number yielded is for
how many seconds, what stands after the last one mends it. It may yield as often as it likes, and
never waits by itself: other faults and the keeper run meanwhile.
"""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.chaos import fault_brokers, fault_databases, fault_processes, fault_receivers
from tests.chaos.load import Load
from tests.chaos.stack import System

Steps = Iterator[float]


@dataclass(frozen=True)
class Fault:
    """A row of the table: what is broken, how, and how it is mended."""

    name: str
    injected: str
    undone: str
    steps: Callable[["Place"], Steps]
    variants: str = "mariadb sqlite rabbitmq"


@dataclass
class Place:
    """Where a fault happens: the system, the load, and one random choice of the seed."""

    system: System
    load: Load
    rand: random.Random
    number: int
    notes: list[str] = field(default_factory=list)

    def key(self, part: int = 0) -> str:
        """A key for an order of the fault's own."""
        return f"f{self.number:04d}-{part}"


@dataclass
class Injected:
    """A fault that happened; times are seconds since the epoch."""

    name: str
    at: float
    until: float = 0.0
    recovered: bool = False
    notes: list[str] = field(default_factory=list)

    def json(self) -> dict[str, Any]:
        """For the report."""
        return asdict(self)


KEEPER = "started again by the harness"
FAULTS: tuple[Fault, ...] = (
    Fault("api-worker-kill", "SIGKILL of a gunicorn worker", "gunicorn forks another",
          fault_processes.api_worker),
    Fault("api-master-kill", "SIGKILL of gunicorn's master", KEEPER, fault_processes.api_master),
    Fault("pool-kill", "SIGKILL of one pool process of each worker", "Celery forks another",
          fault_processes.pool),
    Fault("worker-main-kill", "SIGKILL of a worker's Celery main process",
          "`kernel worker` starts it again", fault_processes.worker_main),
    Fault("worker-kill", "SIGKILL of `kernel worker` itself", KEEPER, fault_processes.worker),
    Fault("worker-term", "SIGTERM of `kernel worker`, as in a rollout", KEEPER,
          fault_processes.worker_term),
    Fault("dispatcher-kill", "SIGKILL of `kernel dispatcher`", KEEPER, fault_processes.dispatcher),
    Fault("sender-kill", "SIGKILL of a worker and the dispatcher while a receiver hangs",
          KEEPER, fault_processes.senders),
    Fault("frozen-lock", "a handler SIGSTOPs its process while it holds a unique key's lock",
          "SIGCONT, long after another run has ended the order", fault_processes.frozen_lock,
          "mariadb rabbitmq"),
    Fault("frozen-before", "a handler SIGSTOPs its process before it writes",
          "SIGCONT, long after another run has ended the order", fault_processes.frozen_before),
    Fault("suicide", "an order whose handler kills its process, every time",
          "the order fails as worker_lost", fault_processes.suicide),
    Fault("clock", "a worker whose wall clock is a minute fast or slow",
          "restarted with the right time", fault_processes.clock),
    Fault("redis-kill", "SIGKILL of the broker", "started again, empty, after 2 s",
          fault_brokers.killed, "mariadb sqlite"),
    Fault("redis-flushall", "FLUSHALL, three times", "-", fault_brokers.flushed, "mariadb sqlite"),
    Fault("redis-stop", "SIGSTOP of the broker for 10 s", "SIGCONT", fault_brokers.stopped),
    Fault("redis-flap", "five restarts in three seconds", "it stays up", fault_brokers.flapping,
          "mariadb sqlite"),
    Fault("redis-client-kill", "CLIENT KILL of every connection, five times", "-",
          fault_brokers.clients_killed, "mariadb sqlite"),
    Fault("rabbitmq-kill", "SIGKILL of the broker", "started again, empty, after 2 s",
          fault_brokers.killed, "rabbitmq"),
    Fault("rabbitmq-close", "every connection closed by the server", "-",
          fault_brokers.rabbit_closed, "rabbitmq"),
    Fault("mariadb-kill", "SIGKILL of the database", "started again after 1 s",
          fault_databases.killed, "mariadb rabbitmq"),
    Fault("mariadb-stop", "SIGSTOP of the database for 5 s", "SIGCONT", fault_databases.stopped,
          "mariadb rabbitmq"),
    Fault("mariadb-client-kill", "KILL of every connection, five times", "-",
          fault_databases.connections_killed, "mariadb rabbitmq"),
    Fault("lock-wait", "a rival holds contended rows for 7 s, longer than a lock wait may last",
          "it rolls back", fault_databases.lock_wait, "mariadb rabbitmq"),
    Fault("deadlock", "30 orders at once that lock two rows crosswise", "-",
          fault_databases.deadlocks, "mariadb rabbitmq"),
    Fault("sqlite-lock", "a rival holds the write lock for 4 s, thrice the busy timeout",
          "it rolls back", fault_databases.sqlite_lock, "sqlite"),
    Fault("disk-full", "the database file may not grow, for 5 s", "it may again",
          fault_databases.disk_full, "sqlite"),
    Fault("receiver-down", "a receiver refuses connections for 4 s", "it listens again",
          fault_receivers.down),
    Fault("receiver-hang", "a receiver reads and never answers, for 5 s", "it answers",
          fault_receivers.hang),
    Fault("receiver-reset", "a receiver resets after it has read the body, for 4 s", "it answers",
          fault_receivers.reset),
    Fault("receiver-503", "a receiver answers 503 for 4 s", "it answers 200",
          fault_receivers.unavailable),
)  # fmt: skip
NAMES = {fault.name: fault for fault in FAULTS}


def deck(variant: str, count: int, rand: random.Random, only: Sequence[str] = ()) -> list[Fault]:
    """Return ``count`` faults, every kind about equally often; the patient ones not at the end."""
    kinds = [f for f in FAULTS if variant in f.variants.split() and (not only or f.name in only)]
    drawn: list[Fault] = []
    while len(drawn) < count:
        drawn += rand.sample(kinds, min(len(kinds), count - len(drawn)))
    early, late = drawn[: -len(kinds)], drawn[-len(kinds) :]
    # A 503 asks for a minute's patience: the run would end by waiting for it.
    late.sort(key=lambda fault: not fault.name.startswith("receiver"))
    return early + late


def inject(
    place: Callable[[], Place], faults: Sequence[Fault], tick: Callable[[], None]
) -> list[Injected]:
    """Run faults at the same time, to the end of the last one."""
    places = [place() for _ in faults]
    running = [fault.steps(where) for fault, where in zip(faults, places, strict=True)]
    done = [
        Injected(f.name, time.time(), notes=p.notes) for f, p in zip(faults, places, strict=True)
    ]
    due = dict.fromkeys(range(len(faults)), 0.0)
    while due:
        for number in [n for n, moment in due.items() if moment <= time.monotonic()]:
            try:
                due[number] = time.monotonic() + next(running[number])
            except StopIteration:
                del due[number]
        tick()
        time.sleep(0.02)
    ended = time.time()
    for one in done:
        one.until = ended
    return done
