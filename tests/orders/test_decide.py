"""What becomes of an order whose run ended without an outcome, as a table."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.orders.decide import (
    BROKEN_QUARTERS,
    MAX_BROKEN,
    MAX_CRASH_PAUSE_SECONDS,
    MAX_RETRY_PAUSE_SECONDS,
    MAX_SETBACK_SECONDS,
    MAX_WAITING_RUNS,
    Again,
    Ended,
    Exit,
    Standing,
    Waits,
    Why,
    crash_pause,
    decide,
    retry_pause,
    setback,
)

LATER = datetime(2026, 12, 1, tzinfo=UTC)
FRESH = Standing(run=1, max_runs=5)
NOTHING = Again(after=0.0, crashes=0, broken=0, timeouts=0, retries=0)

TABLE = [
    (Exit(Why.NOT_BEGUN), FRESH, replace(NOTHING, not_begun=True)),
    (Exit(Why.NOT_BEGUN), replace(FRESH, is_late=True), Ended("expired")),
    (Exit(Why.NOT_BEGUN), replace(FRESH, is_late=True, checkpoint=1), NOTHING),
    (Exit(Why.NOT_BEGUN), replace(FRESH, is_late=True, retries=1), replace(NOTHING, retries=1)),
    (Exit(Why.NOT_BEGUN), replace(FRESH, is_late=True, crashes=1), replace(NOTHING, crashes=1)),
    (Exit(Why.STOPPING), replace(FRESH, is_late=True), NOTHING),
    (Exit(Why.DIED), replace(FRESH, is_late=True), replace(NOTHING, crashes=1)),
    (
        Exit(Why.RETRY, after=60),
        replace(FRESH, is_late=True),
        replace(NOTHING, after=60, retries=1),
    ),
    (Exit(Why.STOPPING), FRESH, NOTHING),
    (Exit(Why.RETRY, after=60), FRESH, replace(NOTHING, after=60, retries=1)),
    (Exit(Why.RETRY, after=-5), FRESH, replace(NOTHING, retries=1)),
    (Exit(Why.RETRY), FRESH, replace(NOTHING, after=5, retries=1)),
    (Exit(Why.RETRY), replace(FRESH, retries=3), replace(NOTHING, after=40, retries=4)),
    (Exit(Why.RETRY), replace(FRESH, retries=999), replace(NOTHING, after=900, retries=1000)),
    (Exit(Why.RETRY, after=0), replace(FRESH, retries=3), replace(NOTHING, retries=4)),
    (
        Exit(Why.RETRY, max_tries=3, reason="busy"),
        replace(FRESH, retries=2),
        replace(NOTHING, after=20, retries=3),
    ),
    (
        Exit(Why.RETRY, max_tries=3, reason="busy"),
        replace(FRESH, retries=3),
        Ended("too_many_retries", "busy"),
    ),
    (Exit(Why.STOPPING, max_tries=3), replace(FRESH, retries=9), replace(NOTHING, retries=9)),
    (Exit(Why.WAIT, what="event:a", until=LATER), FRESH, Waits("event:a", LATER)),
    (Exit(Why.WAIT, what="event:a"), replace(FRESH, is_late=True), Waits("event:a", None)),
    (
        Exit(Why.WAIT, what="event:a"),
        Standing(run=MAX_WAITING_RUNS),
        Ended("waits_too_often", "event:a"),
    ),
    (Exit(Why.WAIT), replace(FRESH, marked=True), Ended("transaction_ended")),
    (Exit(Why.BUG), FRESH, Ended("internal_error")),
    (Exit(Why.DIED), FRESH, replace(NOTHING, crashes=1)),
    (Exit(Why.DIED), replace(FRESH, crashes=1), replace(NOTHING, after=2, crashes=2)),
    (Exit(Why.DIED), replace(FRESH, crashes=2), replace(NOTHING, after=4, crashes=3)),
    (Exit(Why.TERMINATED), replace(FRESH, crashes=2), replace(NOTHING, after=4, crashes=3)),
    (Exit(Why.TERMINATED), replace(FRESH, crashes=4), Ended("worker_lost")),
    (Exit(Why.TERMINATED), replace(FRESH, cancel_requested=True), Ended("cancelled")),
    (Exit(Why.DIED), replace(FRESH, crashes=3), replace(NOTHING, after=8, crashes=4)),
    (Exit(Why.DIED), replace(FRESH, crashes=4), Ended("worker_lost")),
    (Exit(Why.DIED), Standing(run=9, crashes=8), replace(NOTHING, after=60, crashes=9)),
    (Exit(Why.TIMED_OUT), FRESH, replace(NOTHING, timeouts=1)),
    (Exit(Why.TIMED_OUT), replace(FRESH, timeouts=4), Ended("timed_out")),
    (Exit(Why.BROKEN), FRESH, replace(NOTHING, after=0.2, broken=BROKEN_QUARTERS)),
    (Exit(Why.BROKEN, contention=True), FRESH, replace(NOTHING, after=0.2, broken=1)),
    (Exit(Why.BROKEN, put_off=True), FRESH, replace(NOTHING, after=0.2)),
    (
        Exit(Why.BROKEN, error="1290"),
        Standing(run=20, broken=MAX_BROKEN - BROKEN_QUARTERS),
        Ended("keeps_breaking", "1290"),
    ),
    (
        Exit(Why.BROKEN, put_off=True),
        Standing(run=20, broken=MAX_BROKEN - 1),
        Again(MAX_SETBACK_SECONDS, crashes=0, broken=MAX_BROKEN - 1, timeouts=0, retries=0),
    ),
]


@pytest.mark.parametrize(("exit_", "row", "expected"), TABLE)
def test_exit_comes_to_what_the_table_says(
    exit_: Exit, row: Standing, expected: Again | Waits | Ended
) -> None:
    assert decide(exit_, row) == expected


@pytest.mark.parametrize("why", Why)
def test_cancel_is_honoured_by_every_exit(why: Why) -> None:
    asked = replace(FRESH, cancel_requested=True, crashes=99, broken=99, timeouts=99)
    assert decide(Exit(why, after=60, put_off=True), asked) == Ended("cancelled")


def test_exit_that_is_written_later_keeps_its_reason() -> None:
    assert Exit(Why.RETRY, after=60).later() == Exit(Why.RETRY, after=60, put_off=True)


exits = st.builds(
    Exit,
    st.sampled_from(Why),
    st.none() | st.floats(0, 1e6),
    st.text(),
    st.booleans(),
    st.booleans(),
    st.none() | st.integers(1, 200),
)
rows = st.builds(
    Standing,
    run=st.integers(1, 10_000),
    **dict.fromkeys(("crashes", "broken", "timeouts", "retries"), st.integers(0, 200)),
    max_runs=st.none() | st.integers(1, 100),
    checkpoint=st.integers(0, 3),
    is_late=st.booleans(),
)


@given(exits, rows)
def test_one_exit_counts_one_thing_at_the_most(exit_: Exit, row: Standing) -> None:
    verdict = decide(exit_, row)
    if isinstance(verdict, Again):
        counters = ("crashes", "broken", "timeouts", "retries")
        grown = [n for n in counters if getattr(verdict, n) > getattr(row, n)]
        assert len(grown) <= 1
        assert all(getattr(verdict, n) >= getattr(row, n) for n in counters)
        assert verdict.after >= 0


@given(st.integers(1, 10_000))
def test_setback_doubles_up_to_its_limit(run: int) -> None:
    assert 0.2 <= setback(run) <= MAX_SETBACK_SECONDS
    assert setback(run + 1) >= setback(run)


@given(st.integers(1, 10_000))
def test_pause_after_a_crash_doubles_up_to_its_limit(crashes: int) -> None:
    assert 0 <= crash_pause(crashes) <= crash_pause(crashes + 1) <= MAX_CRASH_PAUSE_SECONDS
    assert crash_pause(1) == 0


@given(st.integers(0, 10_000))
def test_pause_before_a_retry_doubles_up_to_its_limit(retries: int) -> None:
    assert 5 <= retry_pause(retries) <= MAX_RETRY_PAUSE_SECONDS
    assert retry_pause(retries + 1) >= retry_pause(retries)


def test_order_does_not_go_round_for_ever_when_every_run_breaks() -> None:
    """Deadlocks are forgiven four times as often as errors that no other transaction caused."""
    for contention, runs in ((False, 20), (True, 80)):
        row = FRESH
        for run in range(1, runs):
            verdict = decide(Exit(Why.BROKEN, contention=contention), replace(row, run=run))
            assert isinstance(verdict, Again)
            row = replace(row, broken=verdict.broken)
        last = decide(Exit(Why.BROKEN, contention=contention), replace(row, run=runs))
        assert last == Ended("keeps_breaking")
