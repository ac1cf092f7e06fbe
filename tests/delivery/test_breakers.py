"""How much of a dispatcher each origin may take. Pure."""

import pytest

from kernel.delivery.breakers import BREAK_AFTER, Origins
from kernel.delivery.lanes import Lane, in_turn, share

A, B, C = "https://a.example:443", "https://b.example:443", "https://c.example:443"


def busy(origins: Origins, origin: str, now: float = 0.0) -> int:
    """Fill an origin's room and return how much it was."""
    count = 0
    while origins.room(origin, now) > 0:
        origins.begin(origin)
        count += 1
    return count


def fail(origins: Origins, origin: str, reason: str, times: int, now: float = 0.0) -> None:
    """Let attempts fail one after the other."""
    for _ in range(times):
        origins.begin(origin)
        origins.end(origin, reason, now)


def test_origins_leave_half_of_what_is_free_when_they_hang() -> None:
    origins = Origins(32)
    assert [busy(origins, one) for one in (A, B, C)] == [16, 8, 4]
    assert origins.room("https://d.example:443", 0.0) == 2


def test_room_comes_back_when_attempts_end() -> None:
    origins = Origins(8)
    filled = busy(origins, A)
    for _ in range(filled):
        origins.end(A, None, 0.0)
    assert (origins.free, origins.room(A, 0.0)) == (8, 4)


@pytest.mark.parametrize("reason", ["timeout", "connect", "dns", "tls", "protocol", "http_5xx"])
def test_breaker_opens_when_a_host_fails_again_and_again(reason: str) -> None:
    origins = Origins(32)
    fail(origins, A, reason, BREAK_AFTER - 1)
    assert origins.room(A, 0.0) > 1
    fail(origins, A, reason, 1)
    assert (origins.room(A, 9.9), origins.room(B, 9.9)) == (0, 16)
    assert origins.is_open(A, 9.9)


@pytest.mark.parametrize("reason", ["http_4xx", "redirect", "refused", None])
def test_breaker_stays_closed_when_the_host_itself_works(reason: str | None) -> None:
    origins = Origins(32)
    fail(origins, A, "timeout", BREAK_AFTER - 1)
    fail(origins, A, reason, 1)  # type: ignore[arg-type]
    fail(origins, A, "timeout", BREAK_AFTER - 1)
    assert origins.room(A, 0.0) > 1


def test_breaker_lets_one_probe_through_when_its_pause_is_over() -> None:
    origins = Origins(32)
    fail(origins, A, "timeout", BREAK_AFTER)
    assert origins.room(A, 10.1) == 1
    origins.begin(A)
    assert origins.room(A, 10.1) == 0


def test_breaker_closes_when_a_probe_succeeds() -> None:
    origins = Origins(32)
    fail(origins, A, "timeout", BREAK_AFTER)
    origins.begin(A)
    origins.end(A, None, 11.0)
    assert origins.room(A, 11.0) == 16


def test_breaker_pauses_twice_as_long_when_a_probe_fails() -> None:
    origins = Origins(32)
    fail(origins, A, "timeout", BREAK_AFTER)
    fail(origins, A, "timeout", 1, now=11.0)
    assert (origins.room(A, 30.9), origins.room(A, 31.1)) == (0, 1)


def test_breaker_is_not_extended_when_older_attempts_fail_late() -> None:
    origins = Origins(32)
    for _ in range(10):
        origins.begin(A)
    for _ in range(10):
        origins.end(A, "timeout", 0.0)
    assert origins.room(A, 10.1) == 1


def test_nothing_is_remembered_when_an_origin_works() -> None:
    origins = Origins(4)
    origins.begin(A)
    origins.end(A, None, 0.0)
    assert origins._origins == {}


def test_callers_take_turns_when_one_has_many_lanes() -> None:
    flood = [Lane(False, 1, f"https://{n}.example:443") for n in range(3)]
    small, late = Lane(False, 2, A), Lane(True, 2, B)
    assert in_turn([late, *flood, small]) == [flood[0], small, *flood[1:], late]


def test_first_attempts_get_nearly_all_when_retries_wait_too() -> None:
    shares = share([Lane(True, 1, A), Lane(False, 1, B)], Origins(128), 48, 0.0)
    assert shares == {Lane(False, 1, B): 42, Lane(True, 1, A): 6}


def test_retries_get_what_is_left_when_first_attempts_are_held_back() -> None:
    origins = Origins(64)
    fail(origins, B, "timeout", BREAK_AFTER)
    assert share([Lane(True, 1, A), Lane(False, 1, B)], origins, 50, 0.0) == {Lane(True, 1, A): 32}


def test_lanes_of_one_origin_share_its_room_when_both_are_due() -> None:
    shares = share([Lane(False, 1, A), Lane(False, 2, A), Lane(True, 1, A)], Origins(8), 50, 0.0)
    assert sum(shares.values()) == 4


def test_nothing_is_shared_when_no_sender_is_free() -> None:
    origins = Origins(1)
    origins.begin(A)
    assert share([Lane(False, 1, B)], origins, 50, 0.0) == {}
