"""GET /metrics: the counts of all processes and what waits now, as Prometheus reads them."""

import logging
from collections.abc import Iterable, Iterator
from itertools import accumulate

from flask import Blueprint, Response, request
from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from kernel.callers.identity import Scope
from kernel.db.errors import DATABASE_ERRORS, driver_error, is_passing
from kernel.insight import process_metrics as metering
from kernel.insight.backlog import Backlog, backlog
from kernel.insight.readiness import workers_alive
from kernel.runtime.hints import Hints
from kernel.runtime.kernel import Kernel
from kernel.runtime.metrics import BUCKETS, COUNTED, Counter, Histogram, Series
from kernel.runtime.single_flight import SingleFlightCache
from kernel.views.http.credentials import identity
from kernel.views.http.errors import HEADERS

log = logging.getLogger(__name__)

CACHE_SECONDS = 5.0
DATABASE_UP = "kernel_database_up"
GAUGES = {
    DATABASE_UP: "Whether the database answers; without it there are no other numbers.",
    "kernel_worker_processes": "Processes that run handlers, seen alive.",
    "kernel_broker_up": "Whether the broker answers.",
    "kernel_hints_waiting": "Messages in the broker's queue; each hints one order, or up to ten.",
    "kernel_orders_due": "Orders due that no worker has claimed.",
    "kernel_orders_due_oldest_seconds": "How long the oldest of them has been due.",
    "kernel_orders_running": "Orders a worker has claimed.",
    "kernel_deliveries_due": "Callbacks due that no dispatcher has claimed.",
    "kernel_deliveries_due_oldest_seconds": "How long the oldest of them has been due.",
    "kernel_deliveries_pending": "Callbacks owed, those waiting for their next attempt included.",
    "kernel_deliveries_held": "Callbacks held back because a person paused them.",
    "kernel_deliveries_dead": "Callbacks given up in the last 24 hours, and not sent again.",
}


class Gauges:
    """The gauges of one process: read from the rows and the broker at most every five seconds."""

    def __init__(self, kernel: Kernel, hints: Hints) -> None:
        self._kernel = kernel
        self._hints = hints
        self._read = SingleFlightCache[dict[str, float]](CACHE_SECONDS)

    def read(self) -> dict[str, float]:
        """Return the gauges by name. Raises the database's errors."""
        return self._read.get(self._ask)

    def _ask(self) -> dict[str, float]:
        waiting: Backlog = backlog(self._kernel)
        hints = self._hints.backlog()
        found: dict[str, float] = {
            "kernel_worker_processes": workers_alive(self._kernel),
            "kernel_broker_up": hints is not None,
            "kernel_hints_waiting": hints or 0,
            "kernel_orders_due": waiting.orders_due,
            "kernel_orders_due_oldest_seconds": waiting.orders_due_oldest,
            "kernel_orders_running": waiting.orders_running,
            "kernel_deliveries_due": waiting.deliveries_due,
            "kernel_deliveries_due_oldest_seconds": waiting.deliveries_due_oldest,
            "kernel_deliveries_pending": waiting.deliveries_pending,
            "kernel_deliveries_held": waiting.deliveries_held,
            "kernel_deliveries_dead": waiting.deliveries_dead,
        }
        return found


class Scrape(Collector):
    """All counts and gauges of one moment, as metrics of the library."""

    def __init__(self, series: Series, gauges: dict[str, float]) -> None:
        self._series = series
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        """Yield every metric, those without a sample included."""
        for name, value in self._gauges.items():
            yield GaugeMetricFamily(name, GAUGES[name], value=value)
        for what in COUNTED:
            yield _family(what, self._series)


def _family(what: Counter | Histogram, series: Series) -> Metric:
    samples = sorted((key[1], values) for key, values in series.items() if key[0] == what.name)
    if isinstance(what, Counter):
        counter = CounterMetricFamily(what.name, what.meaning, labels=what.labels)
        for labels, values in samples or _zero(what, 1):
            counter.add_metric(labels, values[0])
        return counter
    histogram = HistogramMetricFamily(what.name, what.meaning, labels=what.labels)
    for labels, values in samples or _zero(what, len(BUCKETS) + 2):
        histogram.add_metric(labels, _buckets(values[1:]), values[0])
    return histogram


def _zero(what: Counter | Histogram, size: int) -> list[tuple[tuple[str, ...], list[float]]]:
    """What has no labels is there from the beginning: a first event is an increase, too."""
    return [] if what.labels else [((), [0.0] * size)]


def _buckets(counts: Iterable[float]) -> list[tuple[str, float]]:
    bounds = [*map(floatToGoString, BUCKETS), "+Inf"]
    return list(zip(bounds, accumulate(counts), strict=True))


def metrics_blueprint(kernel: Kernel, hints: Hints) -> Blueprint:
    """Build /metrics, for keys that may read."""
    blueprint = Blueprint("metrics", __name__)
    gauges = Gauges(kernel, hints)

    @blueprint.get("/metrics")
    def metrics() -> Response:
        registry = CollectorRegistry(auto_describe=False)
        try:
            identity(kernel, Scope.READ)
            registry.register(_scrape(kernel, gauges))
        except DATABASE_ERRORS as error:
            if not is_passing(error):
                raise
            # The key cannot be looked up now. /readyz tells the same without credentials.
            log.warning("metrics without the database: %s", driver_error(error))
            registry.register(Scrape({}, {DATABASE_UP: 0.0}))
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return Response(encode(registry), 200, HEADERS, content_type=content_type)

    return blueprint


def _scrape(kernel: Kernel, gauges: Gauges) -> Scrape:
    """Read everything. Counts are never from a cache: one that went back looks like a restart."""
    metering.write(kernel)
    series = metering.totals(kernel)
    return Scrape(series, {DATABASE_UP: 1.0, **gauges.read()})
