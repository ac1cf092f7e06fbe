"""The plan of a run: its rounds, the figures taken from them, and their targets."""

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bench.load import Load, Round

Figures = dict[str, dict[str, float]]
# kernel with servers of its own, as far as load goes.
OURS = ("ours", "postgresql")


@dataclass(frozen=True, slots=True)
class Plan:
    """The number of rounds, and of orders per round; ``original`` gets a share of the orders.

    ``warm_up``: a system was idle while the others were measured, and is cold. Rounds at a slow
    rate have no warm-up, nor do a peer's rounds with slow receivers: its process waits anyway.
    """

    rounds: int = 5
    saturation: int = 600
    slow_rate: tuple[float, int] = (10.0, 60)
    quick_rate: tuple[float, int] = (50.0, 150)
    waiting: int = 600
    warm_up: int = 300

    def loads(self, system: str) -> dict[str, Load]:
        """Return the loads of one system, by kind of round."""
        share = 4 if system == "original" else 1
        loads = {"saturated": Load(self.saturation // share, warm_up=self.warm_up // share)}
        if system != "embedded":
            loads["10/s"] = Load(self.slow_rate[1], self.slow_rate[0])
            loads["50/s"] = Load(self.quick_rate[1], self.quick_rate[0])
            # A peer's process waits for its receiver: four orders a second, warm or cold.
            orders, first = (self.waiting, self.warm_up) if system in OURS else (12, 0)
            loads["waiting"] = Load(orders, delay_ms=500, warm_up=first)
        return loads


QUICK = Plan(
    rounds=3, saturation=240, slow_rate=(10.0, 20), quick_rate=(50.0, 75), waiting=200, warm_up=60
)


def percentile(values: Iterable[float], share: float) -> float:
    """Return the value that a ``share`` (0 to 1) of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


# Name of the figure → the rounds it is taken from, and how.
FIGURES: dict[str, tuple[str, Callable[[Round], float]]] = {
    "CPU ms per order, saturated": ("saturated", lambda r: r.cpu_ms),
    "CPU ms per order at 10/s": ("10/s", lambda r: r.cpu_ms),
    "orders/s": ("saturated", lambda r: r.orders / r.seconds),
    "orders/s, receivers take 500 ms": ("waiting", lambda r: r.orders / r.seconds),
    "submit p50 ms": ("saturated", lambda r: 1000 * percentile(r.submits, 0.50)),
    "submit p99 ms": ("saturated", lambda r: 1000 * percentile(r.submits, 0.99)),
    "202 to callback p50 ms at 10/s": ("10/s", lambda r: 1000 * percentile(r.callbacks, 0.50)),
    "202 to callback p95 ms at 10/s": ("10/s", lambda r: 1000 * percentile(r.callbacks, 0.95)),
    "202 to callback p50 ms at 50/s": ("50/s", lambda r: 1000 * percentile(r.callbacks, 0.50)),
    "202 to callback p95 ms at 50/s": ("50/s", lambda r: 1000 * percentile(r.callbacks, 0.95)),
    "peak memory MiB": ("saturated", lambda r: r.memory_mib),
    "SQL statements per order": ("saturated", lambda r: r.counts["statements"]),
    "commits per order": ("saturated", lambda r: r.counts["commit"]),
    "Redis commands per order": ("saturated", lambda r: r.counts["redis"]),
}
# Not on MariaDB and Redis alone: the servers counted are not its own.
NOT_COUNTED = ("embedded", "postgresql")
SERVERS = ("SQL statements per order", "commits per order", "Redis commands per order")


class Rounds:
    """All rounds of a run, by system and kind."""

    def __init__(self) -> None:
        self._rounds: dict[tuple[str, str], list[Round]] = defaultdict(list)
        self._floor: list[dict[str, float]] = []

    def add(self, system: str, kind: str, done: Round) -> None:
        """Keep a round."""
        self._rounds[system, kind].append(done)

    def add_floor(self, parts: dict[str, float]) -> None:
        """Keep a round of the floor."""
        self._floor.append(parts)

    def figures(self, systems: Iterable[str]) -> Figures:
        """Return each system's figures: medians of its rounds, and its peak memory."""
        return {name: self._figures(name) for name in systems}

    def floor(self) -> dict[str, float]:
        """Return the medians of the floor's parts."""
        return {
            name: statistics.median(one[name] for one in self._floor) for name in self._floor[0]
        }

    def _figures(self, system: str) -> dict[str, float]:
        found = {}
        for figure, (kind, of) in FIGURES.items():
            rounds = self._rounds.get((system, kind))
            if rounds and not (system in NOT_COUNTED and figure in SERVERS):
                values = [of(one) for one in rounds]
                found[figure] = max(values) if "peak" in figure else statistics.median(values)
        return found


@dataclass(frozen=True, slots=True)
class Target:
    """A bound for a ratio of two medians, or for a figure itself when ``against`` is empty."""

    figure: str
    against: str
    bound: float
    at_most: bool
    system: str = "ours"

    def judge(self, figures: Figures) -> tuple[float, bool]:
        """Return the ratio (or the figure), and whether it is within its bound."""
        value = figures[self.system][self.figure]
        if self.against:
            value /= figures[self.against][self.figure]
        return value, value <= self.bound if self.at_most else value >= self.bound

    def __str__(self) -> str:
        word = "<=" if self.at_most else ">="
        unit = f" x {self.against}" if self.against else ""
        return f"{self.system}: {self.figure} {word} {self.bound:g}{unit}"


CPU = "CPU ms per order, saturated"
TARGETS = (
    Target(CPU, "tuned", 1.1, at_most=True),
    Target(CPU, "original", 0.18, at_most=True),
    Target(CPU, "floor", 1.5, at_most=True),
    Target("CPU ms per order at 10/s", "tuned", 1.4, at_most=True),
    Target("orders/s", "original", 5.0, at_most=False),
    Target("orders/s", "tuned", 0.9, at_most=False),
    Target("orders/s, receivers take 500 ms", "original", 60.0, at_most=False),
    Target("submit p99 ms", "tuned", 1.0, at_most=True),
    Target("202 to callback p95 ms at 50/s", "", 60.0, at_most=True),
    Target("orders/s", "ours", 0.7, at_most=False, system="embedded"),
)
