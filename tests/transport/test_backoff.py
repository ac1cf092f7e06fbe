"""When a callback is tried again, as tables."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.transport.backoff import (
    DAY,
    SCHEDULE,
    Answer,
    Dead,
    Delivered,
    Judgement,
    PutOff,
    RetryIn,
    RetryPolicy,
    is_refusal,
    retry_after_seconds,
    verdict,
)

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
POLICY = RetryPolicy()


def answer(status: int | None = None, **changes: Any) -> Answer:
    values: dict[str, Any] = {
        "attempt": 1,
        "client_errors": 0,
        "reason": None if status else "timeout",
        "retry_after": None,
        "now": NOW,
        "created_at": NOW,
    }
    return Answer(status=status, **values | changes)


def pause(given: Answer, policy: RetryPolicy = POLICY, rand: float = 0.0) -> float:
    result = verdict(policy, given, lambda: rand)
    assert isinstance(result, RetryIn), result
    return result.pause.total_seconds()


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_verdict_is_delivered_when_2xx(status: int) -> None:
    assert verdict(POLICY, answer(status)) == Delivered()


def test_verdict_is_not_delivered_when_the_attempt_failed_whatever_its_status() -> None:
    assert pause(answer(200, reason="protocol")) == 5


@pytest.mark.parametrize("reason", ["no_room", "proxy"])
@pytest.mark.parametrize(
    ("age", "seconds"), [(0, 5), (10, 5), (60, 15), (600, 150), (DAY, 300), (9 * DAY, 300)]
)
def test_what_was_not_sent_for_a_lack_of_ours_is_put_off_and_never_dead(
    age: float, seconds: float, reason: str
) -> None:
    given = answer(reason=reason, created_at=NOW - timedelta(seconds=age))
    assert verdict(POLICY, given, lambda: 0.0) == PutOff(timedelta(seconds=seconds))


@pytest.mark.parametrize(("attempt", "seconds"), list(enumerate(SCHEDULE, start=1)))
def test_pause_follows_the_schedule(attempt: int, seconds: float) -> None:
    assert pause(answer(500, attempt=attempt)) == seconds


@pytest.mark.parametrize("schedule", [(), (0.0,), (5.0, -1.0), (float("nan"),), (float("inf"),)])
def test_schedule_is_refused_when_a_pause_is_no_time(schedule: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="schedule"):
        RetryPolicy(schedule=schedule)


def test_delivery_is_dead_when_no_calendar_has_its_next_attempt() -> None:
    assert verdict(RetryPolicy(schedule=(1e300,)), answer(500)) == Dead("deadline")


def test_schedule_is_the_documented_one() -> None:
    hours = [seconds / 3600 for seconds in SCHEDULE[4:]]
    assert SCHEDULE[:4] == (5, 60, 300, 1800)
    assert hours == [2, 5, 10, 14, 20, 24]


def test_pause_repeats_the_last_one_after_the_schedule_ends() -> None:
    assert pause(answer(500, attempt=99), RetryPolicy(schedule=(1, 7))) == 7


@pytest.mark.parametrize("reason", ["dns", "connect", "tls", "timeout", "redirect", "refused"])
def test_verdict_retries_when_there_was_no_answer(reason: str) -> None:
    assert pause(answer(None, reason=reason)) == 5


def test_verdict_is_dead_when_410() -> None:
    assert verdict(POLICY, answer(410)) == Dead("gone")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 422, 451, 499])
@pytest.mark.parametrize(("count", "dead"), [(1, False), (3, False), (4, True)])
def test_client_errors_are_retried_three_times(status: int, count: int, dead: bool) -> None:
    result = verdict(POLICY, answer(status, client_errors=count))
    assert (result == Dead("client_errors")) is dead


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 503])
def test_passing_errors_are_retried_however_many_client_errors_there_were(status: int) -> None:
    assert pause(answer(status, client_errors=50)) > 0


@pytest.mark.parametrize(("status", "seconds"), [(429, 60), (503, 60), (500, 5), (502, 5)])
def test_pause_is_at_least_a_minute_when_told_to_slow_down(status: int, seconds: float) -> None:
    assert pause(answer(status)) == seconds


def test_slowing_down_shortens_no_pause() -> None:
    assert pause(answer(503, attempt=3)) == 300


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120),
        (" 120 ", 120),
        ("3", 5),
        ("Fri, 20 Nov 2026 12:02:00 GMT", 120),
        ("Friday, 20-Nov-26 12:02:00 GMT", 120),
        ("Fri Nov 20 12:02:00 2026", 120),
        ("Fri, 20 Nov 2026 11:00:00 GMT", 5),
        ("31536000", DAY),
        (str(2**63 - 1), DAY),
        ("9" * 5000, DAY),
        ("0" * 5000 + "120", 120),
        ("Fri, 20 Nov 2099 12:00:00 GMT", DAY),
        ("", 5),
        ("-5", 5),
        ("1.5", 5),
        ("soon", 5),
        ("Fri, 20 Nov 2026 12:02:00 +99999999999999", 5),
        ("Fri, 20 Nov 99999 12:02:00 GMT", 5),
        ("Mon, 01 Jan 0001 00:00:00 +2300", 5),
        ("Fri, 31 Dec 9999 23:59:59 -2300", DAY),
        ("٣٠٠", 5),
    ],
)
def test_retry_after_is_the_least_pause_and_a_day_at_most(header: str, seconds: float) -> None:
    assert pause(answer(500, retry_after=header)) == seconds


@given(st.text(), st.integers(-840, 840))
def test_retry_after_is_within_a_day_whatever_it_says(header: str, minutes: int) -> None:
    now = NOW.astimezone(timezone(timedelta(minutes=minutes)))
    assert 0 <= retry_after_seconds(header, now) <= DAY


@given(st.floats(0, 1), st.integers(1, 30))
def test_jitter_only_adds_and_a_tenth_at_most(rand: float, attempt: int) -> None:
    given_answer = answer(500, attempt=attempt)
    planned = pause(given_answer)
    assert planned <= pause(given_answer, rand=rand) <= planned * 1.1 + 0.001


def test_jitter_is_random_by_default() -> None:
    assert len({str(verdict(POLICY, answer(500, attempt=9))) for _ in range(20)}) > 10


@pytest.mark.parametrize(("age", "dead"), [(4 * DAY - 5, False), (4 * DAY - 4, True)])
def test_verdict_is_dead_when_the_next_attempt_would_be_past_the_deadline(
    age: float, dead: bool
) -> None:
    result = verdict(POLICY, answer(500, created_at=NOW - timedelta(seconds=age)), lambda: 0.0)
    assert (result == Dead("deadline")) is dead


def test_verdict_is_delivered_past_the_deadline_too() -> None:
    assert verdict(POLICY, answer(200, created_at=NOW - timedelta(days=9))) == Delivered()


def test_default_schedule_makes_eleven_attempts_within_the_deadline() -> None:
    now, attempts = NOW, 1
    while isinstance(result := verdict(POLICY, answer(500, attempt=attempts, now=now)), RetryIn):
        now, attempts = now + result.pause, attempts + 1
    assert attempts == 11
    assert now <= NOW + timedelta(seconds=POLICY.give_up_after)


@pytest.mark.parametrize(
    "wrong",
    [{"schedule": ()}, {"schedule": (0.0,)}, {"give_up_after": 0}, {"max_client_errors": -1}],
)
def test_policy_is_refused_when_it_cannot_work(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"schedule|negative"):
        RetryPolicy(**wrong)


@given(st.integers(100, 999).filter(lambda n: not (200 <= n <= 299 or 400 <= n <= 499)))
def test_status_that_stands_in_no_list_is_tried_again_and_never_delivered(status: int) -> None:
    assert isinstance(verdict(POLICY, answer(status, client_errors=99)), RetryIn)


@given(st.integers(400, 499).filter(lambda n: n not in {408, 409, 410, 425, 429}))
def test_client_error_that_stands_in_no_list_has_a_few_tries_and_ends(status: int) -> None:
    assert isinstance(verdict(POLICY, answer(status, client_errors=1)), RetryIn)
    assert verdict(POLICY, answer(status, client_errors=4)) == Dead("client_errors")


@given(st.text(min_size=1), st.none() | st.integers(200, 299))
def test_reason_that_nobody_listed_is_tried_again(reason: str, status: int | None) -> None:
    assert isinstance(verdict(POLICY, answer(status, reason=reason)), RetryIn)


@pytest.mark.parametrize(
    ("given", "becomes"),
    [
        (answer(200, judged="delivered"), Delivered()),
        (answer(422, judged="done"), Delivered()),
        (answer(200, reason="answer", judged="give_up"), Dead("answer")),
        (answer(503, reason="http_5xx", judged="give_up"), Dead("answer")),
        (answer(422, reason="http_4xx", judged="retry", client_errors=3, tries=3), Dead("answer")),
        (answer(reason="lookup", judged="retry", client_errors=4, tries=4), Dead("lookup")),
        (answer(reason="template", fatal="template"), Dead("template")),
        (answer(reason="lookup", fatal="lookup"), Dead("lookup")),
    ],
)
def test_receivers_own_rules_decide_in_place_of_the_status(given: Answer, becomes: object) -> None:
    assert verdict(POLICY, given) == becomes


@pytest.mark.parametrize(
    ("status", "judged", "tries", "is_one"),
    [
        *[(404, None, None, True), (409, None, None, False), (500, None, None, False)],
        *[(422, "retry", 3, True), (500, "retry", 3, True), (400, "retry", None, False)],
        *[(None, None, None, False), (200, None, None, False)],
    ],
)
def test_refusals_are_the_answers_that_are_tried_again_a_few_times(
    status: int | None, judged: Judgement | None, tries: int | None, is_one: bool
) -> None:
    assert is_refusal(status, judged, tries) is is_one


def test_attempts_that_met_no_refusal_take_none_of_the_tries_of_a_rule() -> None:
    assert pause(answer(422, judged="retry", attempt=9, client_errors=2, tries=3)) == SCHEDULE[8]


def test_answer_is_tried_again_until_the_deadline_when_the_rules_say_so_without_a_number() -> None:
    judged = {"reason": "http_4xx", "judged": "retry", "attempt": 20, "client_errors": 20}
    assert pause(answer(410, **judged)) == SCHEDULE[-1]
    late = answer(410, **judged, created_at=NOW - timedelta(days=4))
    assert verdict(POLICY, late) == Dead("deadline")


def test_attempt_that_was_not_admitted_is_due_at_its_turn_and_never_dead() -> None:
    old = answer(reason="not_admitted", turn=7.5, created_at=NOW - timedelta(days=9))
    assert verdict(POLICY, old) == PutOff(timedelta(seconds=7.5))
