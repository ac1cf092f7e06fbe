"""How many sender slots each origin may hold, and each lane gets. Pure."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.delivery.breakers import BREAK_AFTER, Target
from kernel.delivery.lanes import Lane, in_turn, share
from kernel.delivery.slots import FIRST_WINDOW, SenderSlots

ORIGINS = [f"https://{name}.example:443" for name in "abcd"]
A, B, C, D = (Target(1, origin) for origin in ORIGINS)
OTHERS = Target(2, A.origin)


def known(total: int, **more: Any) -> SenderSlots:
    """Return slots whose targets' windows are wide open, so that the other rules show."""
    return SenderSlots(total, **more, window=total)


def fill(slots: SenderSlots, target: Target, now: float = 0.0) -> int:
    """Acquire all slots that an origin may hold; return how many."""
    count = 0
    while slots.room(target, now) > 0:
        slots.acquire(target)
        count += 1
    return count


def end(slots: SenderSlots, target: Target, reason: str | None, now: float = 0.0) -> None:
    """End an attempt that holds a slot."""
    slots.record(target, reason, now)
    slots.release(target)


def fail(slots: SenderSlots, target: Target, times: int = BREAK_AFTER, now: float = 0.0) -> None:
    """Let attempts time out, one after the other."""
    for _ in range(times):
        slots.acquire(target)
        end(slots, target, "timeout", now)


def test_origins_leave_half_of_what_is_free_when_they_hang() -> None:
    slots = known(32)
    assert [fill(slots, one) for one in (A, B, C)] == [16, 8, 4]
    assert slots.room(D, 0.0) == 2


def test_room_comes_back_when_attempts_end() -> None:
    slots = known(8)
    for _ in range(fill(slots, A)):
        end(slots, A, None)
    assert (slots.free, slots.in_flight, slots.room(A, 0.0)) == (8, 0, 4)


def test_only_the_origin_that_fails_has_no_room_when_its_breaker_opens() -> None:
    slots = known(32)
    fail(slots, A)
    assert (slots.room(A, 9.9), slots.room(B, 9.9)) == (0, 16)


@pytest.mark.parametrize("released_unused", [False, True])
def test_one_probe_at_a_time_has_room_when_a_pause_is_over(released_unused: bool) -> None:
    slots = known(32)
    fail(slots, A)
    assert fill(slots, A, 10.1) == 1
    if released_unused:
        slots.release(A)
        assert fill(slots, A, 10.1) == 1
    end(slots, A, None, 11.0)
    assert slots.room(A, 11.0) == 2  # it is not sent at once all that waited


def test_no_probe_has_room_when_older_attempts_are_in_flight() -> None:
    slots = known(32)
    slots.acquire(A)
    fail(slots, A)
    assert slots.room(A, 10.1) == 0


def test_room_is_none_for_longer_when_a_probe_fails() -> None:
    slots = known(32)
    fail(slots, A)
    fail(slots, A, 1, now=11.0)
    assert (slots.room(A, 30.9), slots.room(A, 31.1)) == (0, 1)


def test_breakers_are_listed_by_state_when_they_are_not_closed() -> None:
    slots = known(32)
    fail(slots, A)
    fail(slots, B, now=5.0)
    fail(slots, C, BREAK_AFTER - 1)
    assert slots.breakers(9.0) == ([A, B], [])
    assert slots.breakers(11.0) == ([B], [A])


def test_target_has_few_slots_while_nothing_is_known_and_one_more_with_each_success() -> None:
    slots = SenderSlots(128)
    assert fill(slots, A) == FIRST_WINDOW
    for rounds in (1, 2, 3, 4):  # doubled with each round of answers, up to half of all slots
        for _ in range(slots.in_flight):
            end(slots, A, None)
        assert fill(slots, A) == min(64, FIRST_WINDOW << rounds)


@pytest.mark.parametrize(
    ("reason", "room"),
    [
        (None, 21),
        ("timeout", 10),
        ("connect", 10),
        ("http_4xx", 20),  # tells nothing of the host
        ("not_admitted", 20),  # nothing was sent
        ("internal", 20),
    ],
)
def test_window_grows_with_a_success_and_is_halved_by_a_failure(
    reason: str | None, room: int
) -> None:
    slots = SenderSlots(128, window=20)
    slots.acquire(A)
    end(slots, A, reason)
    assert slots.room(A, 0.0) == room


def test_window_is_never_shut_by_failures_and_opens_again_with_successes() -> None:
    slots = SenderSlots(128)
    for _ in range(9):
        fail(slots, A, BREAK_AFTER - 1)
        assert slots.room(A, 0.0) == 1
        slots.acquire(A)
        end(slots, A, None)
        assert slots.room(A, 0.0) == 2
    for _ in range(62):
        slots.acquire(A)
        end(slots, A, None)
    assert slots.room(A, 0.0) == 64


def test_what_was_learned_of_a_target_is_remembered_while_it_holds_no_slot() -> None:
    slots = SenderSlots(128, remembered=2)
    for target in (A, B, C):
        slots.acquire(target)
        end(slots, target, None)
    assert [slots.room(one, 0.0) for one in (A, B, C)] == [4, 5, 5]


def test_callers_take_turns_when_one_has_many_lanes() -> None:
    flood = [Lane(False, 1, f"https://{n}.example:443") for n in range(3)]
    small, retry = Lane(False, 2, A.origin), Lane(True, 2, B.origin)
    assert in_turn([retry, *flood, small]) == [flood[0], small, *flood[1:], retry]


