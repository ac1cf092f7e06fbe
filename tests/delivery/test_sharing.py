"""Receivers that are ill take little from those that are well: a dispatcher in a model of time.

The rules are the product's own (slots, lanes, gates); the clock, the processor and the receivers
are the test's. So the ratio is the same on every machine. The real thing is measured by
tests/performance/test_isolation.py.
"""

import heapq
from collections import Counter
from dataclasses import dataclass, field

import pytest

from kernel.delivery.breakers import Target
from kernel.delivery.lanes import Lane, share
from kernel.delivery.outgoing.gates import Gate, pace
from kernel.delivery.slots import SenderSlots

EACH, BATCH, THREADS, RATE = 100, 50, 128, 60
# Seconds of the one processor that an attempt and a claim take, and the least from claim to claim.
ATTEMPT, CLAIM, ROUND = 0.001, 0.008, 0.02
# The healthy ten take this many times as long with the other ten as alone, at the most.
MOST = 1.2


@dataclass
class Ill:
    """What a receiver answers, and after how many seconds."""

    reason: str | None
    seconds: float
    gate: Gate = field(default_factory=Gate)


class Gates:
    """The gates of receivers, as `SenderSlots` asks for them."""

    def __init__(self, receivers: dict[Target, Ill]) -> None:
        self.targets = receivers
        self.now = 0.0

    def allowed(self, target: Target) -> int | None:
        gate = self.targets[target].gate
        room = gate.room(self.now)
        return None if room is None else room + gate.in_use


def seconds_for_the_well(receivers: dict[Target, Ill], well: set[Target]) -> float:
    """Send EACH callbacks to each receiver; return when those that are well have theirs."""
    gates = Gates(receivers)
    slots = SenderSlots(THREADS, limits=gates)
    due = Counter(dict.fromkeys(receivers, EACH))  # a first retry comes later than all of this
    under_way: list[tuple[float, int, Target]] = []
    now, number, left = 0.0, 0, EACH * len(well)
    while left:
        gates.now = now
        shares = share([Lane(False, *one) for one in due], slots, BATCH, now)
        earliest = now + ROUND
        now += CLAIM if shares else 0.0
        for lane, count in shares.items():
            for _ in range(min(count, due[lane.target])):
                due[lane.target] -= 1
                one, number = receivers[lane.target], number + 1
                slots.acquire(lane.target)
                one.gate.in_use += 1
                if one.gate.pace is not None:
                    one.gate.whole_at = max(one.gate.whole_at, now) + one.gate.pace.spacing
                heapq.heappush(under_way, (now + one.seconds, number, lane.target))
        due = +due
        now = max(now, min(earliest, under_way[0][0]))
        while under_way and under_way[0][0] <= now:
            _, _, target = heapq.heappop(under_way)
            one, now = receivers[target], now + ATTEMPT
            one.gate.leave(one.reason, now, one.seconds)
            of_target = None if one.reason == "http_5xx" else one.reason
            slots.record(target, of_target, now, one.seconds)
            slots.release(target)
            left -= target in well
        now = max(now, earliest)
    return now


def targets(name: str, count: int) -> list[Target]:
    return [Target(1, f"https://{name}{number}.example:443") for number in range(count)]


@pytest.mark.parametrize("seconds", [0.01, 0.25], ids=["processor", "senders"])
def test_receivers_that_are_well_are_as_fast_as_alone_beside_ten_that_are_not(
    seconds: float,
) -> None:
    def well() -> dict[Target, Ill]:
        return {one: Ill(None, seconds) for one in targets("well", 10)}

    ill = {one: Ill("connect", 0.001) for one in targets("dead", 3)}
    ill |= {one: Ill("http_5xx", 0.01) for one in targets("broken", 2)}
    ill |= {one: Ill(None, 1.0) for one in targets("slow", 3)}
    ill |= {one: Ill(None, 0.01, Gate(pace=pace(RATE))) for one in targets("limited", 2)}
    alone = seconds_for_the_well(well(), set(well()))
    together = seconds_for_the_well(well() | ill, set(well()))
    assert together / alone <= MOST
