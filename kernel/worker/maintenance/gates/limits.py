"""Limits: slots of runs that died are free, what is free is given away, idle places are deleted."""

from time import monotonic

from kernel.orders.gates.limits.known import Place
from kernel.orders.gates.limits.line import TOGETHER
from kernel.orders.gates.limits.lining_up import forget_idle, settle, unsettled, waited_for
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.job import Swept
from kernel.worker.maintenance.set_aside import SetAside

# Places of each kind that one sweep puts in order, and those that it looks at whether they are
# idle: its process renews leases and sends callbacks beside it.
PLACES, LOOKED_AT = 200, 100
# For how long one sweep lets orders go on of which very many wait, in seconds.
SETTLE_SECONDS = 1.0


class SettleLimits:
    """Looks after the places where orders line up, some with each sweep."""

    def __init__(self) -> None:
        self._aside = SetAside("limit not settled", what_id="place")
        # The last places that were put in order: of those to be looked at, where orders wait.
        self._after: Place | None = None
        self._waited: Place | None = None
        self._seen: Place | None = None

    def run(self, kernel: Kernel, swept: Swept) -> None:
        """Settle places where orders wait, or that a person's change is to be seen at."""
        wanted = unsettled(kernel, self._after, PLACES)
        self._after = wanted[-1] if len(wanted) == PLACES else None
        waited = waited_for(kernel, self._waited, PLACES)
        self._waited = waited[-1] if len(waited) == PLACES else None
        places, until = sorted({*wanted, *waited}), monotonic() + SETTLE_SECONDS

        def put_in_order(place: Place) -> None:
            there_are_more = True  # where there is no limit any more, and very many have waited
            while there_are_more:
                ends = settle(kernel, place)
                for end in ends:
                    if end.again_in:
                        swept.soon[end.order_id] = end.again_in
                    else:
                        swept.rescued.append(end.order_id)
                there_are_more = len(ends) >= TOGETHER and monotonic() < until

        # Another release may know the tags that this one does not.
        known = [one for one in places if one.tag in kernel.handlers]
        self._aside.do_each(known, put_in_order, key=lambda one: one.waiting_for)
        self._seen = forget_idle(kernel, self._seen, LOOKED_AT)