def test_first_attempts_get_nearly_all_when_retries_wait_too() -> None:
    shares = share([Lane(True, 1, A.origin), Lane(False, 1, B.origin)], known(128), 48, 0.0)
    assert shares == {Lane(False, 1, B.origin): 42, Lane(True, 1, A.origin): 6}


def test_retries_get_what_is_left_when_first_attempts_are_held_back() -> None:
    slots = known(64)
    fail(slots, B)
    retry, first = Lane(True, 1, A.origin), Lane(False, 1, B.origin)
    assert share([retry, first], slots, 50, 0.0) == {retry: 32}


def test_lanes_without_room_take_nothing_of_what_the_others_are_dealt() -> None:
    slots = known(64)
    fail(slots, A)
    fail(slots, B)
    lanes = [Lane(False, 1, one.origin) for one in (C, A, D, B)]
    assert share(lanes, slots, 50, 0.0) == {lanes[0]: 25, lanes[2]: 25}
    retry = Lane(True, 1, A.origin)
    assert sum(share([*lanes, retry], slots, 50, 0.0).values()) == 50


def test_lanes_of_one_target_share_its_room_when_both_are_due() -> None:
    lanes = [Lane(False, 1, A.origin), Lane(True, 1, A.origin)]
    assert sum(share(lanes, known(8), 50, 0.0).values()) == 4


def test_other_callers_have_room_at_an_origin_when_ones_callbacks_fail_or_hang_there() -> None:
    slots = known(32)
    fail(slots, A)
    assert (slots.room(A, 9.9), slots.room(OTHERS, 9.9)) == (0, 16)
    assert (fill(slots, OTHERS), slots.room(Target(3, A.origin), 9.9)) == (16, 8)


def test_each_caller_probes_for_itself_when_its_pause_is_over() -> None:
    slots = known(32)
    for target in (A, OTHERS):
        fail(slots, target)
    lanes = [Lane(True, 1, A.origin), Lane(True, 2, A.origin)]
    assert share(lanes, slots, 50, 10.1) == dict.fromkeys(lanes, 1)


def test_failures_are_forgotten_when_too_many_targets_have_failed_since() -> None:
    slots = SenderSlots(4, remembered=2)
    slots.acquire(D)
    for target in (A, B, A, C):
        fail(slots, target)
    assert set(slots.targets) == {A, C, D}
    assert slots.room(B, 0.0) > 0 == slots.room(A, 0.0)


@given(
    st.lists(
        st.tuples(
            st.builds(Target, st.integers(1, 3), st.sampled_from(ORIGINS)),
            st.sampled_from([None, "connect", "http_5xx", "http_4xx"]),
        ),
        max_size=60,
    )
)
def test_no_callers_failures_change_anothers_breaker(ends: list[tuple[Target, str | None]]) -> None:
    """Attempts of all callers end in turn; alone, each caller would have the same breakers."""
    together = known(4)
    alone = {number: known(4) for number in (1, 2, 3)}
    for now, (target, reason) in enumerate(ends):
        for slots in (together, alone[target.caller_id]):
            slots.acquire(target)
            end(slots, target, reason, now)
    later = len(ends) + 9.5
    for state in (0, 1):
        expected = {one for slots in alone.values() for one in slots.breakers(later)[state]}
        assert set(together.breakers(later)[state]) == expected
    assert together.free == 4


def test_nothing_is_shared_when_no_slot_is_free() -> None:
    slots = known(1)
    slots.acquire(A)
    assert share([Lane(False, 1, B.origin)], slots, 50, 0.0) == {}


def slow(slots: SenderSlots, *targets: Target) -> None:
    """Let an attempt of each take ten seconds."""
    for target in targets:
        slots.acquire(target)
        slots.record(target, None, 0.0, 10.0)
        slots.release(target)


def test_slow_targets_leave_a_quarter_to_the_others() -> None:
    slots = known(32)
    slow(slots, A, B, C)
    assert [fill(slots, one) for one in (A, B, C)] == [16, 8, 0]
    assert slots.room(D, 0.0) == 4


def test_slow_targets_get_little_while_others_have_something_to_send() -> None:
    slots = known(64)
    slow(slots, A, B)
    lanes = [Lane(False, 1, one.origin) for one in (A, B, C)]
    assert share(lanes, slots, 50, 0.0) == {lanes[0]: 4, lanes[1]: 4, lanes[2]: 32}
    assert sum(share(lanes[:2], slots, 50, 0.0).values()) == 50


def test_target_is_slow_no_more_when_its_attempts_are_quick_again() -> None:
    slots = known(32)
    slow(slots, A)
    slots.acquire(A)
    for _ in range(20):
        slots.acquire(A)
        slots.record(A, None, 0.0, 0.01)
        slots.release(A)
    assert (slots.is_slow(A), slots.room_beside_others) == (False, 4)


class OneReceiver:
    """A target whose receivers have room for so many attempts."""

    def __init__(self, allowed: int | None) -> None:
        self.targets = {A}
        self._allowed = allowed

    def allowed(self, target: Target) -> int | None:
        return self._allowed


def test_target_holds_no_more_than_its_receivers_have_room_for() -> None:
    for allowed, held in ((0, 0), (3, 3), (None, 16), (99, 16)):
        slots = known(32, limits=OneReceiver(allowed))
        assert (fill(slots, A), fill(slots, B) > 0) == (held, True)
