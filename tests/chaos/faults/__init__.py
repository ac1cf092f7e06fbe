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

from tests.chaos.faults import (
    brokers,
    databases,
    errors,
    families,
    hosts,
    machines,
    poison,
    processes,
    receivers,
    standstill,
)
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
    variants: str = "mariadb postgresql sqlite rabbitmq"
    # What this machine lacks for it, as a sentence; empty when nothing.
    lacks: Callable[[], str] = lambda: ""
    # Happens beside no other fault, and not in the quick form.
    alone: bool = False


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
          processes.api_worker),
    Fault("api-master-kill", "SIGKILL of gunicorn's master", KEEPER, processes.api_master),
    Fault("pool-kill", "SIGKILL of one pool process of each worker", "Celery forks another",
          processes.pool),
    Fault("worker-main-kill", "SIGKILL of a worker's Celery main process",
          "`kernel worker` starts it again", processes.worker_main),
    Fault("worker-kill", "SIGKILL of `kernel worker` itself", KEEPER, processes.worker),
    Fault("worker-whole-kill", "SIGKILL of a worker and of all its processes at once", KEEPER,
          processes.worker_whole),
    Fault("worker-term", "SIGTERM of `kernel worker`, as in a rollout", KEEPER,
          processes.worker_term),
    Fault("dispatcher-kill", "SIGKILL of `kernel dispatcher`", KEEPER, processes.dispatcher),
    Fault("sender-kill", "SIGKILL of a worker and the dispatcher while a receiver hangs",
          KEEPER, processes.senders),
    Fault("frozen-lock", "a handler SIGSTOPs its process while it holds a unique key's lock",
          "SIGCONT, long after another run has ended the order", processes.frozen_lock,
          "mariadb postgresql rabbitmq"),
    Fault("frozen-before", "a handler SIGSTOPs its process before it writes",
          "SIGCONT, long after another run has ended the order", processes.frozen_before),
    Fault("suicide", "an order whose handler kills its process, every time",
          "the order fails as worker_lost", processes.suicide),
    Fault("children-kill", "SIGKILL of what runs parents that have committed half of their "
          "children, then of what runs children", "Celery forks others", families.killed),
    Fault("clock", "a worker whose wall clock is a minute fast or slow",
          "restarted with the right time", processes.clock),
    Fault("redis-kill", "SIGKILL of the broker", "started again, empty, after 2 s",
          brokers.killed, "mariadb postgresql sqlite"),
    Fault("redis-flushall", "FLUSHALL, three times", "-", brokers.flushed,
          "mariadb postgresql sqlite"),
    Fault("redis-stop", "SIGSTOP of the broker for 10 s", "SIGCONT", brokers.stopped),
    Fault("redis-flap", "five restarts in three seconds", "it stays up", brokers.flapping,
          "mariadb postgresql sqlite"),
    Fault("redis-client-kill", "CLIENT KILL of every connection, five times", "-",
          brokers.clients_killed, "mariadb postgresql sqlite"),
    Fault("rabbitmq-kill", "SIGKILL of the broker", "started again, empty, after 2 s",
          brokers.killed, "rabbitmq"),
    Fault("rabbitmq-close", "every connection closed by the server", "-",
          brokers.rabbit_closed, "rabbitmq"),
    Fault("mariadb-kill", "SIGKILL of the database", "started again after 1 s",
          databases.killed, "mariadb rabbitmq"),
    Fault("mariadb-stop", "SIGSTOP of the database for 5 s", "SIGCONT", databases.stopped,
          "mariadb rabbitmq"),
    Fault("mariadb-client-kill", "KILL of every connection, five times", "-",
          databases.connections_killed, "mariadb rabbitmq"),
    Fault("postgresql-kill", "SIGKILL of the database", "started again after 1 s",
          databases.killed, "postgresql"),
    Fault("postgresql-stop", "SIGSTOP of the database for 5 s", "SIGCONT",
          databases.stopped, "postgresql"),
    Fault("postgresql-client-kill", "pg_terminate_backend of every connection, five times", "-",
          databases.backends_ended, "postgresql"),
    Fault("postgresql-read-only", "default_transaction_read_only for 4 s, as after a failover",
          "it takes writes again", databases.read_only, "postgresql"),
    Fault("lock-wait", "a rival holds contended rows for 7 s, longer than a lock wait may last",
          "it rolls back", databases.lock_wait, "mariadb postgresql rabbitmq"),
    Fault("deadlock", "30 orders at once that lock two rows crosswise", "-",
          databases.deadlocks, "mariadb postgresql rabbitmq"),
    Fault("sqlite-lock", "a rival holds the write lock for 4 s, thrice the busy timeout",
          "it rolls back", databases.sqlite_lock, "sqlite"),
    Fault("disk-full", "the database file may not grow, for 5 s", "it may again",
          databases.disk_full, "sqlite"),
    Fault("receiver-down", "a receiver refuses connections for 4 s", "it listens again",
          receivers.down),
    Fault("receiver-hang", "a receiver reads and never answers, for 5 s", "it answers",
          receivers.hang),
    Fault("receiver-reset", "a receiver resets after it has read the body, for 4 s", "it answers",
          receivers.reset),
    Fault("receiver-503", "a receiver answers 503 for 4 s", "it answers 200",
          receivers.unavailable),
    Fault("thread-limit", "no worker can start a thread for 6 s (a cgroup's pids.max), receivers "
          "hang", "the limit is lifted", machines.thread_limit, lacks=machines.lacks_cgroup,
          alone=True),
    Fault("read-only", "the database is read-only for the connections that are open; new ones may "
          "write after 2 s, as behind a switch of primaries", "it takes writes again",
          errors.read_only, "mariadb rabbitmq", alone=True),
    Fault("passing-errors", "handlers get a passing error every time: 1290, 1114, a closed "
          "connection", "the orders fail as keeps_breaking", errors.passing, "mariadb rabbitmq",
          alone=True),
    Fault("unlisted-error", "a trigger refuses a handler's statement, and now and then a submit, "
          "with a number that stands in no list", "the trigger is dropped", errors.unlisted,
          "mariadb rabbitmq", alone=True),
    Fault("poison-rows", "an order that cannot be written, one that is not JSON, one whose "
          "callback's rows were deleted by hand", "they are removed", poison.rows,
          "mariadb rabbitmq", alone=True),
    Fault("database-ahead", "the database's clock is set an hour ahead for 8 s (libfaketime)",
          "it is set back", machines.database_ahead, "mariadb rabbitmq",
          lacks=machines.lacks_faketime, alone=True),
    Fault("database-behind", "the database's clock is set an hour back for 8 s (libfaketime)",
          "it is set right", machines.database_behind, "mariadb rabbitmq",
          lacks=machines.lacks_faketime, alone=True),
    Fault("standstill", "no worker sweeps for longer than the hour after which unknown tags fail "
          "(12 s here); one that lacks a tag starts first", "a worker that has it starts",
          standstill.two_kinds, "mariadb", alone=True),
    Fault("half-dead-worker", "the workers' broker connections end for good (REPLICAOF) beside "
          "long handlers", "the broker takes writes after 1.5 s", standstill.half_dead,
          "mariadb sqlite", alone=True),
    Fault("cut-database", "a worker's host loses the database, not the broker, for 15 s",
          "packets pass again", hosts.database, "mariadb", hosts.lacks, alone=True),
    Fault("cut-broker", "a worker's host loses the broker, not the database, for 15 s",
          "packets pass again", hosts.broker, "mariadb", hosts.lacks, alone=True),
    Fault("cut-one-way", "a worker's host hears nothing of the database, which hears it, for 15 s",
          "packets pass again", hosts.one_way, "mariadb", hosts.lacks, alone=True),
)  # fmt: skip
NAMES = {fault.name: fault for fault in FAULTS}


def left_out(variant: str, only: Sequence[str] = ()) -> dict[str, str]:
    """Return the faults of a variant that this machine does not allow, and what it lacks."""
    asked = [f for f in FAULTS if variant in f.variants.split() and (not only or f.name in only)]
    return {fault.name: lack for fault in asked if (lack := fault.lacks())}


def deck(
    variant: str,
    count: int,
    rand: random.Random,
    only: Sequence[str] = (),
    *,
    quick: bool = False,
) -> list[Fault]:
    """Return ``count`` faults, every kind about equally often; the patient ones not at the end.

    ``quick``: only those that may happen beside others, which are the short ones, unless they are
    asked for by name.
    """
    out = left_out(variant, only)
    kinds = [
        fault
        for fault in FAULTS
        if variant in fault.variants.split()
        and fault.name not in out
        and (fault.name in only if only else not (quick and fault.alone))
    ]
    if not kinds:
        return []
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
