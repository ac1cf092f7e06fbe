"""The clients: a steady stream of orders, each retried with its key until it is accepted."""

import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import requests

from tests.chaos.handlers import ROWS
from tests.chaos.receiver import Book

CLIENTS = 6
TIMEOUT_SECONDS = 4.0
PAUSE_SECONDS = 0.3
# One order in so many is sent twice, although the first answer arrived.
REPEATED = 25


@dataclass(frozen=True)
class Order:
    """An order, and what must have become of it when all is quiet."""

    key: str
    body: dict[str, Any]
    state: str
    rows: tuple[str, ...]

    @property
    def tag(self) -> str:
        """Its select_tag."""
        return str(self.body["select_tag"])


def order(key: str, rand: random.Random) -> Order:
    """Make an order of a random kind; its rows carry its key."""
    share = rand.random()
    if share < 0.6:
        return create(key)
    if share < 0.75:
        first, second = rand.sample(ROWS, 2)
        return touch(key, first, second, sloppy=rand.random() < 0.3)
    if share < 0.95:
        return _import(key, rand)
    return Order(key, {"select_tag": "create_project", "projname": "  "}, "failed", ())


def create(key: str, tag: str = "create_project", state: str = "success") -> Order:
    """Make an order for one project."""
    rows = (f"{key}#0",)
    body = {"select_tag": tag, "projname": rows[0]}
    return Order(key, body, state, rows if state == "success" else ())


def touch(key: str, first: str, second: str, *, sloppy: bool = False, pause_ms: int = 0) -> Order:
    """Make an order for one project that is counted in two contended rows."""
    body = {"select_tag": "touch_project", "projname": f"{key}#0", "first": first}
    body |= {"second": second, "sloppy": sloppy, "pause_ms": pause_ms}
    return Order(key, body, "success", (f"{key}#0",))


def _import(key: str, rand: random.Random) -> Order:
    rows = [f"{key}#{number}" for number in range(rand.randint(15, 70))]
    projects: list[Any] = [{"projname": row} for row in rows]
    bad = rand.choice((0, 0, 2))
    for _ in range(bad):
        projects.insert(rand.randrange(len(projects)), {"projname": ""})
    body = {"select_tag": "import_projects", "projects": projects}
    body["pause_ms"] = rand.choice((0, 100, 300))
    return Order(key, body, "warning" if bad else "success", tuple(rows))


class Load:
    """Clients in threads; ``book`` gets every 2xx answer. Orders made meanwhile are kept."""

    def __init__(self, url: str, api_key: str, callbacks: Sequence[str], book: Book) -> None:
        self.url, self.api_key, self.callbacks, self.book = url, api_key, callbacks, book
        self.orders: dict[str, Order] = {}
        self.refused: list[str] = []
        self.made = self.accepted = self.retries = 0
        self.rate = 8.0
        self._rand = random.Random()
        self._stop, self._give_up = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._next_at = time.monotonic()
        self._threads: list[threading.Thread] = []

    def start(self, seed: int) -> None:
        """Start the clients."""
        self._rand.seed(f"load {seed}")
        self._threads = [threading.Thread(target=self._client) for _ in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def stop(self, seconds: float) -> bool:
        """Make no new orders; wait until the ones under way are accepted. True if they are."""
        self._stop.set()
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._give_up.set()
        late = [thread for thread in self._threads if thread.is_alive()]
        for thread in late:
            thread.join(2 * TIMEOUT_SECONDS)
        return not late

    def send(self, one: Order) -> None:
        """Submit an order of a fault's own, beside the stream."""
        thread = threading.Thread(target=self.submit, args=(one,), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _client(self) -> None:
        while not self._stop.is_set():
            moment, one = self._next()
            time.sleep(max(0.0, moment - time.monotonic()))
            self.submit(one)

    def _next(self) -> tuple[float, Order]:
        with self._lock:
            self._next_at = max(self._next_at, time.monotonic() - 1) + 1 / self.rate
            one = order(f"o{self.made:05d}", self._rand)
            self.made += 1
            return self._next_at, one

    def submit(self, one: Order) -> None:
        """Submit until accepted, with the same key, as a careful client does."""
        self.orders[one.key] = one
        number = sum(map(ord, one.key))
        body = one.body | {"callback_url": self.callbacks[number % len(self.callbacks)]}
        again = 2 if number % REPEATED == 0 else 1
        with requests.Session() as session:
            while again and not self._give_up.is_set():
                if self._post(session, one.key, body):
                    again -= 1
                else:
                    self.retries += 1
                    self._give_up.wait(PAUSE_SECONDS)

    def _post(self, session: requests.Session, key: str, body: dict[str, Any]) -> bool:
        """Return True when there is nothing more to try."""
        headers = {"Authorization": f"Bearer {self.api_key}", "Idempotency-Key": key}
        try:
            answer = session.post(
                f"{self.url}/v1/orders", json=body, headers=headers, timeout=TIMEOUT_SECONDS
            )
            said = answer.json()
        except (requests.RequestException, ValueError):
            return False
        if answer.ok:
            self.book.write(key=key, order_id=said["data"]["order_id"])
            self.accepted += 1
        elif answer.status_code < 500 and answer.status_code != 429:
            self.refused.append(f"{key}: {answer.status_code} {answer.text[:200]}")
        else:
            return False
        return True
