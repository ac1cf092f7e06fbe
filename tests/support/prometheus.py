"""Reads /metrics as Prometheus does."""

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.support.clients import Client


def families(text: str) -> dict[str, Metric]:
    """The metrics of a scrape, read as Prometheus reads them."""
    return {one.name: one for one in text_string_to_metric_families(text)}


def value(text: str, name: str, **labels: str) -> float:
    """The sum of the samples of this name with these labels; 0 when there is none."""
    samples = [one for family in families(text).values() for one in family.samples]
    return sum(
        one.value for one in samples if one.name == name and labels.items() <= one.labels.items()
    )


def scrape(zammad: Client) -> str:
    """GET /metrics; return the text."""
    answer = zammad.get("/metrics")
    assert answer.status_code == 200, answer.text
    return answer.text
