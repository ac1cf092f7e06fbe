"""When a circuit breaker opens, lets a probe through, and closes. Pure."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.delivery.breakers import (
    ANSWERED,
    BREAK_AFTER,
    HOST_FAILURES,
    BreakerState,
    CircuitBreaker,
)

CLOSED, OPEN, HALF_OPEN = BreakerState


def failed(times: int = BREAK_AFTER, reason: str = "timeout", now: float = 0.0) -> CircuitBreaker:
    """A breaker that has seen failures in a row."""
    breaker = CircuitBreaker()
    for _ in range(times):
        breaker.record(reason, now)
    return breaker


@pytest.mark.parametrize("reason", ["timeout", "connect", "dns", "tls", "protocol", "http_5xx"])
def test_breaker_opens_when_a_host_fails_again_and_again(reason: str) -> None:
    assert failed(BREAK_AFTER - 1, reason).state(0.0) is CLOSED
    assert failed(BREAK_AFTER, reason).state(9.9) is OPEN


@pytest.mark.parametrize("reason", ["http_4xx", "redirect", "refused", None])
def test_breaker_stays_closed_when_the_host_itself_works(reason: str | None) -> None:
    breaker = failed(BREAK_AFTER - 1)
    breaker.record(reason, 0.0)
    for _ in range(BREAK_AFTER - 1):
        breaker.record("timeout", 0.0)
    assert breaker.state(0.0) is CLOSED


@given(st.text().filter(lambda reason: reason not in HOST_FAILURES))
def test_reason_that_stands_in_no_list_is_not_held_against_a_host(reason: str) -> None:
    assert failed(BREAK_AFTER, reason).state(0.0) is CLOSED


@pytest.mark.parametrize("reason", ["internal", "no_room", "proxy"])
def test_breaker_learns_nothing_of_a_failure_of_ours(reason: str) -> None:
    assert failed(2 * BREAK_AFTER, reason) == CircuitBreaker()
    breaker = failed()
    breaker.record(reason, 5.0)
    assert breaker == failed()
    breaker.record(reason, 11.0)
    assert breaker.state(11.0) is HALF_OPEN


def test_path_that_fails_between_timeouts_takes_nothing_off_their_count() -> None:
    """The receiver's gate counts it, and each timeout holds a sender."""
    breaker = CircuitBreaker()
    for _ in range(BREAK_AFTER):
        breaker.record("timeout", 0.0)
        breaker.record(ANSWERED, 0.0)
    assert breaker.state(0.0) is OPEN
    breaker.record(ANSWERED, 5.0)
    assert breaker.state(5.0) is OPEN


def test_probe_that_a_failing_path_answers_closes_the_breaker_of_its_host() -> None:
    """The host is up, and other receivers there are not to wait for this one."""
    breaker = failed()
    breaker.record(ANSWERED, 11.0)
    assert breaker == CircuitBreaker()


def test_breaker_is_half_open_when_its_pause_is_over() -> None:
    assert [failed().state(now) for now in (0.0, 9.9, 10.0)] == [OPEN, OPEN, HALF_OPEN]


def test_breaker_closes_when_a_probe_succeeds() -> None:
    breaker = failed()
    breaker.record(None, 11.0)
    assert breaker == CircuitBreaker()


def test_breaker_pauses_twice_as_long_up_to_five_minutes_when_probes_fail() -> None:
    breaker, now, pauses = failed(), 0.0, []
    for _ in range(7):
        pauses.append(breaker.open_until - now)
        now = breaker.open_until
        breaker.record("timeout", now)
    assert pauses == [10, 20, 40, 80, 160, 300, 300]


def test_breaker_stays_open_no_longer_when_older_attempts_fail_late() -> None:
    breaker = failed(10)
    breaker.record("timeout", 9.0)
    assert breaker.state(10.1) is HALF_OPEN
