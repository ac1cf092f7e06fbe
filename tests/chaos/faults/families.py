"""Processes that are killed while they run parents, and while they run their children."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tests.chaos.faults.processes import kill
from tests.chaos.orders import parent
from tests.chaos.stack import START_SECONDS

if TYPE_CHECKING:
    from tests.chaos.faults import Place

PARENTS, CHILDREN = 2, 4
# A parent has submitted its children, and a child has begun, this long after it was seen running.
# Both take longer than that.
BEGUN_SECONDS, PAUSE_MS = 0.3, 800
RUNNING = (
    "SELECT DISTINCT w.pid FROM kernel_workers w JOIN kernel_orders o ON o.runner = w.id"
    " WHERE o.state = 'running' AND o.select_tag = '{tag}'"
)


def killed(place: "Place") -> Iterator[float]:
    """Kill parents half-way, between a commit of children and the next, then their children."""
    for part in range(PARENTS):
        place.load.send(parent(place.key(part), CHILDREN, pause_ms=PAUSE_MS))
    for tag in ("parent_project", "child_project"):
        asked, waited = RUNNING.format(tag=tag), 0.0
        while not place.system.ask(asked) and waited < START_SECONDS:
            waited += 0.1
            yield 0.1
        yield BEGUN_SECONDS
        pids = [int(pid) for (pid,) in place.system.ask(asked) or []]
        place.notes.append(f"{len(pids)} killed with {tag}")
        for pid in pids:
            kill(pid)
    yield 0.5
