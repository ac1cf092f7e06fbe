"""Processes that are killed, frozen, or live in another time."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tests.chaos.load import create
from tests.chaos.stack import LEASE_SECONDS

if TYPE_CHECKING:
    from tests.chaos.faults import Place

WORKERS = ("worker-a", "worker-b")
# For how long after a lease has run out somebody else may take to end a frozen order.
PATIENCE_SECONDS = LEASE_SECONDS + 10.0


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
    yield from _until_something_runs(place)
    for name in WORKERS:
        processes = place.system.pool_of(name)
        kill(place.rand.choice(processes) if processes else None)
    yield 0.5


def worker_main(place: "Place") -> Iterator[float]:
    yield from _until_something_runs(place)
    kill(place.system.main_of(place.rand.choice(WORKERS)))
    yield 0.5


def worker(place: "Place") -> Iterator[float]:
    yield from _until_something_runs(place)
    kill(place.system.children[place.rand.choice(WORKERS)].pid)
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
    skew = Path(__file__).parent / "skew"
    path = f"{skew}:{skew.parents[2]}"
    place.system.restart(name, signal.SIGTERM, PYTHONPATH=path, CHAOS_CLOCK=shift)
    deadline = time.monotonic() + 30
    while not place.system.is_ready(name) and time.monotonic() < deadline:
        yield 0.2
    yield 6.0
    place.system.restart(name, signal.SIGTERM)
    yield 0.5
