"""What goes on by itself: ended windows and waits, stuck keys, parents and children."""

from time import monotonic

from kernel.orders.cancel import go_down
from kernel.orders.ends.descent import next_descents
from kernel.orders.gates.children import WaitingParents, childless, wake_parent, with_parent
from kernel.orders.gates.stuck_keys import StuckKey, release_key, stuck_keys
from kernel.orders.gates.waiting import end_wait, ended_waits
from kernel.orders.gates.windows import close_window, ended_windows
from kernel.orders.transitions import RunEnd
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.job import Swept
from kernel.worker.maintenance.set_aside import SetAside

# How many windows one sweep closes: during an outage very many may have ended.
WINDOWS = 500
# How many ordering keys one sweep looks at.
KEYS = 500
# How many parents one sweep looks at.
PARENTS = 500
# For how long one sweep cancels children, in seconds: its process renews leases beside it.
DOWN_SECONDS = 1.0


def expire_orders(kernel: Kernel, swept: Swept, aside: SetAside | None = None) -> None:
    """Close windows that have ended. A row that cannot be written is set ``aside``."""
    aside = SetAside("order not expired") if aside is None else aside

    def close(order_id: str) -> None:
        if (end := close_window(kernel, order_id)) is not None:
            swept.add(with_parent(kernel, end))

    aside.do_each(ended_windows(kernel, WINDOWS + len(aside)), close, key=str)


def wake_orders(kernel: Kernel, swept: Swept, aside: SetAside | None = None) -> None:
    """Have orders go on whose waits have ended. A row that cannot be written is set ``aside``."""
    aside = SetAside("order not woken") if aside is None else aside

    def go_on(order_id: str) -> None:
        if end_wait(kernel, order_id):
            swept.rescued.append(order_id)

    aside.do_each(ended_waits(kernel, WINDOWS + len(aside)), go_on, key=str)


class ReleaseKeys:
    """Has orders go on whose key's holder has ended; looks at some keys with each sweep."""

    def __init__(self) -> None:
        self._after = ""
        self._aside = SetAside("ordering key not released", what_id="ordering_key")

    def run(self, kernel: Kernel, swept: Swept) -> None:
        """Look at the next keys, and release those that are stuck."""
        found, self._after = stuck_keys(kernel, self._after, KEYS)

        def release(stuck: StuckKey) -> None:
            swept.rescued.extend(release_key(kernel, stuck))

        self._aside.do_each(found, release, key=lambda stuck: stuck.ordering_key)


class Parents:
    """Looks at orders that wait for their children, `PARENTS` with each sweep."""

    def __init__(self) -> None:
        self._waiting = WaitingParents()
        self._aside = SetAside("parent not woken")

    def run(self, kernel: Kernel, swept: Swept) -> None:
        """Have those go on that have no live child. A row that cannot be written is set aside."""
        with kernel.read_session() as session:
            found = childless(session, self._waiting.next(session, PARENTS))

        def go_on(parent_id: str) -> None:
            if (end := wake_parent(kernel, parent_id)) is not None:
                swept.add(end)

        self._aside.do_each(found, go_on, key=str)


class Descents:
    """Cancels the children of orders whose cancel did not come to all of them."""

    def __init__(self) -> None:
        self._aside = SetAside("children not cancelled")

    def run(self, kernel: Kernel, swept: Swept) -> None:
        """Go on for `DOWN_SECONDS`; a parent whose children cannot be written is set aside."""
        until = monotonic() + DOWN_SECONDS
        with kernel.read_session() as session:
            found = next_descents(session, PARENTS + len(self._aside))

        def go_on(parent_id: str) -> None:
            if monotonic() > until:
                return
            ends: list[RunEnd] = []
            try:
                go_down(kernel, parent_id, ends, until)
            finally:
                for end in ends:
                    swept.add(end)

        self._aside.do_each(found, go_on, key=str)
