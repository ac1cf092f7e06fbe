"""Answers that are held back until an order has ended, without holding up the others.

A request that waits keeps a thread of the API busy, so no more than a quarter of a process's
threads wait at once. One that finds no place is answered as if it had not asked to wait.
"""

import threading
import time
from collections.abc import Callable

from flask import current_app
from sqlalchemy import bindparam, select

from kernel.db.states import OrderState
from kernel.db.tables.orders import ORDERS
from kernel.runtime.kernel import Kernel

# Seconds. ServiceNow gives up after 30, most proxies after 60.
MAX_WAIT = 30
# In the application's configuration, by gunicorn.conf.py: how many requests may wait at once, and
# what tells whether the server that asks is about to end.
LONG_POLLS, SERVER_ENDS = "KERNEL_LONG_POLLS", "KERNEL_SERVER_ENDS"
# A quarter of eight threads, for a server that does not say how many it has.
PLACES = 2
# Seconds between two looks at the row: soon at first, for most orders are short.
FIRST_LOOK, LAST_LOOK = 0.05, 0.5

_STATE = select(ORDERS.c.state).where(ORDERS.c.id == bindparam("order_id"))


class LongPolls:
    """The places of one process for requests that wait."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken = 0

    def wait(self, kernel: Kernel, order_id: str, seconds: float) -> None:
        """Return when the order has ended or is not there, or after ``seconds``.

        At once where all places are taken, and soon when the server is about to end. No
        connection to the database is held between two looks at the row.
        """
        if seconds <= 0 or not self._take():
            return
        try:
            until_ended(kernel, order_id, seconds, _server_ends())
        finally:
            with self._lock:
                self._taken -= 1

    def _take(self) -> bool:
        places: int = current_app.config.get(LONG_POLLS, PLACES)
        with self._lock:
            is_free = self._taken < places
            self._taken += is_free
        return is_free


def until_ended(
    kernel: Kernel, order_id: str, seconds: float, server_ends: Callable[[], bool]
) -> None:
    """Look at the order's row until it has ended, the time is over, or the server ends."""
    end, look = time.monotonic() + seconds, FIRST_LOOK
    while not server_ends():
        with kernel.read() as connection:
            state = connection.scalar(_STATE, {"order_id": order_id})
        left = end - time.monotonic()
        if state is None or OrderState(state).is_final or left <= 0:
            return
        time.sleep(min(look, left))  # polls the row: no message reaches this process
        look = min(look * 1.5, LAST_LOOK)


def _server_ends() -> Callable[[], bool]:
    found: Callable[[], bool] = current_app.config.get(SERVER_ENDS, lambda: False)
    return found
