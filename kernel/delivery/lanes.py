"""How many of the free sender slots each lane gets. Pure."""

from collections.abc import Iterable, Sequence
from itertools import chain, zip_longest
from typing import NamedTuple

from kernel.delivery.breakers import Target
from kernel.delivery.slots import SenderSlots

# First attempts go first, except that an eighth of a batch is kept for retries.
RETRY_SHARE = 8


class Lane(NamedTuple):
    """Deliveries that queue together: first attempts or retries of one caller to one origin."""

    is_retry: bool
    caller_id: int
    origin: str

    @property
    def target(self) -> Target:
        """What its attempts share slots and a breaker with."""
        return Target(self.caller_id, self.origin)


def in_turn(lanes: Iterable[Lane]) -> list[Lane]:
    """Order lanes: first attempts before retries, and in each of the two the callers in turn."""
    ordered: list[Lane] = []
    lanes = list(lanes)
    for is_retry in (False, True):
        by_caller: dict[int, list[Lane]] = {}
        for lane in lanes:
            if lane.is_retry == is_retry:
                by_caller.setdefault(lane.caller_id, []).append(lane)
        turns = chain.from_iterable(zip_longest(*by_caller.values()))
        ordered += [lane for lane in turns if lane is not None]
    return ordered


def share(lanes: Iterable[Lane], slots: SenderSlots, limit: int, now: float) -> dict[Lane, int]:
    """Decide how many deliveries to claim from each lane, ``limit`` together, as room allows.

    ``now`` is in monotonic seconds. Lanes that get none are left out.
    """
    ordered = in_turn(lanes)
    first = [lane for lane in ordered if not lane.is_retry]
    retries = ordered[len(first) :]
    limit = min(limit, slots.free)
    room = _room([lane.target for lane in ordered], slots, now)
    kept = min(limit, max(1, limit // RETRY_SHARE), sum(room[lane.target] for lane in retries))
    shares = _deal(first, limit - kept, room)
    return shares | _deal(retries, limit - sum(shares.values()), room)


def _room(targets: Iterable[Target], slots: SenderSlots, now: float) -> dict[Target, int]:
    """Return what each target may take; slow ones little while others have something to send."""
    room = {target: slots.room(target, now) for target in targets}
    slow = [target for target in room if slots.is_slow(target)]
    if any(room[target] > 0 for target in room.keys() - slow):
        left = slots.room_beside_others
        for position, target in enumerate(slow):
            room[target] = min(room[target], -(-left // (len(slow) - position)))
            left -= room[target]
    return room


def _deal(lanes: Sequence[Lane], count: int, room: dict[Target, int]) -> dict[Lane, int]:
    """Deal ``count`` evenly to lanes; what one cannot take goes to the others. Uses up ``room``."""
    shares: dict[Lane, int] = {}
    while count > 0 and (takers := [lane for lane in lanes if room[lane.target] > 0]):
        for position, lane in enumerate(takers):
            fair = -(-count // (len(takers) - position))
            if (taken := min(fair, room[lane.target])) > 0:
                shares[lane] = shares.get(lane, 0) + taken
                room[lane.target] -= taken
                count -= taken
    return shares
