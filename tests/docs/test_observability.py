"""The page, the alert rules and the dashboard name what is there, and nothing else."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from kernel.runtime.kernel import Kernel
from kernel.runtime.metrics import BUCKETS, COUNTED, Counter, Histogram
from kernel.testing import drain
from kernel.views.operating.metrics import LABELLED
from tests.docs.test_docs import anchors, blocks, rows
from tests.support.clients import client
from tests.support.prometheus import families, scrape

ROOT = Path(__file__).resolve().parents[2]
PAGE = "docs/observability.md"
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "dashboard.json"
METRIC = re.compile(r"\bkernel_[a-z0-9_]+")
LABELS = re.compile(r"(kernel_[a-z0-9_]+)\{([^}]*)\}")
BUILT_IN = {"le"}


@pytest.fixture
def scraped(make_kernel: Callable[..., Kernel], sqlite_url: str) -> str:
    """What /metrics says when an order went all its way."""
    kernel = make_kernel(sqlite_url)
    zammad = client(kernel)
    zammad.submitted()
    drain(kernel)
    return scrape(zammad)


def rules() -> list[dict[str, Any]]:
    found = yaml.safe_load(ALERTS.read_text())["groups"]
    return [rule for group in found for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def expressions() -> list[str]:
    """Every question that rules and panels ask."""
    asked = [target["expr"] for panel in panels() for target in panel["targets"]]
    return [rule["expr"] for rule in rules()] + asked


def samples(text: str) -> set[str]:
    return {one.name for family in families(text).values() for one in family.samples}


def labels_of(name: str) -> set[str]:
    """The labels that a sample of this name can have."""
    base = re.sub(r"_(bucket|count|sum)$", "", name)
    counted = {label for what in COUNTED if what.name in (name, base) for label in what.labels}
    return counted | {LABELLED[name][0] for _ in (name,) if name in LABELLED}


def test_page_lists_every_metric_with_type_and_labels_as_scraped(scraped: str) -> None:
    told = {row[0]: row[1] for row in rows(PAGE) if row[0].startswith("kernel_")}
    found = {
        family.name + "_total" * (family.type == "counter"): family.type
        for family in families(scraped).values()
    }
    assert told == found


def test_page_lists_the_labels_of_what_is_counted() -> None:
    told = {row[0]: row[2] for row in rows(PAGE) if row[0].startswith("kernel_")}
    for what in COUNTED:
        assert told[what.name].replace("`", "") == (", ".join(what.labels) or "none"), what.name


def test_page_lists_the_buckets_as_they_are() -> None:
    (line,) = re.findall(r"^Buckets, in seconds: (.*)\.$", (ROOT / PAGE).read_text(), re.M)
    assert tuple(map(float, line.split())) == BUCKETS


def test_names_end_as_prometheus_wants_them_to() -> None:
    for what in COUNTED:
        end = {Counter: "_total", Histogram: "_seconds"}[type(what)]
        assert what.name.endswith(end)


def test_rules_and_panels_ask_for_metrics_that_are_there(scraped: str) -> None:
    asked = {name for one in expressions() for name in METRIC.findall(one)}
    assert asked - samples(scraped) == set()


def test_rules_and_panels_choose_by_labels_that_are_there() -> None:
    for name, chosen in (found for one in expressions() for found in LABELS.findall(one)):
        used = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", chosen))
        assert used <= labels_of(name) | BUILT_IN, name


def test_panels_group_by_labels_that_are_there() -> None:
    for one in expressions():
        grouped = {
            label.strip()
            for found in re.findall(r"by \(([^)]*)\)", one)
            for label in found.split(",")
        }
        (name, *_) = METRIC.findall(one)
        assert grouped <= labels_of(name) | BUILT_IN, one


def test_parentheses_of_every_expression_are_closed() -> None:
    for one in expressions():
        for opening, closing in ("()", "[]", "{}"):
            assert one.count(opening) == one.count(closing), one


def test_every_rule_says_what_it_is_and_what_to_do() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"]
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert anchor in anchors(ROOT / page), rule["alert"]


def test_rules_have_names_of_their_own_when_listed() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names)) > 5


def test_panels_of_the_dashboard_do_not_overlap_when_shown() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        cells = set(_cells(**panel["gridPos"]))
        assert not cells & taken, panel["title"]
        taken |= cells
    assert max(x for x, _ in taken) < 24


def _cells(x: int, y: int, w: int, h: int) -> Iterator[tuple[int, int]]:
    return ((x + across, y + down) for across in range(w) for down in range(h))


def test_examples_of_the_page_are_json_and_yaml() -> None:
    page = ROOT / PAGE
    assert [json.loads(code) for code in blocks(page, "json")]
    (config,) = blocks(page, "yaml")
    assert yaml.safe_load(config)["scrape_configs"][0]["static_configs"]
