"""Alert rules of Prometheus say what the rules say: names, limits, durations and runbooks."""

import operator
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from kernel.delivery.attempt import INTERRUPTED
from kernel.insight.backlog import Backlog
from kernel.insight.conditions.facts import Facts
from kernel.insight.conditions.judge import judge
from kernel.insight.conditions.rules import RULES
from kernel.transport.backoff import NOT_ADMITTED
from kernel.views.operating.metrics import DATABASE_UP, gauges_of
from tests.docs.test_docs import anchors
from tests.insight.conditions.test_judge import IDLE, TABLE

ROOT = Path(__file__).resolve().parents[3]
# Alerts of what only a series of scrapes can tell: rates, and that nothing answers.
OVER_TIME = {
    "KernelNotScraped",
    "KernelRequestsFail",
    "KernelWorkerDiesAgainAndAgain",
    "KernelCallbacksFail",
}
ASKED = re.compile(r'(?:max|min)\((\w+)(?:\{\w+="(\w+)"\})?\) (==|>) (\d+)')
HOLDS: dict[str, Callable[[float, float], bool]] = {"==": operator.eq, ">": operator.gt}
UNITS = {"s": 1, "m": 60, "h": 3600}


def alerts() -> dict[str, dict[str, Any]]:
    found = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())["groups"]
    return {one["alert"]: one for group in found for one in group["rules"]}


def test_each_rule_with_an_alert_is_the_alert() -> None:
    found = alerts()
    for rule in RULES:
        if rule.alert is None:
            continue
        alert = found[rule.alert]
        lasts = alert.get("for", "0s")
        assert alert["expr"] == rule.asks, rule.key
        assert alert["labels"] == {"severity": rule.severity}, rule.key
        assert alert["annotations"]["runbook"] == rule.runbook, rule.key
        assert timedelta(seconds=int(lasts[:-1]) * UNITS[lasts[-1]]) == rule.lasts, rule.key


def test_each_alert_is_a_rule_or_needs_many_scrapes() -> None:
    assert alerts().keys() - {one.alert for one in RULES} == OVER_TIME


def test_runbooks_of_all_rules_are_there() -> None:
    for rule in RULES:
        page, _, anchor = rule.runbook.partition("#")
        assert anchor in anchors(ROOT / page), rule.key


def scraped(facts: Facts) -> dict[Any, float]:
    """What a scrape shows of these facts."""
    if not facts.database.answers or facts.database.is_read_only:
        return {DATABASE_UP: 0.0}
    waiting: Backlog = facts.backlog or IDLE
    return {DATABASE_UP: 1.0} | gauges_of(facts, waiting)


def fires(asks: str, samples: dict[Any, float]) -> bool:
    """Answer the question of an alert, as Prometheus would; nothing is told by a missing sample."""
    name, condition, sign, limit = ASKED.fullmatch(asks).groups()  # type: ignore[union-attr]
    value = samples.get((name, condition) if condition else name)
    return value is not None and HOLDS[sign](value, float(limit))


WHOLE = [facts for facts, _ in TABLE if None not in (facts.broker, facts.workers)]


@pytest.mark.parametrize("facts", WHOLE)
def test_alerts_that_fire_are_those_of_the_conditions(facts: Facts) -> None:
    wrong = {one.key for one in judge(facts)}
    samples = scraped(facts)
    known = [one for one in RULES if one.alert is not None]
    # A database that is gone and one that takes no writes look the same from outside.
    names = {one.alert for one in known if one.key in wrong}
    assert {one.alert for one in known if fires(one.asks, samples)} == names


def test_alert_of_failing_callbacks_counts_no_attempt_that_failed_nothing() -> None:
    """What its receiver may not be asked yet, and what was sent as its process ended."""
    asked = re.findall(r'reason!~"([a-z_|]+)"', alerts()["KernelCallbacksFail"]["expr"])
    failed, all_ = (set(one.split("|")) for one in asked)
    assert all_ == {NOT_ADMITTED, INTERRUPTED}
    assert failed == all_ | {"delivered"}
