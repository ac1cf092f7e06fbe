"""Which rules hold, by a table of facts; pure."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.insight.backlog import Backlog
from kernel.insight.conditions import rules
from kernel.insight.conditions.facts import (
    Database,
    Dead,
    Expiring,
    Facts,
    FailedSchedule,
    Failing,
    NewError,
    Oldest,
    Pause,
)
from kernel.insight.conditions.judge import exit_code, judge, troubles
from kernel.insight.conditions.rules import RULES, Severity
from kernel.insight.conditions.words import mend, sentence
from kernel.views.html.wording import Wording

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
FINE = Database(schema="0025", needs="0025")
IDLE = Backlog(0, 0.0, 0, 0, 0, 0.0, 0, 0, 0)
WELL = Facts(now=NOW, database=FINE, broker=True, workers=2, backlog=IDLE)
NEW = NewError(
    fingerprint="b", select_tag="x", what="KeyError", place="y.z", since=NOW, came_back=False
)
SOON = NOW + timedelta(days=3)


def database(**changed: Any) -> Facts:
    return replace(WELL, database=replace(FINE, **changed))


def waits(**changed: Any) -> Facts:
    return replace(WELL, backlog=replace(IDLE, **changed))


# What is changed of an installation that is well, and the conditions that it has then.
TABLE: list[tuple[Facts, list[tuple[str, str, str]]]] = [
    (WELL, []),
    (database(answers=False, error="2003"), [("database_gone", "", "")]),
    (database(is_read_only=True), [("database_read_only", "", "")]),
    (database(unfit="MyISAM"), [("database_unfit", "", "")]),
    (database(schema="0024"), [("schema_behind", "", "")]),
    (database(schema=None), [("schema_behind", "", "")]),
    (database(schema="0026"), [("schema_ahead", "", "")]),
    (replace(WELL, broker=False), [("broker_gone", "", "")]),
    (replace(WELL, broker=None), []),
    (replace(WELL, workers=0), [("no_worker", "", "")]),
    (replace(WELL, workers=None), []),
    (waits(orders_due=1, orders_due_oldest=120.0), []),
    (waits(orders_due=1, orders_due_oldest=120.1), [("orders_wait", "", "")]),
    (
        waits(orders_due=1, orders_due_oldest=121.0, orders_running=2),
        [("orders_wait", "", "all_busy")],
    ),
    (
        replace(waits(orders_due=1, orders_due_oldest=121.0), quiet=2),
        [("orders_wait", "", "drained")],
    ),
    (
        replace(waits(orders_due=1, orders_due_oldest=121.0, orders_running=1), quiet=1),
        [("orders_wait", "", "all_busy")],
    ),
    (
        replace(waits(orders_due=1, orders_due_oldest=121.0), workers=0, broker=False),
        [("no_worker", "", ""), ("broker_gone", "", ""), ("orders_wait", "", "no_worker")],
    ),
    (
        replace(waits(orders_due=1, orders_due_oldest=121.0), broker=False),
        [("broker_gone", "", ""), ("orders_wait", "", "broker_gone")],
    ),
    (waits(deliveries_due=1, deliveries_due_oldest=300.0), []),
    (waits(deliveries_due=1, deliveries_due_oldest=300.1), [("callbacks_wait", "", "")]),
    (
        replace(
            waits(deliveries_due=1, deliveries_due_oldest=301.0),
            failing=[Failing("https://a:443", 1, "connect", None, 6)],
        ),
        [
            ("callbacks_wait", "", "receiver_failing"),
            ("receiver_failing", "https://a:443", "connect"),
        ],
    ),
    (
        replace(WELL, failing=[Failing("https://b:1", 0), Failing("https://a:443", 2)]),
        [("receiver_failing", "https://a:443", ""), ("receiver_failing", "https://b:1", "")],
    ),
    (
        replace(waits(deliveries_dead=3), dead=Dead(3, NOW, "https://a:443", "gone")),
        [("dead_callbacks", "", "gone")],
    ),
    (replace(WELL, dead=Dead(0, NOW, "", None)), []),
    (
        replace(WELL, errors=[replace(NEW, came_back=True), replace(NEW, fingerprint="a")]),
        [("new_error", "a", ""), ("new_error", "b", "came_back")],
    ),
    (
        replace(WELL, schedules=[FailedSchedule("nightly", NOW, "missed: x")]),
        [("schedule_failed", "nightly", "")],
    ),
    (
        replace(WELL, keys=[Expiring("kk_1", "zammad", SOON)]),
        [("key_expires", "zammad kk_1", "ends")],
    ),
    (
        replace(WELL, keys=[Expiring("kk_1", "zammad", NOW)]),
        [("key_expires", "zammad kk_1", "ended")],
    ),
    (
        replace(WELL, certificates=[Expiring("desk", "zammad", SOON)]),
        [("certificate_expires", "zammad desk", "ends")],
    ),
    (
        replace(WELL, pauses=[Pause("host", "a", NOW), Pause("caller", "zammad", NOW)]),
        [("paused", "caller zammad", "caller"), ("paused", "host a", "host")],
    ),
]


@pytest.mark.parametrize(("facts", "expected"), TABLE)
def test_conditions_are_those_of_the_facts(
    facts: Facts, expected: list[tuple[str, str, str]]
) -> None:
    assert [(one.key, one.subject, one.cause) for one in judge(facts)] == expected


def test_every_rule_stands_in_the_table() -> None:
    assert {key for _, found in TABLE for key, _, _ in found} == {one.key for one in RULES}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_condition_of_the_table_has_a_sentence_and_a_mend(language: Any) -> None:
    t = Wording(language)
    for facts, _ in TABLE:
        for one in judge(facts):
            assert sentence(t, one, NOW), one
            assert mend(t, one), one


def test_sentence_names_cause_and_oldest_order_when_they_are_known() -> None:
    oldest = Oldest("o-1", NOW, "create_project", "zammad", "INC0012345")
    late = waits(orders_due=1_000, orders_due_oldest=600.0, orders_running=9)
    (one,) = judge(replace(late, oldest=oldest))
    assert sentence(Wording("en"), one, NOW) == (
        "Orders due: 1,000+. The oldest has waited 10 min (INC0012345, create_project of zammad). "
        "Every worker process is busy."
    )
    failing = Failing("https://a:443", 1, "http_5xx", 503, 6)
    (one,) = judge(replace(WELL, failing=[failing]))
    assert "https://a:443 is failing: it answers 503 (attempts so far: 6)" in sentence(
        Wording("en"), one, NOW
    )


def test_sentence_escapes_what_strangers_named() -> None:
    (one,) = judge(replace(WELL, failing=[Failing("https://a\u202e\x1b[2J:443", 1)]))
    said = sentence(Wording("en"), one, NOW)
    assert "\x1b" not in said
    assert "\u202e" not in said


def test_worst_come_first_and_the_exit_code_is_theirs() -> None:
    facts = replace(WELL, workers=0, broker=False, pauses=[Pause("host", "a", NOW)])
    found = judge(facts)
    assert [one.severity for one in found] == ["critical", "warning", "notice"]
    assert exit_code(found) == 2
    assert troubles(found) == 2
    assert exit_code(judge(replace(WELL, broker=False))) == 1
    assert exit_code(judge(replace(WELL, pauses=facts.pauses))) == 0
    assert exit_code([]) == 0


@given(
    due=st.floats(0, 1e6),
    owed=st.floats(0, 1e6),
    workers=st.integers(0, 3),
    broker=st.booleans(),
    dead=st.integers(0, 3),
)
def test_nothing_is_wrong_only_when_every_limit_is_kept(
    due: float, owed: float, workers: int, broker: bool, dead: int
) -> None:
    counted = replace(IDLE, orders_due_oldest=due, deliveries_due_oldest=owed)
    facts = replace(WELL, backlog=counted, workers=workers, broker=broker)
    found = judge(replace(facts, dead=Dead(dead, NOW, "https://a:443", None)))
    within = due <= rules.ORDERS_WAIT.total_seconds() and owed <= 300
    assert (not found) is (within and workers > 0 and broker and dead == 0)
    assert [one.rank for one in found] == sorted(one.rank for one in found)


def test_rules_have_keys_of_their_own_and_pages_with_their_anchors() -> None:
    assert len({one.key for one in RULES}) == len(RULES)
    assert {one.severity for one in RULES} == set(Severity)
