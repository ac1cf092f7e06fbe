"""Processes that are killed, frozen, or live in another time."""

import os
import signal
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tests.chaos.orders import create
from tests.chaos.stack import LEASE_SECONDS
from tests.support.stack import family

if TYPE_CHECKING:
    from tests.chaos.faults import Place

WORKERS = ("worker-a", "worker-b")
# For how long after a lease has run out somebody else may take to end a frozen order.
PATIENCE_SECONDS = LEASE_SECONDS + 10.0
# A sibling hands back what a killed pool process ran, and so does another worker for a whole one:
# sooner than a lease can end, which has been renewed every third of it.
TAKEN_OVER_SECONDS = LEASE_SECONDS * 0.6
# The pool processes that run an order, as the rows have it.
BUSY = (
    "SELECT DISTINCT w.pid, w.id FROM kernel_workers w"
    " JOIN kernel_orders o ON o.runner = w.id WHERE o.state = 'running'"
)


def kill(pid: int | None, number: int = signal.SIGKILL) -> None:
    """Signal a process, if it is still there."""
    if pid is not None:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def api_worker(place: "Place") -> Iterator[float]:
    workers = place.system.api_workers()
    kill(place.rand.choice(workers) if workers else None)
    yield 0.5


def api_master(place: "Place") -> Iterator[float]:
    kill(place.system.children["api"].pid)
    yield 0.5


def pool(place: "Place") -> Iterator[float]:
    """Kill a pool process of each worker, a busy one if there is one; siblings must take over."""
    yield from _until_something_runs(place)
    busy = {int(pid): text(runner) for pid, runner in place.system.ask(BUSY) or []}
    killed = []
    for name in WORKERS:
        processes = place.system.pool_of(name)
        if chosen := [pid for pid in processes if pid in busy] or processes:
            killed.append(place.rand.choice(chosen))
            kill(killed[-1])
    runners = [busy[pid] for pid in killed if pid in busy]
    if not (yield from until_taken_over(place, runners, TAKEN_OVER_SECONDS)):
        place.notes.append(
            f"FAILED: not taken over from a killed process in {TAKEN_OVER_SECONDS} s"
        )
    yield 0.5


def until_taken_over(
    place: "Place", runners: Sequence[str], seconds: float, but: str = ""
) -> Generator[float, None, bool]:
    """Wait until no order is running by these processes; return whether it is so in time.

    Orders whose ids begin with ``but`` are not looked at. A database that does not answer, by
    another fault, gives more time.
    """
    names = ", ".join(f"'{runner}'" for runner in runners) or "''"
    query = f"SELECT COUNT(*) FROM kernel_orders WHERE state = 'running' AND runner IN ({names})"
    query += f" AND id NOT LIKE '{but}%'" if but else ""
    started = time.monotonic()
    held = most = place.system.ask(query)
    while held != [(0,)] and time.monotonic() < started + seconds:
        yield 0.05
        held = place.system.ask(query)
        if held is None:
            started = time.monotonic()
        most = most or held
    if held == [(0,)] and most != [(0,)]:
        place.notes.append(f"taken over after {time.monotonic() - started:.1f} s")
    return held == [(0,)]


def text(value: str | bytes) -> str:
    """Return a column's value, which one driver gives as bytes."""
    return value.decode() if isinstance(value, bytes) else value


def worker_main(place: "Place") -> Iterator[float]:
    yield from _until_something_runs(place)
    kill(place.system.main_of(place.rand.choice(WORKERS)))
    yield 0.5


def worker(place: "Place") -> Iterator[float]:
    yield from _until_something_runs(place)
    kill(place.system.children[place.rand.choice(WORKERS)].pid)
    yield 0.5


