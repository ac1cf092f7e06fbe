"""The counters and histograms of one process, in memory.

`kernel.insight.process_metrics` writes them to a row and adds up the rows of all processes.
Counting takes a lock and a dictionary: about a microsecond, and no system call.
"""

import os
import threading
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field

# Upper bounds in seconds. Never change them: the rows of older processes count by these.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


@dataclass(frozen=True, slots=True)
class Counter:
    """A number that only grows."""

    name: str
    meaning: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Histogram:
    """Durations in seconds, by `BUCKETS`."""

    name: str
    meaning: str
    labels: tuple[str, ...] = ()


REQUESTS = Counter(
    "kernel_http_requests_total",
    "Requests answered, by route template.",
    ("method", "route", "status"),
)
REQUEST_SECONDS = Histogram(
    "kernel_http_request_seconds", "Time to answer a request.", ("method", "route")
)
ACCEPTED = Counter(
    "kernel_orders_accepted_total", "Orders accepted; repeats are not counted.", ("select_tag",)
)
RUNS = Counter(
    "kernel_runs_total",
    "Runs that ended: success, warning, failed, cancelled, again (handed back) or lost.",
    ("select_tag", "outcome"),
)
RUN_SECONDS = Histogram("kernel_run_seconds", "Time from claim to end of a run.", ("select_tag",))
ORDER_SECONDS = Histogram(
    "kernel_order_seconds", "Time from acceptance to outcome of an order.", ("select_tag",)
)
RESCUED = Counter("kernel_rescues_total", "Orders taken from workers that had died.")
ATTEMPTS_MADE = Counter(
    "kernel_attempts_total",
    "Callback attempts: delivered, or why not.",
    ("reason",),
)
ATTEMPT_SECONDS = Histogram("kernel_attempt_seconds", "Time of a callback attempt.")
DELIVERIES_OVER = Counter(
    "kernel_deliveries_finished_total", "Callbacks that are over: delivered or dead.", ("state",)
)
FOREIGN_HINTS = Counter(
    "kernel_foreign_hints_total",
    "Hints in the queue that are of no order of this database, in samples of every 10 seconds.",
)
COUNTED: tuple[Counter | Histogram, ...] = (
    *(REQUESTS, REQUEST_SECONDS, ACCEPTED, RUNS, RUN_SECONDS, ORDER_SECONDS),
    *(RESCUED, ATTEMPTS_MADE, ATTEMPT_SECONDS, DELIVERIES_OVER, FOREIGN_HINTS),
)

# By name and label values: a counter's number, or a histogram's sum and the counts of its buckets.
Series = dict[tuple[str, tuple[str, ...]], list[float]]


@dataclass(slots=True)
class Ledger:
    """The counts that `kernel.insight.process_metrics` has written for a process, and their row."""

    row: str = ""
    written: Series = field(default_factory=dict)
    # Counts of an earlier row that was folded into ``past``: the current row leaves them out.
    folded: Series = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Metrics:
    """Counts for one process. A forked child starts at zero: its parent writes its own counts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._series: Series = {}
        self.ledger = Ledger()

    def count(self, what: Counter, *labels: str, amount: float = 1.0) -> None:
        """Add ``amount`` to a counter; ``labels`` are the values of ``what.labels``, in order."""
        with self._lock:
            self._at((what.name, labels), 1)[0] += amount

    def observe(self, what: Histogram, seconds: float, *labels: str) -> None:
        """Add a duration to a histogram.

        One that is less than nothing, of a clock that was set back, is none: a sum never falls.
        """
        lasted = max(0.0, seconds)
        with self._lock:
            found = self._at((what.name, labels), len(BUCKETS) + 2)
            found[0] += lasted
            found[1 + bisect_left(BUCKETS, lasted)] += 1

    def snapshot(self) -> Series:
        """Return a copy of everything counted so far in this process."""
        with self._lock:
            self._begin_again_after_fork()
            return {key: list(values) for key, values in self._series.items()}

    def _at(self, key: tuple[str, tuple[str, ...]], size: int) -> list[float]:
        self._begin_again_after_fork()
        found = self._series.get(key)
        if found is None:
            found = self._series[key] = [0.0] * size
        return found

    def _begin_again_after_fork(self) -> None:
        if self._pid != os.getpid():
            self._pid, self._series, self.ledger = os.getpid(), {}, Ledger()


def add(total: Series, more: Mapping[tuple[str, tuple[str, ...]], list[float]]) -> None:
    """Add ``more`` to ``total``, except histograms that another release counted by other
    buckets.
    """
    for key, values in more.items():
        found = total.setdefault(key, [0.0] * len(values))
        if len(found) == len(values):
            found[:] = [one + other for one, other in zip(found, values, strict=True)]


def since(now: Series, before: Series) -> Series:
    """Return the difference of two snapshots of one process."""
    nothing = [0.0] * (len(BUCKETS) + 2)
    return {
        key: [one - other for one, other in zip(values, before.get(key, nothing), strict=False)]
        for key, values in now.items()
    }
