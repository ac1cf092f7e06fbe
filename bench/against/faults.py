"""What a system does when something fails: a worker that is killed, receivers that refuse.

The process that is killed is the one that holds the connection to the receiver: a pool process of
kernel, one of the two workers of another engine.
"""

import asyncio
import math
import os
import signal
import time
from collections.abc import Callable, Coroutine
from itertools import count
from typing import Any

from bench.against.plan import Plan
from bench.against.systems import Measured
from bench.load import Load, at_once, measure
from bench.plan import percentile
from bench.processes import cpu_ms, holders
from bench.receiver import Receiver

REFUSING = 64
# The first call is held this long: its process is killed well before.
HELD_MS = 12_000
# Receivers take this long while a worker is killed under load, so that it has calls on their way.
ANSWER_MS = 200
# Nothing is started again before this: the other worker is there, and idle.
UNATTENDED = 75.0
PATIENCE = 150.0
# A service manager's pause before it starts a program again.
RESTART_SECONDS = 1.0
_numbers = count()


async def all_faults(system: Measured, receiver: Receiver, plan: Plan) -> dict[str, float]:
    """Return every figure of `bench.against.plan.FAULTS`."""
    await measure(system, receiver, Load(plan.warm_up))
    found = {"idle, % of a core": await idle(system, plan.idle_seconds)}
    for what in ("callback", "handler"):
        figure = f"killed in mid-{what}: called back after s"
        found[figure] = await killed_while_it_waits(system, receiver, in_handler=what == "handler")
    found |= await killed_under_load(system, receiver, plan.killed)
    return found | await beside_refusing(system, receiver, plan)


async def idle(system: Measured, seconds: float) -> float:
    """Return the share of a core, in per cent, that it takes without work."""
    await asyncio.sleep(2)  # the last order's results are still being written
    before, began = cpu_ms(system.pids()), time.monotonic()
    await asyncio.sleep(seconds)
    return (cpu_ms(system.pids()) - before) / (time.monotonic() - began) / 10


async def killed_while_it_waits(system: Measured, receiver: Receiver, *, in_handler: bool) -> float:
    """Kill the process that waits for an answer; return the seconds until the next callback.

    It waits in the order's work, or in its callback. Infinite when none comes in time.
    """
    name = f"{system.name}-held-{next(_numbers)}"
    port = receiver.others[next(_numbers) % len(receiver.others)]
    held = f"http://127.0.0.1:{port}/{name}/0?first_ms={HELD_MS}"
    told = f"{name}-told" if in_handler else name
    if in_handler:
        request = system.request(0, receiver.url(told, 0), work_url=held)
    else:
        request = system.request(0, held)
    await at_once(system, [request])

    async def is_held() -> bool:
        return bool(await receiver.arrivals(name))

    assert await _until(is_held, PATIENCE), f"{system.name}: no call came"
    at = _kill(system, {port})

    async def is_told() -> bool:
        return any(one > at for one in (await receiver.all_arrivals(told)).get(0, []))

    if not await _until(is_told, UNATTENDED):
        system.restart_ended()
        await _until(is_told, PATIENCE - UNATTENDED)
    times = (await receiver.all_arrivals(told)).get(0, [])
    if system.restart_ended():
        await asyncio.sleep(5)  # until it works again
    return min((one - at for one in times if one > at), default=math.inf)


async def killed_under_load(system: Measured, receiver: Receiver, orders: int) -> dict[str, float]:
    """Kill a process when a third has been called back, start it again after a second; count."""
    name = f"{system.name}-killed-{next(_numbers)}"
    urls = [receiver.url(name, one, ANSWER_MS) for one in range(orders)]
    requests = [system.request(one, url) for one, url in enumerate(urls)]
    submitting = asyncio.create_task(at_once(system, requests))

    async def is_third() -> bool:
        return len(await receiver.arrivals(name)) >= orders // 3

    assert await _until(is_third, PATIENCE), f"{system.name}: no callbacks came"
    at = _kill(system, set(receiver.ports))
    await asyncio.sleep(RESTART_SECONDS)
    system.restart_ended()
    await submitting

    async def is_over() -> bool:
        return len(await receiver.arrivals(name)) >= orders

    await _until(is_over, PATIENCE)
    await asyncio.sleep(5)  # what comes twice comes late
    times = await receiver.all_arrivals(name)
    last = max(min(one) for one in times.values())
    rows = [number for path, number in system.rows().items() if path.startswith(f"/{name}/")]
    return {
        # Zero when the killed process had nothing left to do.
        "killed under load: last callback after s": max(0.0, last - at),
        "lost": orders - len(times),
        "callbacks twice": sum(len(one) - 1 for one in times.values()),
        "rows twice": sum(number - 1 for number in rows),
    }


async def beside_refusing(system: Measured, receiver: Receiver, plan: Plan) -> dict[str, float]:
    """Measure callbacks to eight healthy receivers while 64 others answer with 503.

    Leaves orders behind that are tried again: the system is of no use after this.
    """
    name = f"{system.name}-refused-{next(_numbers)}"
    ports = receiver.others[:REFUSING] * plan.refused
    urls = [f"http://127.0.0.1:{port}/{name}/{n}?status=503" for n, port in enumerate(ports)]
    await at_once(system, [system.request(n, url) for n, url in enumerate(urls)])
    done = await measure(system, receiver, Load(plan.beside, rate=50.0))
    return {
        f"beside 64 that answer 503: p{share} ms at 50/s": 1000
        * percentile(done.callbacks, share / 100)
        for share in (50, 95)
    }


def _kill(system: Measured, ports: set[int]) -> float:
    """Kill the process with most connections to these ports; return when."""
    found = holders(system.pids(), ports)
    assert found, f"{system.name}: no process has a connection to the receiver"
    os.kill(max(found, key=lambda pid: found[pid]), signal.SIGKILL)
    return time.monotonic()


async def _until(is_so: Callable[[], Coroutine[Any, Any, bool]], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not await is_so():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.05)
    return True
