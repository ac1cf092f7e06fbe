"""What bulk acts do, and to orders and callbacks of which states. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from kernel.db.states import DeliveryState, OrderState
from kernel.errors import InvalidOrder
from kernel.filters.callbacks import CallbackFilter
from kernel.filters.orders import OrderFilter
from kernel.formats.order_request import problem

Filter = OrderFilter | CallbackFilter
# Items a minute that a rate may say.
MOST_RATE = 1_000_000


class Kind(StrEnum):
    """What is done to each item. The names stand in rows and on the wire: never change one."""

    # An order that has ended, once more as a new one.
    RERUN = "rerun"
    CANCEL = "cancel"
    # A callback that is over, sent again.
    REDELIVER = "redeliver"
    # A callback that is not delivered, never sent (again).
    DROP = "drop"

    @property
    def is_of_orders(self) -> bool:
        """Whether its items are orders; those of the others are callbacks."""
        return self in (Kind.RERUN, Kind.CANCEL)

    @property
    def possible(self) -> tuple[OrderState | DeliveryState, ...]:
        """The states of items that it can be done to."""
        return _POSSIBLE[self]

    @property
    def meant(self) -> tuple[OrderState | DeliveryState, ...]:
        """The states that are meant where the filter says none."""
        return _MEANT[self]


class JobState(StrEnum):
    """How a bulk act stands. The names stand in rows and on the wire: never change one."""

    RUNNING = "running"
    DONE = "done"
    ABORTED = "aborted"


FINAL = tuple(state for state in OrderState if state.is_final)
# In the order in which orders go through them, so that one that moves on meanwhile is found.
LIVE = (OrderState.WAITING, OrderState.PENDING, OrderState.RUNNING)
_POSSIBLE: Mapping[Kind, tuple[OrderState | DeliveryState, ...]] = {
    Kind.RERUN: FINAL,
    Kind.CANCEL: LIVE,
    Kind.REDELIVER: DeliveryState.over(),
    Kind.DROP: (DeliveryState.HELD, DeliveryState.PENDING, DeliveryState.DEAD),
}
# Those meant where the filter says no state.
_MEANT: Mapping[Kind, tuple[OrderState | DeliveryState, ...]] = {
    Kind.RERUN: (OrderState.FAILED,),
    Kind.CANCEL: LIVE,
    Kind.REDELIVER: (DeliveryState.DEAD,),
    Kind.DROP: (DeliveryState.HELD, DeliveryState.PENDING),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """A bulk act as a person asks for it.

    ``again``: orders that were re-run already are re-run once more. ``reshaped``: callbacks are
    sent as their receivers' shapes are now. ``rate``: items a minute, at the most; None: as fast as
    it goes.
    """

    kind: Kind
    wanted: Filter
    again: bool = False
    reshaped: bool = False
    rate: int | None = None

    def parts(self) -> list[Filter]:
        """Return the filter once for each state of an item that fits. Raises InvalidOrder."""
        return [_in_state(self.wanted, state) for state in self.states()]

    def states(self) -> tuple[OrderState | DeliveryState, ...]:
        """Return the states of the items. Raises InvalidOrder where none can be of this kind."""
        possible, meant = self.kind.possible, self.kind.meant
        said = self.wanted.state
        given = self._given()
        fitting = [one for one in (meant if said is None else possible) if one in given]
        # Without a state: those that a code or a time of the filter leaves.
        fitting = fitting or [one for one in possible if said is None and one in given]
        if not fitting:
            raise InvalidOrder(errors=[problem("/state", "invalid_state", self._refusal())])
        return tuple(fitting)

    def _given(self) -> tuple[Any, ...]:
        if isinstance(self.wanted, OrderFilter):
            states = self.wanted.states  # of demands that differ none: not all
            return tuple(OrderState) if states is None else states
        return (self.wanted.state,) if self.wanted.state else tuple(DeliveryState)

    def _refusal(self) -> str:
        known = ", ".join(self.kind.possible)
        return f"a {self.kind} is for {self.noun} in these states: {known}"

    @property
    def noun(self) -> str:
        """What its items are called."""
        return "orders" if self.kind.is_of_orders else "callbacks"

    def check(self) -> None:
        """Refuse what makes no sense. Raises InvalidOrder with every problem."""
        problems = []
        if isinstance(self.wanted, OrderFilter) is not self.kind.is_of_orders:
            detail = f"a {self.kind} has a filter of {self.noun}"
            problems.append(problem("/filter", "invalid_filter", detail))
        else:
            try:
                self.states()
            except InvalidOrder as invalid:
                problems += invalid.data["errors"]
        if self.rate is not None and not 1 <= self.rate <= MOST_RATE:
            detail = f"from 1 to {MOST_RATE} a minute"
            problems.append(problem("/rate", "out_of_range", detail))
        if self.again and self.kind is not Kind.RERUN:
            problems.append(problem("/again", "invalid_option", "is for re-runs"))
        if self.reshaped and self.kind is not Kind.REDELIVER:
            detail = "is for callbacks that are sent again"
            problems.append(problem("/with_current_shape", "invalid_option", detail))
        if problems:
            raise InvalidOrder("the bulk act is not valid", errors=problems)


def _in_state(wanted: Filter, state: Any) -> Filter:
    if isinstance(wanted, OrderFilter):  # of pending ones, those that wait are a part of their own
        return replace(wanted, state=state, as_callers_see=False)
    return replace(wanted, state=state)


def kept(wanted: Filter) -> str:
    """Return a filter as a job's row keeps it."""
    return json.dumps(wanted.kept(), ensure_ascii=False, sort_keys=True)


def plan_of(row: Any) -> Plan:
    """Return what a job's row asks for.

    Raises TypeError for what only a newer release knows, and ValueError for what none can read.
    """
    if row.kind not in set(Kind):
        raise TypeError(f"no bulk act is a {row.kind}")
    kind = Kind(row.kind)
    filters: type[OrderFilter] | type[CallbackFilter] = (
        OrderFilter if kind.is_of_orders else CallbackFilter
    )
    return Plan(kind, filters.of(json.loads(row.wanted)), row.again, row.reshaped, row.rate)
