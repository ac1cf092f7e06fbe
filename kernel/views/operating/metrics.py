"""GET /metrics: the counts of all processes and what waits now, as Prometheus reads them."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
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
from kernel.insight.conditions.facts import Facts
from kernel.insight.conditions.judge import judge
from kernel.insight.conditions.look import look
from kernel.insight.conditions.rules import RULES
from kernel.insight.limits import standings
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
    "kernel_hints_waiting": "Messages in the broker's queue; each hints one order, or many.",
    "kernel_orders_due": "Orders due that no worker has claimed.",
    "kernel_orders_due_oldest_seconds": "How long the oldest of them has been due.",
    "kernel_orders_running": "Orders a worker has claimed.",
    "kernel_orders_waiting": "Orders that wait for an event, children, a turn, a limit or a pause.",
    "kernel_deliveries_due": "Callbacks due that no dispatcher has claimed.",
    "kernel_deliveries_due_oldest_seconds": "How long the oldest of them has been due.",
    "kernel_deliveries_pending": "Callbacks owed, those waiting for their next attempt included.",
    "kernel_deliveries_held": "Callbacks held back because a person paused them.",
    "kernel_deliveries_dead": "Callbacks given up lately (24 h), neither dropped nor sent again.",
}

CONDITIONS = "kernel_conditions"
# For each tag with a limit; tags are those of the code.
LIMIT_GAUGES = {
    "kernel_limit_slots_in_use": "Slots of a tag's limit that orders hold.",
    "kernel_limit_orders_waiting": "Orders that wait for a tag's limit.",
}
# By the label of the gauges that have one; the other gauges have none.
LABELLED = {
    **{name: ("select_tag", meaning) for name, meaning in LIMIT_GAUGES.items()},
    CONDITIONS: ("condition", "What is wrong, as the overview lists it: how many subjects each."),
}


class Gauges:
    """The gauges of one process: read from the rows and the broker at most every five seconds.

    Those with a label have its value behind their name, as a pair.
    """

    def __init__(self, kernel: Kernel, hints: Hints) -> None:
        self._kernel = kernel
        self._hints = hints
        self._read = SingleFlightCache[dict[str | tuple[str, str], float]](CACHE_SECONDS)

    def read(self) -> dict[str | tuple[str, str], float]:
        """Return the gauges by name. Raises the database's errors."""
        return self._read.get(self._ask)

    def _ask(self) -> dict[str | tuple[str, str], float]:
        waiting: Backlog = backlog(self._kernel)
        hints = self._hints.backlog()
        facts = look(self._kernel, lambda: hints, lambda: waiting)
        found = gauges_of(facts, waiting) | {"kernel_hints_waiting": float(hints or 0)}
        in_use, queued = LIMIT_GAUGES
        for one in standings(self._kernel):
            found |= {(in_use, one.tag): one.in_use, (queued, one.tag): one.waiting}
        return found


def gauges_of(facts: Facts, waiting: Backlog) -> dict[str | tuple[str, str], float]:
    """Return the gauges that the rules look at, and how many subjects each rule holds of."""
    wrong = judge(facts)
    counted: dict[str | tuple[str, str], float] = {
        (CONDITIONS, rule.key): sum(one.rule is rule for one in wrong) for rule in RULES
    }
    return {
        **counted,
        "kernel_worker_processes": facts.workers or 0,
        "kernel_broker_up": bool(facts.broker),
        "kernel_orders_due": waiting.orders_due,
        "kernel_orders_due_oldest_seconds": waiting.orders_due_oldest,
        "kernel_orders_running": waiting.orders_running,
        "kernel_orders_waiting": waiting.orders_waiting,
        "kernel_deliveries_due": waiting.deliveries_due,
        "kernel_deliveries_due_oldest_seconds": waiting.deliveries_due_oldest,
        "kernel_deliveries_pending": waiting.deliveries_pending,
        "kernel_deliveries_held": waiting.deliveries_held,
        "kernel_deliveries_dead": waiting.deliveries_dead,
    }


class Scrape(Collector):
    """All counts and gauges of one moment, as metrics of the library.

    ``series``: None where the counts cannot be read. None is shown then: one that went back to 0
    would look like a restart, and what it was before like an increase.
    """

    def __init__(
        self, series: Series | None, gauges: Mapping[str | tuple[str, str], float]
    ) -> None:
        self._series = series
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        """Yield every metric that is known, those without a sample included."""
        for name, meaning in GAUGES.items():
            if name in self._gauges:
                yield GaugeMetricFamily(name, meaning, value=self._gauges[name])
        if self._series is None:
            return
        for name, (label, meaning) in LABELLED.items():
            family = GaugeMetricFamily(name, meaning, labels=[label])
            for key, value in self._gauges.items():
                if key[0] == name:
                    family.add_metric([key[1]], value)
            yield family
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
    """Build /metrics, for keys with the scope for it."""
    blueprint = Blueprint("metrics", __name__)
    gauges = Gauges(kernel, hints)

    @blueprint.get("/metrics")
    def metrics() -> Response:
        registry = CollectorRegistry(auto_describe=False)
        try:
            identity(kernel, Scope.METRICS)
            registry.register(_scrape(kernel, gauges))
        except DATABASE_ERRORS as error:
            if not is_passing(error):
                raise
            # The key cannot be looked up now. /readyz tells the same without credentials.
            log.warning("metrics without the database: %s", driver_error(error))
            registry.register(Scrape(None, {DATABASE_UP: 0.0}))
        encode, content_type = _encoder(request.headers.get("Accept", ""))
        return Response(encode(registry), 200, HEADERS, content_type=content_type)

    return blueprint


def _encoder(accept: str) -> tuple[Callable[[Collector], bytes], str]:
    """Choose the format that a scraper asks for; the plain one where its version is no number."""
    try:
        return choose_encoder(accept)
    except (TypeError, ValueError):
        return choose_encoder("")


def _scrape(kernel: Kernel, gauges: Gauges) -> Scrape:
    """Read everything. Counts are never from a cache: one that went back looks like a restart."""
    metering.write(kernel)
    series = metering.totals(kernel)
    return Scrape(series, {DATABASE_UP: 1.0, **gauges.read()})
