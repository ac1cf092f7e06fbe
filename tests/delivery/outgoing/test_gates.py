"""When a receiver's gate lets an attempt through, and when the others have their turn. Pure."""

import pytest

from kernel.delivery.breakers import BREAK_AFTER, FIRST_PAUSE_SECONDS, BreakerState
from kernel.delivery.outgoing.gates import LONGEST_HOLD, LONGEST_TURN, SPACING, Gate


def attempt(gate: Gate, reason: str | None, now: float = 0.0, hold: float = 0.0) -> None:
    """Make one attempt that takes a second."""
    assert gate.enter(now) is None
    gate.leave(reason, now, 1.0, hold)


def broken(reason: str = "http_5xx") -> Gate:
    """A gate that has seen its path fail at 0.0 until it shut."""
    gate = Gate()
    for _ in range(BREAK_AFTER):
        attempt(gate, reason)
    return gate


def test_gate_shuts_when_the_path_or_its_token_fails_again_and_again() -> None:
    for reason in ("http_5xx", "token"):
        assert broken(reason).enter(1.0) == pytest.approx(FIRST_PAUSE_SECONDS - 1.0 + SPACING)


def test_gate_stays_open_when_it_is_the_host_that_fails() -> None:
    """The breaker of the origin is for these."""
    for reason in ("timeout", "connect", "tls", "dns", "http_4xx", "answer"):
        assert broken(reason).enter(1.0) is None


def test_one_attempt_probes_and_the_others_wait_when_the_pause_is_over() -> None:
    gate, later = broken(), FIRST_PAUSE_SECONDS + 1
    assert gate.enter(later) is None
    assert gate.enter(later) is not None
    gate.leave(None, later, 1.0)
    assert [gate.enter(later), gate.enter(later)] == [None, None]


@pytest.mark.parametrize(
    "reason", ["template", "refused", "timeout", "connect", "dns", "tls", "protocol", "too_large"]
)
def test_gate_learns_nothing_of_an_attempt_that_did_not_reach_the_path(reason: str) -> None:
    """A probe that sent nothing is followed by another probe, and not by all that waits."""
    gate, later = broken(), FIRST_PAUSE_SECONDS + 1
    attempt(gate, reason, later)
    assert gate.enter(later) is None
    assert gate.enter(later) is not None
    closed = Gate()
    for each in ["http_5xx", reason] * BREAK_AFTER:
        assert closed.enter(1.0) is None
        closed.leave(each, 1.0, 1.0)
        if closed.breaker.state(1.0) is BreakerState.OPEN:
            break
    assert closed.enter(1.0) is not None


@pytest.mark.parametrize("reason", [None, "http_4xx", "answer", "redirect"])
def test_gate_opens_again_when_the_path_answers(reason: str | None) -> None:
    gate, later = broken(), FIRST_PAUSE_SECONDS + 1
    attempt(gate, reason, later)
    assert [gate.enter(later), gate.enter(later)] == [None, None]


def test_receiver_gets_as_many_at_a_time_as_it_may_have() -> None:
    gate = Gate(concurrency=2)
    assert [gate.enter(0.0), gate.enter(0.0)] == [None, None]
    assert gate.enter(0.0) is not None
    gate.leave(None, 1.0, 1.0)
    assert gate.enter(1.0) is None


def test_turns_come_one_behind_the_other() -> None:
    gate = Gate(concurrency=2)
    assert [gate.enter(0.0), gate.enter(0.0)] == [None, None]
    assert [gate.enter(0.0) for _ in range(4)] == [0.5, 1.0, 1.5, 2.0]


def test_turn_never_lies_further_away_than_the_longest() -> None:
    gate = Gate(concurrency=1)
    gate.enter(0.0)
    assert [gate.enter(0.0) for _ in range(5000)][-1] == LONGEST_TURN


def test_receiver_that_asks_for_a_pause_gets_it_within_bounds() -> None:
    gate = Gate()
    attempt(gate, "http_4xx", hold=30.0)
    assert gate.enter(29.0) == pytest.approx(1.0 + SPACING)
    assert gate.enter(30.0) is None
    attempt(gate, "http_4xx", now=40.0, hold=1e9)
    assert gate.enter(40.0 + LONGEST_HOLD) is None
