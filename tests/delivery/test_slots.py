"""How many sender slots each origin may hold, and each lane gets. Pure."""

import pytest

from kernel.delivery.breakers import BREAK_AFTER
from kernel.delivery.lanes import Lane, in_turn, share
from kernel.delivery.slots import SenderSlots

A, B, C = "https://a.example:443", "https://b.example:443", "https://c.example:443"


def fill(slots: SenderSlots, origin: str, now: float = 0.0) -> int:
    """Acquire all slots that an origin may hold; return how many."""
    count = 0
    while slots.room(origin, now) > 0:
        slots.acquire(origin)
        count += 1
    return count


def end(slots: SenderSlots, origin: str, reason: str | None, now: float = 0.0) -> None:
    """End an attempt that holds a slot."""
    slots.record(origin, reason, now)
    slots.release(origin)


def fail(slots: SenderSlots, origin: str, times: int = BREAK_AFTER, now: float = 0.0) -> None:
    """Let attempts time out, one after the other."""
    for _ in range(times):
        slots.acquire(origin)
        end(slots, origin, "timeout", now)


def test_origins_leave_half_of_what_is_free_when_they_hang() -> None:
    slots = SenderSlots(32)
    assert [fill(slots, one) for one in (A, B, C)] == [16, 8, 4]
    assert slots.room("https://d.example:443", 0.0) == 2


def test_room_comes_back_when_attempts_end() -> None:
    slots = SenderSlots(8)
    for _ in range(fill(slots, A)):
        end(slots, A, None)
    assert (slots.free, slots.in_flight, slots.room(A, 0.0)) == (8, 0, 4)


def test_only_the_origin_that_fails_has_no_room_when_its_breaker_opens() -> None:
    slots = SenderSlots(32)
    fail(slots, A)
    assert (slots.room(A, 9.9), slots.room(B, 9.9)) == (0, 16)


@pytest.mark.parametrize("released_unused", [False, True])
def test_one_probe_at_a_time_has_room_when_a_pause_is_over(released_unused: bool) -> None:
    slots = SenderSlots(32)
    fail(slots, A)
    assert fill(slots, A, 10.1) == 1
    if released_unused:
        slots.release(A)
        assert fill(slots, A, 10.1) == 1
    end(slots, A, None, 11.0)
    assert slots.room(A, 11.0) == 16


def test_no_probe_has_room_when_older_attempts_are_in_flight() -> None:
    slots = SenderSlots(32)
    slots.acquire(A)
    fail(slots, A)
    assert slots.room(A, 10.1) == 0


def test_room_is_none_for_longer_when_a_probe_fails() -> None:
    slots = SenderSlots(32)
    fail(slots, A)
    fail(slots, A, 1, now=11.0)
    assert (slots.room(A, 30.9), slots.room(A, 31.1)) == (0, 1)


def test_breakers_are_listed_by_state_when_they_are_not_closed() -> None:
    slots = SenderSlots(32)
    fail(slots, A)
    fail(slots, B, now=5.0)
    fail(slots, C, BREAK_AFTER - 1)
    assert slots.breakers(9.0) == ([A, B], [])
    assert slots.breakers(11.0) == ([B], [A])


def test_nothing_is_remembered_when_an_origin_works() -> None:
    slots = SenderSlots(4)
    for origin in (A, B):
        slots.acquire(origin)
    assert set(slots.origins) == {A, B}
    end(slots, A, None)
    end(slots, B, "timeout")
    assert set(slots.origins) == {B}


def test_callers_take_turns_when_one_has_many_lanes() -> None:
    flood = [Lane(False, 1, f"https://{n}.example:443") for n in range(3)]
    small, retry = Lane(False, 2, A), Lane(True, 2, B)
    assert in_turn([retry, *flood, small]) == [flood[0], small, *flood[1:], retry]


def test_first_attempts_get_nearly_all_when_retries_wait_too() -> None:
    shares = share([Lane(True, 1, A), Lane(False, 1, B)], SenderSlots(128), 48, 0.0)
    assert shares == {Lane(False, 1, B): 42, Lane(True, 1, A): 6}


def test_retries_get_what_is_left_when_first_attempts_are_held_back() -> None:
    slots = SenderSlots(64)
    fail(slots, B)
    assert share([Lane(True, 1, A), Lane(False, 1, B)], slots, 50, 0.0) == {Lane(True, 1, A): 32}


def test_lanes_of_one_origin_share_its_room_when_both_are_due() -> None:
    lanes = [Lane(False, 1, A), Lane(False, 2, A), Lane(True, 1, A)]
    assert sum(share(lanes, SenderSlots(8), 50, 0.0).values()) == 4


def test_nothing_is_shared_when_no_slot_is_free() -> None:
    slots = SenderSlots(1)
    slots.acquire(A)
    assert share([Lane(False, 1, B)], slots, 50, 0.0) == {}
