"""Polls every accepted order: soon after it was accepted, and until it has ended."""

import heapq
import itertools
import threading
import time
from typing import Any

from tests.chaos.orders import MEMBERS, Order
from tests.chaos.receiver import Book
from tests.chaos.traffic.client import Client

THREADS = 2
# An order is polled at once, and then in these steps.
STEP_SECONDS = 3.0
FINAL = ("success", "warning", "failed", "cancelled")


class Follower:
    """Polls in threads, with an operator's key; ``book`` gets every answer."""

    def __init__(self, url: str, api_key: str, book: Book) -> None:
        self._url, self._api_key, self._book = url, api_key, book
        self._lock = threading.Lock()
        self._due: list[tuple[float, int, Order, str]] = []
        self._order = itertools.count()
        self._busy = 0
        self._stop = threading.Event()
        # When each order was first seen at its end (seconds since the epoch), by its id.
        self.ended: dict[str, float] = {}
        self.deliveries: dict[str, str] = {}
        self._threads = [threading.Thread(target=self._poll_all) for _ in range(THREADS)]

    def start(self) -> None:
        """Start to poll."""
        for thread in self._threads:
            thread.start()

    def put(self, one: Order, order_id: str) -> None:
        """Poll this order from now on. For any thread."""
        self._put(0.0, one, order_id)

    @property
    def under_way(self) -> int:
        """How many orders were not polled to their end."""
        return len(self._due) + self._busy

    @property
    def is_idle(self) -> bool:
        """Whether every order was polled to its end."""
        return not self.under_way

    def hurry(self) -> None:
        """Poll what is left at once."""
        with self._lock:
            self._due = [(0.0, *rest) for _, *rest in self._due]  # type: ignore[misc]
            heapq.heapify(self._due)

    def stop(self) -> None:
        """Poll no more."""
        self._stop.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def _put(self, seconds: float, one: Order, order_id: str) -> None:
        with self._lock:
            due = time.monotonic() + seconds
            heapq.heappush(self._due, (due, next(self._order), one, order_id))

    def _take(self) -> tuple[Order, str] | None:
        with self._lock:
            if not self._due or self._due[0][0] > time.monotonic():
                return None
            _, _, one, order_id = heapq.heappop(self._due)
            self._busy += 1
            return one, order_id

    def _poll_all(self) -> None:
        client = Client(self._url, self._api_key, self._stop)
        while not self._stop.is_set():
            if (taken := self._take()) is None:
                self._stop.wait(0.05)
                continue
            one, order_id = taken
            if not self._poll(client, one, order_id):
                self._put(STEP_SECONDS, one, order_id)
            with self._lock:
                self._busy -= 1
        client.close()

    def _poll(self, client: Client, one: Order, order_id: str) -> bool:
        """Poll once; True at the order's end."""
        answer = client.ask("GET", f"/orders/{order_id}")
        if answer is None:
            return False
        data = answer.body["data"]
        if answer.code not in (200, 202):
            self._note(one, order_id, answer.code, answer.body, args=True)
            return True
        # Large, and compared here: the book keeps whether they are the same.
        args = data.pop("args", None) == _arguments(one)
        for delivery in data.pop("deliveries", ()):
            self.deliveries[order_id] = delivery["delivery_id"]
        self._note(one, order_id, answer.code, answer.body, args=args)
        if data["state"] not in FINAL:
            return False
        self.ended[order_id] = answer.at
        return True

    def _note(
        self, one: Order, order_id: str, code: int, body: dict[str, Any], *, args: bool
    ) -> None:
        data = body["data"]
        said = {"state": data.get("state", data.get("code")), "status": body["status"]}
        self._book.write(key=one.key, order_id=order_id, code=code, data=data, args=args, **said)


def _arguments(one: Order) -> dict[str, Any]:
    return {name: value for name, value in one.body.items() if name not in MEMBERS}
