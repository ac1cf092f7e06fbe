"""Measures how much one more process does, with work that waits: ./run bench scale

Worker processes: 1, 2 and 4, each with an API of two processes, handlers of 50 ms and receivers
that take 200 ms, measured in turn. Orders are submitted as fast as the API accepts them, and
counted by their callbacks.

Dispatchers: 1 and 2, without API and workers, with callbacks that are already due. With 25 senders
a dispatcher mostly waits for receivers; with the default 200 the dispatchers fill the cores, and
with receivers of 20 ms one does what its Python can.
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import func, insert, select, update

from bench.growth import say
from bench.load import Load, measure
from bench.machine import Cores, busy_with_others, machine
from bench.processes import cpu_ms
from bench.receiver import Receiver
from bench.systems import Ours, Servers, folder
from bench.waiting import WORK_SECONDS, handlers
from bench.wire import make_request
from kernel.cli.local.processes import Child, Program
from kernel.config.settings import load
from kernel.db.ids import new_id
from kernel.db.schema import migrate
from kernel.db.tables.deliveries import DELIVERIES
from kernel.db.tables.orders import ORDERS
from kernel.db.tables.service import Worker
from kernel.runtime.kernel import Kernel

RESULTS = Path(__file__).resolve().parent / "results"
WORKERS = (1, 2, 4)
DISPATCHERS = (1, 2)
RECEIVER_MS = 200
# The number of senders and of callbacks for each dispatcher, and how long receivers take.
SENDERS = ((25, 1000, RECEIVER_MS), (200, 4000, RECEIVER_MS), (200, 4000, 20))
ORDERS_EACH = 200
ROUNDS = 3
START_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Result:
    """The work of ``count`` processes: callbacks per second, and cores busy on the machine."""

    what: str
    count: int
    per_second: float
    cores: float
    cpu_ms: float


class Waiting(Ours):
    """An installation with a number of worker processes that `of` sets."""

    workers = 1

    def settings(self) -> dict[str, str]:
        more = {"handlers": "bench.waiting:handlers", "worker_processes": str(self.workers)}
        return super().settings() | more

    def request(self, number: int, callback_url: str) -> bytes:
        order = {"select_tag": "wait", "number": number, "callback_url": callback_url}
        return make_request(self.path, json.dumps(order).encode(), dict(self.headers))

    @classmethod
    def of(cls, workers: int) -> type["Waiting"]:
        """Return the class for ``workers`` worker processes."""
        return type("Waiting", (cls,), {"name": f"workers-{workers}", "workers": workers})


async def workers(sides: list[Waiting], receiver: Receiver, rounds: int) -> list[Result]:
    """Measure orders through the whole system."""
    found: dict[int, list[Result]] = {side.workers: [] for side in sides}
    for side in sides:
        await measure(side, receiver, Load(40, delay_ms=RECEIVER_MS))
    for number in range(rounds):
        for side in sides:
            say(f"{side.workers} worker processes, round {number + 1} of {rounds}")
            load, cores = Load(ORDERS_EACH * side.workers, delay_ms=RECEIVER_MS), Cores()
            done = await measure(side, receiver, load)
            rate = done.orders / (done.seconds - RECEIVER_MS / 1000)
            one = Result("worker processes", side.workers, rate, cores.busy(), done.cpu_ms)
            found[side.workers].append(one)
    return [_middle(results) for results in found.values()]


def _middle(results: list[Result]) -> Result:
    """Return the round with the median rate."""
    first = results[0]
    figures = {
        name: statistics.median(getattr(one, name) for one in results)
        for name in ("per_second", "cores", "cpu_ms")
    }
    return Result(first.what, first.count, **figures)


class Backlog:
    """An installation without API or workers, and callbacks that wait to be sent."""

    def __init__(self, servers: Servers, place: Path, receiver: Receiver) -> None:
        self.place, self.receiver = place, receiver
        self.broker = servers.redis_urls()[0]
        self.url = servers.mariadb.create_database()
        migrate.upgrade(self.url)
        self.kernel = Kernel(load(database_url=self.url, result_backend=""), handlers)

    def owe(self, name: str, count: int, delay_ms: int) -> None:
        """Insert finished orders whose callbacks are due in an hour, at eight receivers."""
        now = self.kernel.clock.now()
        with self.kernel.write() as connection:
            for number in range(count):
                url = self.receiver.url(name, number, delay_ms)
                order = {"id": new_id(now), "caller_id": 1, "created_at": now, "run_after": now}
                owed = {"id": new_id(now), "order_id": order["id"], "caller_id": 1, "url": url}
                order |= {
                    "select_tag": "wait",
                    "args": "{}",
                    "callback_url": url,
                    "state": "success",
                }
                connection.execute(insert(ORDERS), order | {"fingerprint": "0", "finished_at": now})
                owed |= {"origin": "/".join(url.split("/")[:3]), "body": b'{"status":0}'}
                later = {"created_at": now, "next_attempt_at": now + timedelta(hours=1)}
                connection.execute(insert(DELIVERIES), owed | later)

    def release(self) -> None:
        """Make the callbacks due."""
        due = update(DELIVERIES).where(DELIVERIES.c.state == "pending")
        with self.kernel.write() as connection:
            connection.execute(due.values(next_attempt_at=self.kernel.clock.now()))

    def start(self, name: str, senders: int) -> Child:
        """Start a dispatcher."""
        env = {"KERNEL_DATABASE_URL": self.url, "KERNEL_CALLBACK_ALLOW_NETS": "127.0.0.1/32"}
        env |= {"KERNEL_DISPATCHER_THREADS": str(senders), "KERNEL_RESULT_BACKEND": ""}
        env["KERNEL_BROKER_URL"] = self.broker
        argv = [str(Path(sys.executable).parent / "kernel"), "dispatcher"]
        return Child(Program(name, argv, env), self.place / f"{name}.log")

    def at_work(self) -> int:
        """Return the number of dispatchers that have written their row."""
        with self.kernel.read_session() as session:
            return session.scalar(select(func.count()).select_from(Worker)) or 0


async def dispatchers(
    backlog: Backlog, count: int, senders: int, owed: int, delay_ms: int
) -> Result:
    """Have ``count`` dispatchers send the backlog; measure the middle four fifths of it."""
    name = f"dispatchers-{count}-{senders}-{time.monotonic_ns()}"
    what = f"dispatchers of {senders} senders, {delay_ms} ms"
    say(f"{count} {what}")
    backlog.owe(name, owed, delay_ms)
    children = [backlog.start(f"{name}-{number}", senders) for number in range(count)]
    pids = [child.pid for child in children]
    try:
        await _until(lambda: backlog.at_work() == count)
        cores, cpu = Cores(), cpu_ms(pids)
        backlog.release()
        while len(arrivals := await backlog.receiver.arrivals(name)) < owed:
            await asyncio.sleep(0.5)
        busy, spent = cores.busy(), cpu_ms(pids) - cpu
        for child in children:
            child.stop()
        await _until(lambda: backlog.at_work() == 0)
    finally:
        for child in children:
            child.kill()
    moments = sorted(arrivals.values())
    rate = 0.8 * owed / (moments[-owed // 10] - moments[owed // 10])
    return Result(what, count, rate, busy, spent / owed)


async def _until(ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        assert time.monotonic() < deadline, "not in time"
        await asyncio.sleep(0.1)


async def everything(rounds: int) -> list[Result]:
    """Measure workers, then dispatchers."""
    with ExitStack() as stack:
        place = Path(stack.enter_context(folder()))
        servers = stack.enter_context(Servers())
        receiver = Receiver()
        stack.callback(receiver.close)
        with ExitStack() as running:
            kinds = [Waiting.of(count) for count in WORKERS]
            sides = [running.enter_context(kind(servers, place)) for kind in kinds]
            results = await workers(sides, receiver, rounds)
        backlog = Backlog(servers, place, receiver)
        stack.callback(backlog.kernel.close)
        for plan in SENDERS:
            found: dict[int, list[Result]] = {count: [] for count in DISPATCHERS}
            for _ in range(rounds):
                for count in DISPATCHERS:
                    found[count].append(await dispatchers(backlog, count, *plan))
            results += [_middle(one) for one in found.values()]
    return results


def table(results: list[Result]) -> str:
    """Return the results as text, each rate compared with that of one process."""
    lines = [f"{'':36}{'count':>6}{'per second':>12}{'of linear':>11}{'cores':>7}{'CPU ms':>8}"]
    alone = {one.what: one.per_second for one in results if one.count == 1}
    for one in results:
        linear = one.per_second / (alone[one.what] * one.count)
        cells = f"{one.per_second:>12.1f}{linear:>11.0%}{one.cores:>7.2f}{one.cpu_ms:>8.2f}"
        lines.append(f"{one.what:36}{one.count:>6}{cells}")
    return "\n".join(lines)


def main(arguments: list[str]) -> None:
    """Measure, print the table, write JSON."""
    parser = argparse.ArgumentParser(prog="./run bench scale", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args(arguments)
    others = busy_with_others()
    results = asyncio.run(everything(given.rounds))
    print(table(results))
    said = {"at": datetime.now(UTC).isoformat(timespec="seconds"), **vars(given)}
    said |= {"receiver_ms": RECEIVER_MS, "work_ms": WORK_SECONDS * 1000}
    said |= {"machine": machine(), "cores_busy_before": others}
    said["results"] = [asdict(one) for one in results]
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "scale.json"
    path.write_text(json.dumps(said, indent=1) + "\n")
    print(f"written: {path.relative_to(RESULTS.parent.parent)}")


if __name__ == "__main__":
    main(sys.argv[1:])
