"""Whose turn it is: the orders that a free process takes from those that wait. Pure.

Callers take turns, and have one order each of them: a caller's long queue delays another caller's
order by one order. Among a caller's own orders priority and ageing are one comparison: an order of
high priority goes before those that became due up to `AGEING` before it, one of low priority behind
those that become due up to `AGEING` after it. So the low ones end too.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from itertools import chain, zip_longest
from typing import NamedTuple

# By how much priority moves an order ahead, or back, among the orders of its caller.
AGEING = timedelta(minutes=10)


class DueOrder(NamedTuple):
    """An order that is due, as far as its turn depends on it."""

    id: str
    caller_id: int
    priority: int
    run_after: datetime

    @property
    def rank(self) -> datetime:
        """What the orders of a caller are compared by: the lowest is the first."""
        return self.run_after + self.priority * AGEING


def deal(
    orders: Iterable[DueOrder],
    limit: int,
    last: int = 0,
    spread: int = 1,
    choose: Callable[[Sequence[DueOrder]], DueOrder] = random.choice,
) -> list[DueOrder]:
    """Return up to ``limit`` of ``orders``, one of each caller in turn.

    ``last``: the caller who had the turn before; those with a higher id come first. ``spread``: how
    many processes look at the same orders. Each takes one of as many neighbours of a caller, by
    chance, for two that took the same order would run it once and look for nothing once.
    """
    by_caller: dict[int, list[DueOrder]] = defaultdict(list)
    # Orders that went on together are due at the same moment: the one accepted first is the first.
    for one in sorted(orders, key=lambda due: (due.rank, due.id)):
        by_caller[one.caller_id].append(one)
    taken = [
        [choose(queue[n : n + spread]) for n in range(0, len(queue), spread)]
        for queue in map(by_caller.__getitem__, in_turn(by_caller, last))
    ]
    dealt = chain.from_iterable(zip_longest(*taken))
    return [one for one in dealt if one is not None][:limit]


def in_turn(callers: Iterable[int], last: int) -> list[int]:
    """Return ids of callers in the order of their turns, after that of ``last``."""
    return sorted(callers, key=lambda caller_id: (caller_id <= last, caller_id))