def worker_whole(place: "Place") -> Iterator[float]:
    """Kill a worker with all that it consists of; the other one of the machine must take over."""
    yield from _until_something_runs(place)
    ours = {name: family(place.system.children[name].pid) for name in WORKERS}
    busy = {int(pid): text(runner) for pid, runner in place.system.ask(BUSY) or []}
    at_work = [name for name in WORKERS if busy.keys() & set(ours[name])]
    killed = ours[place.rand.choice(at_work or WORKERS)]
    for pid in killed:
        kill(pid, signal.SIGSTOP)  # so that none of them sees another one end
    for pid in killed:
        kill(pid)
    runners = [busy[pid] for pid in killed if pid in busy]
    if not (yield from until_taken_over(place, runners, TAKEN_OVER_SECONDS)):
        place.notes.append(f"FAILED: not taken over from a killed worker in {TAKEN_OVER_SECONDS} s")
    yield 0.5


def _until_something_runs(place: "Place") -> Iterator[float]:
    """Wait for an order that is running, for it is pointless to kill who has nothing to do."""
    deadline = time.monotonic() + 5
    running = "SELECT COUNT(*) FROM kernel_orders WHERE state = 'running'"
    while place.system.ask(running) == [(0,)] and time.monotonic() < deadline:
        yield 0.02


def worker_term(place: "Place") -> Iterator[float]:
    child = place.system.children[place.rand.choice(WORKERS)]
    kill(child.pid, signal.SIGTERM)
    deadline = time.monotonic() + 30
    while child.returncode is None and time.monotonic() < deadline:
        yield 0.2
    place.notes.append(f"ended with {child.returncode}")


def dispatcher(place: "Place") -> Iterator[float]:
    kill(place.system.children["dispatcher"].pid)
    yield 0.5


def senders(place: "Place") -> Iterator[float]:
    """Kill whoever may be sending to a receiver that hangs."""
    receiver = place.rand.choice(place.system.receivers)
    receiver.mode = "hang"
    yield 1.5
    yield from _until_something_runs(place)
    kill(place.system.children[place.rand.choice(WORKERS)].pid)
    kill(place.system.children["dispatcher"].pid)
    yield 0.5
    receiver.open()


def frozen_lock(place: "Place") -> Iterator[float]:
    yield from _frozen(place, "hold_project")


def frozen_before(place: "Place") -> Iterator[float]:
    yield from _frozen(place, "doze_project")


def _frozen(place: "Place", tag: str) -> Iterator[float]:
    """Submit an order whose first run freezes; wake it when another run has ended the order."""
    place.load.send(create(place.key(), tag))
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (frozen := _stopped(place)) and time.monotonic() < deadline:
        yield 0.1
    started = time.monotonic()
    while _state_of(place) != "success" and time.monotonic() < started + PATIENCE_SECONDS:
        yield 0.2
    if _state_of(place) != "success":
        place.notes.append("FAILED: not ended by another run while its first one was frozen")
    else:
        place.notes.append(f"taken over after {time.monotonic() - started:.1f} s")
    for pid in frozen:
        kill(pid, signal.SIGCONT)
    yield 1.0


def _stopped(place: "Place") -> list[int]:
    pids = [pid for name in WORKERS for pid in place.system.pool_of(name)]
    return [pid for pid in pids if _is_stopped(pid)]


def _is_stopped(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _state_of(place: "Place") -> str | None:
    query = f"SELECT state FROM kernel_orders WHERE idempotency_key = '{place.key()}'"
    rows = place.system.ask(query)
    return str(rows[0][0]) if rows else None


def suicide(place: "Place") -> Iterator[float]:
    place.load.send(create(place.key(), "suicide", "failed"))
    yield 0.5


def clock(place: "Place") -> Iterator[float]:
    """Restart a worker with a clock that is wrong by a minute, and again with the right one."""
    name, shift = place.rand.choice(WORKERS), place.rand.choice(("60", "-60"))
    place.notes.append(f"{shift} s")
    skew = Path(__file__).parents[1] / "skew"
    path = f"{skew}:{skew.parents[2]}"
    place.system.restart(name, signal.SIGTERM, PYTHONPATH=path, CHAOS_CLOCK=shift)
    deadline = time.monotonic() + 30
    while not place.system.is_ready(name) and time.monotonic() < deadline:
        yield 0.2
    yield 6.0
    place.system.restart(name, signal.SIGTERM)
    yield 0.5
