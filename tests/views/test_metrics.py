"""What /metrics says, and to whom. On both databases."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from kernel.callers import keys
from kernel.callers.keys import KeyTerms
from kernel.db.tables.service import ProcessMetrics
from kernel.insight import process_metrics as metering
from kernel.runs.execute import execute
from kernel.runtime.kernel import Kernel
from kernel.runtime.metrics import BUCKETS, RUN_SECONDS
from kernel.testing import FakeTransport, drain
from kernel.worker.maintenance.sweep import sweep
from tests.support.clients import Client, client, is_refusal, serve
from tests.support.factories import make_delivery, make_order
from tests.support.handlers.misbehaving import handlers
from tests.support.postgresql import PostgreSQL
from tests.support.prometheus import families, scrape, value
from tests.support.servers import MariaDB
from tests.support.stack import Stack
from tests.support.waiting import wait_until


def holder(kernel: Kernel, *scopes: str) -> Client:
    """A client whose key has just these scopes."""
    with kernel.write_session() as session:
        terms = KeyTerms(frozenset(scopes))
        made = keys.add(session, "somebody", kernel.clock.now(), terms=terms).api_key
    assert made is not None
    return Client(serve(kernel), made.get_secret_value())


@pytest.fixture
def zammad(kernel: Kernel) -> Client:
    return client(kernel)


@pytest.mark.parametrize("scopes", [{"metrics"}, {"operator"}])
def test_metrics_are_shown_to_keys_with_the_scope(kernel: Kernel, scopes: set[str]) -> None:
    assert "kernel_orders_due 0.0" in scrape(holder(kernel, *scopes))


def test_metrics_are_refused_to_keys_without_the_scope(kernel: Kernel) -> None:
    caller = holder(kernel, "orders:write", "orders:read")
    refused = caller.get("/metrics")
    assert is_refusal(refused, 403, "forbidden")
    assert refused.json["data"]["scope"] == "metrics"
    assert is_refusal(Client(serve(kernel), None).get("/metrics"), 401, "unauthenticated")


def test_key_for_metrics_opens_nothing_else(kernel: Kernel) -> None:
    prometheus = holder(kernel, "metrics")
    for path in ("/v1/orders", "/openapi.json", "/v1/pauses", "/v1/orders/x"):
        assert is_refusal(prometheus.get(path), 403, "forbidden"), path
    assert prometheus.submit().status_code == 403


def test_requests_are_counted_by_route_when_they_are_answered(zammad: Client) -> None:
    order_id = zammad.submitted()
    zammad.get(f"/v1/orders/{order_id}")
    zammad.get("/v1/orders/unknown")
    zammad.get("/somewhere/else")
    text = scrape(zammad)
    route = {"method": "GET", "route": "/v1/orders/<order_id>"}
    assert value(text, "kernel_http_requests_total", **route, status="202") == 1
    assert value(text, "kernel_http_requests_total", **route, status="404") == 1
    assert value(text, "kernel_http_request_seconds_count", **route) == 2
    assert value(text, "kernel_http_requests_total", route="other", status="404") == 1
    assert value(text, "kernel_orders_accepted_total", select_tag="create_project") == 1


def test_made_up_methods_make_no_new_series_when_somebody_sends_them(zammad: Client) -> None:
    for number in range(3):
        zammad.open(f"BREW{number}", "/v1/orders")
    samples = families(scrape(zammad))["kernel_http_requests"].samples
    assert {one.labels["method"] for one in samples} == {"other"}


def test_repeated_submit_is_one_accepted_order_when_it_has_a_key(zammad: Client) -> None:
    zammad.submit(key="once")
    zammad.submit(key="once")
    assert value(scrape(zammad), "kernel_orders_accepted_total") == 1


@pytest.mark.parametrize(
    ("tag", "outcome"), [("write", "success"), ("partial", "warning"), ("bug", "failed")]
)
def test_runs_are_counted_by_outcome_when_they_end(
    make_kernel: Callable[..., Kernel], database_url: str, tag: str, outcome: str
) -> None:
    kernel = make_kernel(database_url, handlers)
    make_order(kernel, select_tag=tag, args="{}")
    drain(kernel, raise_bugs=False)
    text = scrape(client(kernel))
    assert value(text, "kernel_runs_total", select_tag=tag, outcome=outcome) == 1
    assert value(text, "kernel_run_seconds_count", select_tag=tag) == 1
    assert value(text, "kernel_order_seconds_count", select_tag=tag) == 1


def test_run_that_is_to_be_repeated_is_counted_as_such_when_it_ends(
    make_kernel: Callable[..., Kernel], sqlite_url: str
) -> None:
    kernel = make_kernel(sqlite_url, handlers)
    execute(kernel, make_order(kernel, select_tag="retry_once", args="{}"))
    text = scrape(client(kernel))
    assert value(text, "kernel_runs_total", outcome="again") == 1
    assert value(text, "kernel_order_seconds_count") == 0


def test_attempts_are_counted_by_reason_when_they_end(kernel: Kernel) -> None:
    kernel.transport = FakeTransport([500, "timeout", 410, 200])
    for _ in range(4):
        make_delivery(kernel)
    drain(kernel)
    text = scrape(client(kernel))
    reasons = {
        one: value(text, "kernel_attempts_total", reason=one)
        for one in ("http_5xx", "timeout", "http_4xx", "delivered")
    }
    assert set(reasons.values()) == {1.0}, reasons
    assert value(text, "kernel_attempt_seconds_count") == 4
    assert value(text, "kernel_deliveries_finished_total", state="dead") == 1
    assert value(text, "kernel_deliveries_finished_total", state="delivered") == 1


def test_rescues_are_counted_when_a_worker_died(kernel: Kernel) -> None:
    make_order(kernel, state="running", lease_until=kernel.clock.now() - timedelta(minutes=1))
    sweep(kernel, rescue=True)
    assert value(scrape(client(kernel)), "kernel_rescues_total") == 1


def test_scrape_says_so_and_nothing_else_when_the_database_is_away(
    make_kernel: Callable[..., Kernel], main_database: MariaDB | PostgreSQL, main_rows_url: str
) -> None:
    zammad = client(make_kernel(main_rows_url))
    scrape(zammad)
    main_database.kill()
    try:
        text = scrape(zammad)
    finally:
        main_database.start()
    samples = [one.name for family in families(text).values() for one in family.samples]
    assert samples == ["kernel_database_up"]


def test_scrape_fails_when_the_database_answers_that_a_table_is_missing(
    make_kernel: Callable[..., Kernel], sqlite_url: str
) -> None:
    kernel = make_kernel(sqlite_url)
    zammad = client(kernel)
    with kernel.write() as connection:
        ProcessMetrics.metadata.tables[ProcessMetrics.__tablename__].drop(connection)
    answer = zammad.get("/metrics")
    assert answer.status_code == 500
    assert "kernel_database_up" not in answer.text


def test_histogram_is_cumulative_and_ends_with_its_count_when_shown(kernel: Kernel) -> None:
    for seconds in (0.005, 0.0051, 0.3, 1000.0):
        kernel.metrics.observe(RUN_SECONDS, seconds, "tag")
    samples = families(scrape(client(kernel)))["kernel_run_seconds"].samples
    buckets = {one.labels["le"]: one.value for one in samples if one.name.endswith("_bucket")}
    assert [buckets[le] for le in ("0.005", "0.01", "0.5", "300.0", "+Inf")] == [1, 2, 3, 3, 4]
    assert len(buckets) == len(BUCKETS) + 1


def test_openmetrics_is_spoken_when_the_scraper_asks_for_it(zammad: Client) -> None:
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    answer = zammad.get("/metrics", headers=accept)
    assert answer.content_type.startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


@pytest.mark.slow
@pytest.mark.parametrize("stack", [{"api_processes": 2, "worker_processes": 2}], indirect=True)
def test_numbers_add_up_when_several_processes_did_the_work(stack: Stack) -> None:
    stack.api()
    stack.worker()
    ids = [stack.submit("create_project", projname=f"p{n}") for n in range(40)]
    for order_id in ids:
        stack.callback(order_id)

    def is_complete() -> str:
        text = stack.get("/metrics").text
        done = value(text, "kernel_attempts_total", reason="delivered") >= 40
        return text if done and value(text, "kernel_worker_processes") == 2 else ""

    text = wait_until(is_complete, 30)
    assert value(text, "kernel_runs_total", outcome="success") == 40
    assert value(text, "kernel_orders_accepted_total") == 40
    assert value(text, "kernel_attempts_total") == 40
    wait_until(lambda: _submits(stack) == 40, 15)


def _submits(stack: Stack) -> float:
    """How many 202 both API processes together say they gave."""
    labels = {"method": "POST", "route": "/v1/orders", "status": "202"}
    return value(stack.get("/metrics").text, "kernel_http_requests_total", **labels)


def test_counts_are_written_when_processes_are_told_to_end(stack: Stack) -> None:
    api, worker = stack.api(), stack.worker()
    stack.callback(stack.submit("create_project", projname="p"))
    worker.stop()
    api.stop()
    total = metering.totals(stack.kernel)
    assert total["kernel_http_requests_total", ("POST", "/v1/orders", "202")] == [1.0]
    assert total["kernel_attempts_total", ("delivered",)] == [1.0]
