"""Measures kernel with a million orders in the tables: ./run bench growth [--rows N]

Two installations on one MariaDB and one Redis are measured in turn: one whose tables are nearly
empty, and one with N finished orders and N deliveries with their attempts, N / 10 waiting orders
and N / 10 callbacks to be retried. Both have two API and two pool processes.

End to end, with all processes running, the waiting orders and callbacks are due in three days:
otherwise the workers of the full installation would be busy with them. Then the processes end,
the backlog is made due, and this process calls the stages one by one, with the whole backlog
due. The small tables hold as many due rows as a stage takes at once, so that both installations
do the same work. Last, all orders are pruned while another process writes to rows about to go.
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bench.grown import Empty, Full, Roomy
from bench.load import Load, Round, measure
from bench.machine import busy_with_others, machine
from bench.plan import percentile
from bench.pruning import prune_all
from bench.receiver import Receiver
from bench.rows import SPAN, make_due
from bench.stages import Stages, queries, timed
from bench.systems import Servers, folder
from kernel.worker.maintenance.prune import prune
from tests.support.servers import MariaDB

RESULTS = Path(__file__).resolve().parent / "results"
RATIO = 1.10
SWEEP_MS, PAGE_MS, LOCK_MS = 50.0, 10.0, 100.0
ROUNDS = 15
PRUNABLE_SECONDS = timedelta(days=62).total_seconds()
END_TO_END: dict[str, tuple[str, Callable[[Round], float]]] = {
    "CPU ms per order": ("saturated", lambda r: r.cpu_ms),
    "seconds per 1,000 orders": ("saturated", lambda r: 1000 * r.seconds / r.orders),
    "submit p50 ms": ("saturated", lambda r: 1000 * percentile(r.submits, 0.50)),
    "202 to callback p50 ms at 50/s": ("50/s", lambda r: 1000 * percentile(r.callbacks, 0.50)),
}
LOADS = {"saturated": Load(600), "50/s": Load(100, 50.0)}
# The stages called per round: how often, and how.
STAGES: dict[str, tuple[int, Callable[[Stages], float]]] = {
    "submit (T1) ms": (20, Stages.submit),
    "claim (T2) ms": (20, Stages.claim),
    "finish (T3) ms": (20, Stages.finish),
    "run (T2, work, T3) ms": (20, Stages.run),
    "lanes ms": (3, Stages.lanes),
    "claim 50 deliveries (T4) ms": (1, Stages.deliver),
    "record 50 attempts (T5) ms": (1, Stages.record),
    "a batch of hints ms": (3, Stages.hints),
    "count of a caller's waiting ms": (3, Stages.pressure),
    "backlog gauges ms": (1, Stages.gauges),
    "sweep pass ms": (1, Stages.sweep),
    "GET an order ms": (20, Stages.status),
    "GET its deliveries ms": (20, Stages.deliveries),
}
# Figures that have a bound in milliseconds. Two of them count waiting rows, up to a limit, so they
# take longer the more rows wait; no order asks for them.
BOUNDS = {
    "sweep pass ms": SWEEP_MS,
    "GET an order ms": PAGE_MS,
    "GET its deliveries ms": PAGE_MS,
    "count of a caller's waiting ms": PAGE_MS,
    "backlog gauges ms": 100.0,
}


PRUNING = (
    ("one step of pruning ms", "step_p50", SWEEP_MS),
    ("pruning it all: longest transaction ms", "transaction_longest", LOCK_MS),
    ("pruning it all: longest wait for a lock ms", "update_longest", LOCK_MS),
)


def say(words: str) -> None:
    """Print progress on stderr, apart from the results."""
    print(f"{time.strftime('%H:%M:%S')} {words}", file=sys.stderr, flush=True)


@dataclass
class Samples:
    """All measurements: samples by figure and side, and the figures of one side only."""

    sides: dict[str, dict[str, list[float]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    pages: dict[str, float] = field(default_factory=dict)
    pruning: dict[str, float] = field(default_factory=dict)

    def figures(self) -> list[dict[str, Any]]:
        """Return the medians and their bounds."""
        rows = []
        for name, sides in self.sides.items():
            empty, full = (statistics.median(sides[side]) for side in ("empty", "full"))
            bound = BOUNDS.get(name)
            met = full <= RATIO * empty if bound is None else full <= bound
            rows.append(_row(name, full, bound, met) | {"empty": empty, "ratio": full / empty})
        worst = max(self.pages, key=self.pages.__getitem__)
        name = f"GET /v1/orders, slowest of {len(self.pages)} filters ms"
        rows.append(_row(name, self.pages[worst], PAGE_MS, self.pages[worst] <= PAGE_MS))
        rows[-1]["filters"] = worst
        for name, key, bound in PRUNING:
            found = self.pruning[key]
            rows.append(_row(name, found, bound, found <= bound))
        return rows


def _row(name: str, full: float, bound: float | None, met: bool) -> dict[str, Any]:
    return {"figure": name, "empty": None, "full": full, "ratio": None, "bound": bound, "met": met}


async def end_to_end(sides: list[Empty], receiver: Receiver, rounds: int, into: Samples) -> None:
    """Measure orders from submit to callback, with all processes running."""
    for side in sides:
        await measure(side, receiver, Load(200))
    for number in range(rounds):
        say(f"end to end, round {number + 1} of {rounds}")
        done = {
            (kind, side.name): await measure(side, receiver, load)
            for kind, load in LOADS.items()
            for side in (sides if number % 2 else sides[::-1])
        }
        for figure, (kind, of) in END_TO_END.items():
            for side in sides:
                into.sides[figure][side.name].append(of(done[kind, side.name]))


def stages(lines: dict[str, Stages], rounds: int, into: Samples) -> None:
    """Measure each stage alone, the two sides in turn."""
    for line in lines.values():
        line.catch_up()
    for number in range(-1, rounds):  # the first round warms up
        say(f"stages, round {number + 1} of {rounds}")
        for figure, (calls, call) in STAGES.items():
            for name, line in lines.items():
                took = [call(line) for _ in range(calls)]
                if number >= 0:
                    into.sides[figure][name] += took


def pages(line: Stages, into: Samples) -> None:
    """Measure the list with every filter, as a caller and as an operator; medians of five."""
    now = line.kernel.clock.now()
    for asking in line.clients:
        for query in queries(now - SPAN, now):
            took = [line.page(asking, query) for _ in range(5)]
            into.pages[f"{asking}: {query or 'none'}"] = statistics.median(took)


def pruning(full: Full, into: Samples) -> None:
    """Prune a few batches alone, then the rest while another process writes."""
    kernel = full.kernel()
    kernel.clock.shift(PRUNABLE_SECONDS)
    prune(kernel)
    steps = [timed(lambda: prune(kernel)) for _ in range(20)]
    into.pruning = {"step_p50": statistics.median(steps), **asdict(prune_all(kernel))}
    kernel.close()


def settle(server: MariaDB) -> None:
    """Wait until the server has written its dirty pages and purged old versions after loading."""
    server.execute(
        "SET GLOBAL innodb_io_capacity_max = 40000",
        "SET GLOBAL innodb_io_capacity = 20000",
        "SET GLOBAL innodb_max_dirty_pages_pct = 0",
    )
    name, left = "Innodb_buffer_pool_pages_dirty", 10**9
    deadline = time.monotonic() + 300
    while left > 500 and time.monotonic() < deadline:
        time.sleep(1)
        left = int(str(server.execute(f"SHOW GLOBAL STATUS LIKE '{name}'")[0][1]))
    server.execute(
        "SET GLOBAL innodb_max_dirty_pages_pct = 90",
        "SET GLOBAL innodb_io_capacity = 200",
        "SET GLOBAL innodb_io_capacity_max = 2000",
    )


def everything(rows: int, rounds: int) -> Samples:
    """Start the systems, load the rows, measure, end the systems."""
    samples = Samples()
    with ExitStack() as stack:
        place = Path(stack.enter_context(folder()))
        servers = stack.enter_context(Servers(Roomy()))
        receiver = Receiver()
        stack.callback(receiver.close)
        with ExitStack() as running:
            say(f"loading {rows} orders")
            kinds = (Empty, Full.of(rows))
            sides = [running.enter_context(kind(servers, place)) for kind in kinds]
            settle(servers.mariadb)
            asyncio.run(end_to_end(sides, receiver, rounds, samples))
        lines = {side.name: Stages(side.kernel()) for side in sides}
        for line in lines.values():
            with line.kernel.engine.begin() as connection:
                make_due(connection, timedelta(seconds=-1))
            stack.callback(line.kernel.close)
        settle(servers.mariadb)
        stages(lines, rounds, samples)
        say("pages")
        pages(lines["full"], samples)
        say("pruning")
        pruning(sides[1], samples)
    return samples


def table(figures: list[dict[str, Any]], pruned: dict[str, float]) -> str:
    """Return the figures as text."""
    lines = [f"{'':48}{'empty':>10}{'full':>10}{'ratio':>8}"]
    for row in figures:
        cells = "".join(f"{_number(row[side]):>10}" for side in ("empty", "full"))
        asked = f"<= {row['bound']:g} ms" if row["bound"] else f"<= {RATIO:g} x empty"
        verdict = f"{'met' if row['met'] else 'MISSED'} {asked} {row.get('filters', '')}"
        lines.append(f"{row['figure']:48}{cells}{_number(row['ratio']):>8}  {verdict}")
    return "\n".join([*lines, "pruning: " + ", ".join(f"{k} {v:.4g}" for k, v in pruned.items())])


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}" if value < 100 else f"{value:.0f}"


def main(arguments: list[str]) -> None:
    """Measure, print the table, write JSON."""
    parser = argparse.ArgumentParser(prog="./run bench growth", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="finished orders")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args(arguments)
    others = busy_with_others()
    samples = everything(given.rows, given.rounds)
    figures = samples.figures()
    print(table(figures, samples.pruning))
    result = {"at": datetime.now(UTC).isoformat(timespec="seconds"), **vars(given)}
    result |= {
        "machine": machine(),
        "cores_busy_before": others,
        "figures": figures,
        "pages": samples.pages,
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / ("growth.json" if given.rows >= 1_000_000 else "growth-small.json")
    path.write_text(json.dumps(result | {"pruning": samples.pruning}, indent=1) + "\n")
    print(f"written: {path.relative_to(RESULTS.parent.parent)}")


if __name__ == "__main__":
    main(sys.argv[1:])
