"""The plan of `./run bench peers`: its rounds, whose turn it is, its figures and their targets."""

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bench.load import Load, Round
from bench.plan import percentile

Figures = dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True)
class Plan:
    """The number of rounds, and of orders in each kind of load.

    ``killed``: orders under which a worker is killed; ``refused``: orders to each of 64 receivers
    that answer with 503, beside ``beside`` orders at 50/s to others.
    """

    rounds: int = 3
    saturation: int = 1000
    warm_up: int = 300
    paced: int = 150
    waiting: int = 300
    killed: int = 300
    refused: int = 5
    beside: int = 300
    idle_seconds: float = 10.0

    def loads(self) -> dict[str, Load]:
        """Return the loads of one round, by kind, in their order."""
        return {
            "warm-up": Load(self.warm_up),
            "saturated": Load(self.saturation),
            "50/s": Load(self.paced, rate=50.0),
            "waiting": Load(self.waiting, delay_ms=500),
        }


QUICK = Plan(
    rounds=1, saturation=200, warm_up=60, paced=50, waiting=100, killed=60, refused=1, beside=50
)


@dataclass(frozen=True, slots=True)
class Sample:
    """A round of load, with what the shared servers took for it, in CPU ms per order."""

    round: Round
    servers_ms: float
    rss_mib: float


def turns(names: Sequence[str], rounds: int) -> Iterator[tuple[int, str]]:
    """Return who is measured when: in each round all of them, another one first."""
    for number in range(rounds):
        first = number % len(names) if names else 0
        for name in (*names[first:], *names[:first]):
            yield number, name


# Name of the figure → the kind of load it is taken from, and how.
FIGURES: dict[str, tuple[str, Callable[[Sample], float]]] = {
    "CPU ms per order": ("saturated", lambda s: s.round.cpu_ms),
    "of databases and broker, CPU ms": ("saturated", lambda s: s.servers_ms),
    "orders/s": ("saturated", lambda s: s.round.orders / s.round.seconds),
    "submits/s": ("saturated", lambda s: s.round.orders / s.round.submitting),
    "submit p50 ms": ("saturated", lambda s: 1000 * percentile(s.round.submits, 0.50)),
    "submit p99 ms": ("saturated", lambda s: 1000 * percentile(s.round.submits, 0.99)),
    "CPU ms per order at 50/s": ("50/s", lambda s: s.round.cpu_ms),
    "202 to callback p50 ms at 50/s": (
        "50/s",
        lambda s: 1000 * percentile(s.round.callbacks, 0.50),
    ),
    "202 to callback p95 ms at 50/s": (
        "50/s",
        lambda s: 1000 * percentile(s.round.callbacks, 0.95),
    ),
    "orders/s, receivers of 500 ms": ("waiting", lambda s: s.round.orders / s.round.seconds),
    "memory MiB, PSS": ("saturated", lambda s: s.round.memory_mib),
    "memory MiB, RSS": ("saturated", lambda s: s.rss_mib),
}
# What `bench.against.faults` measures, once for each system.
FAULTS = (
    "idle, % of a core",
    "killed in mid-callback: called back after s",
    "killed in mid-handler: called back after s",
    "killed under load: last callback after s",
    "lost",
    "callbacks twice",
    "rows twice",
    "beside 64 that answer 503: p50 ms at 50/s",
    "beside 64 that answer 503: p95 ms at 50/s",
)


class Results:
    """All rounds of a run, by system and kind, and what was measured once.

    ``broken``: what could not be measured, because a system did not do its part.
    """

    def __init__(self) -> None:
        self.broken: list[str] = []
        self._samples: dict[tuple[str, str], list[Sample]] = defaultdict(list)
        self._once: Figures = defaultdict(dict)

    def add(self, system: str, kind: str, sample: Sample) -> None:
        """Keep a round."""
        self._samples[system, kind].append(sample)

    def add_once(self, system: str, figures: dict[str, float]) -> None:
        """Keep figures that are measured once."""
        self._once[system] |= figures

    def figures(self, system: str) -> dict[str, float]:
        """Return the medians of the system's rounds, and its figures that were measured once."""
        found = {name: statistics.median(values) for name, values in self._values(system)}
        return found | self._once.get(system, {})

    def spread(self, system: str) -> dict[str, tuple[float, float]]:
        """Return the least and the greatest value of each figure over the rounds."""
        return {name: (min(values), max(values)) for name, values in self._values(system)}

    def _values(self, system: str) -> Iterator[tuple[str, list[float]]]:
        for figure, (kind, of) in FIGURES.items():
            if samples := self._samples.get((system, kind)):
                yield figure, [of(one) for one in samples]


@dataclass(frozen=True, slots=True)
class Target:
    """A bound for a figure of kernel's, as a share of the best of the other engines.

    ``best``: which of theirs is the best. Without, the bound holds for the figure itself.
    """

    figure: str
    bound: float
    best: Callable[[list[float]], float] | None = None
    at_most: bool = True

    def judge(self, system: str, figures: Figures, others: Sequence[str]) -> tuple[float, bool]:
        """Return the ratio (or the figure) and whether it is within its bound.

        Raises LookupError when the system or every other one lacks the figure.
        """
        value = figures[system][self.figure]
        if self.best:
            theirs = [
                figures[one][self.figure] for one in others if self.figure in figures.get(one, {})
            ]
            if not theirs:
                raise LookupError(self.figure)
            value /= self.best(theirs)
        return value, value <= self.bound if self.at_most else value >= self.bound

    def __str__(self) -> str:
        unit = " x the best of them" if self.best else ""
        return f"{self.figure} {'<=' if self.at_most else '>='} {self.bound:g}{unit}"


TARGETS = (
    Target("orders/s", 1.2, max, at_most=False),
    Target("CPU ms per order", 1.0, min),
    Target("submit p99 ms", 1.0, min),
    Target("orders/s, receivers of 500 ms", 1.5, max, at_most=False),
    Target("killed in mid-callback: called back after s", 2.0),
    Target("killed in mid-handler: called back after s", 2.0),
)
