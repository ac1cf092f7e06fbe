"""Puts load on a system and measures its cost: one round of one kind of measurement."""

import asyncio
import time
from dataclasses import dataclass, field
from itertools import count

from bench.counters import Counters
from bench.processes import cpu_ms, memory_mib
from bench.receiver import Receiver
from bench.systems import System
from bench.wire import Connection

CONNECTIONS = 16
PATIENCE = 120.0
ACCEPTED = (200, 202)
UNAVAILABLE = 503
RETRY_SECONDS = 0.2
_rounds = count()


@dataclass(frozen=True, slots=True)
class Load:
    """A number of orders, submitted as fast as 16 connections can, or ``rate`` per second.

    ``warm_up``: the number of orders before them that are not measured.
    """

    orders: int
    rate: float | None = None
    delay_ms: int = 0
    warm_up: int = 0


@dataclass(slots=True)
class Round:
    """The measurements of one round. Times are monotonic seconds; latencies are seconds.

    ``seconds`` until the last callback, ``submitting`` until the last answer of the API.
    """

    orders: int
    cpu_ms: float = 0.0
    seconds: float = 0.0
    submitting: float = 0.0
    memory_mib: float = 0.0
    submits: list[float] = field(default_factory=list)
    callbacks: list[float] = field(default_factory=list)
    counts: dict[str, float] = field(default_factory=dict)


async def measure(system: System, receiver: Receiver, load: Load) -> Round:
    """Submit the orders, wait for every callback, and return the round's measurements."""
    if load.warm_up:
        await measure(system, receiver, Load(load.warm_up, delay_ms=load.delay_ms))
    name, pids = f"{system.name}-{next(_rounds)}", system.pids()
    requests = [
        system.request(number, receiver.url(name, number, load.delay_ms))
        for number in range(load.orders)
    ]
    counters = Counters(system)
    began, cpu = time.monotonic(), cpu_ms(pids)
    if load.rate is None:
        answers = await at_once(system, requests)
    else:
        answers = await paced(system, requests, load.rate)
    if system.calls_back:
        arrivals = await _all_arrived(system, receiver, name, load.orders)
    else:
        arrivals = {number: at for number, (_, at) in answers.items()}
    done = Round(load.orders, seconds=max(arrivals.values()) - began)
    done.submitting = max(at for _, at in answers.values()) - began
    done.counts = counters.per_order(load.orders)
    await asyncio.sleep(0.2)  # the results of the last callbacks are still being written
    done.cpu_ms = (cpu_ms(pids) - cpu) / load.orders
    done.memory_mib = memory_mib(pids)
    done.submits = [took for took, _ in answers.values()]
    done.callbacks = [arrivals[number] - at for number, (_, at) in answers.items()]
    return done


# Number of an order: seconds until its answer, and when that came, in monotonic seconds.
Answers = dict[int, tuple[float, float]]


async def at_once(system: System, requests: list[bytes]) -> Answers:
    """Submit by 16 connections, each as soon as its last order is answered."""
    waiting = iter(list(enumerate(requests)))
    answers: Answers = {}

    async def one() -> None:
        connection = Connection(system.port)
        for number, request in waiting:
            await _submit(connection, number, request, answers)
        connection.close()

    await asyncio.gather(*(one() for _ in range(CONNECTIONS)))
    return answers


async def paced(system: System, requests: list[bytes], rate: float) -> Answers:
    """Submit ``rate`` a second, without waiting for answers."""
    answers: Answers = {}
    free: list[Connection] = []
    began = time.monotonic()

    async def one(number: int, request: bytes) -> None:
        connection = free.pop() if free else Connection(system.port)
        await _submit(connection, number, request, answers)
        free.append(connection)

    tasks = []
    for number, request in enumerate(requests):
        await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
        tasks.append(asyncio.create_task(one(number, request)))
    await asyncio.gather(*tasks)
    for connection in free:
        connection.close()
    return answers


async def _submit(connection: Connection, number: int, request: bytes, answers: Answers) -> None:
    """Submit until accepted: with a busy SQLite file the API answers 503, and callers retry."""
    began = time.monotonic()
    while (answer := await connection.send(request))[0] == UNAVAILABLE:
        await asyncio.sleep(RETRY_SECONDS)
    status, body = answer
    assert status in ACCEPTED, body
    assert b'"status":-1' not in body, body
    now = time.monotonic()
    answers[number] = now - began, now


async def _all_arrived(
    system: System, receiver: Receiver, name: str, orders: int
) -> dict[int, float]:
    deadline = time.monotonic() + PATIENCE
    while len(arrivals := await receiver.arrivals(name)) < orders:
        system.check()
        assert time.monotonic() < deadline, f"{name}: {len(arrivals)} of {orders} callbacks"
        await asyncio.sleep(0.1)
    return arrivals
