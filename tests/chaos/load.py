"""The clients: a steady stream of orders, each retried with its key until it is accepted."""

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import requests

from tests.chaos.batches import batch_body, item_body, misses, told_ids
from tests.chaos.orders import BATCH_TAG, SECOND, Order, number_of, order, root_of
from tests.chaos.receiver import Book

CLIENTS = 6
TIMEOUT_SECONDS = 4.0
PAUSE_SECONDS = 0.3
# The clients wait while more orders are under way: else a machine that is slower than the load
# would be late after every fault, and never again in time.
MOST_UNDER_WAY = 60
# A client that waits no longer loses the answer, and the API has the request.
HASTY_SECONDS = 0.001
# One order in so many is sent twice, although the first answer arrived.
REPEATED = 25


@dataclass(frozen=True)
class Account:
    """A caller that orders: its key, and where its callbacks go."""

    name: str
    api_key: str
    callbacks: tuple[str, ...]


class Request(NamedTuple):
    """What is posted: where, with which idempotency key, and the members."""

    path: str
    key: str | None
    body: dict[str, Any]


class Load:
    """Clients in threads; ``book`` gets every 2xx answer. Orders made meanwhile are kept.

    One order in `SECOND` belongs to the second account, if there is one. ``accepted_by`` is called
    with each accepted order and its id, by the client's thread.
    """

    def __init__(self, url: str, accounts: Sequence[Account], book: Book) -> None:
        self.url, self.accounts, self.book = url, accounts, book
        self.accepted_by: Callable[[Order, str], object] = lambda _order, _order_id: None
        # How many accepted orders have not ended, as far as is known.
        self.under_way: Callable[[], int] = lambda: 0
        self.orders: dict[str, Order] = {}
        # When the windows of orders open and close, by their keys (seconds since the epoch).
        self.windows: dict[str, tuple[float | None, float | None]] = {}
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

    def close(self) -> None:
        """Make no new orders; those that others submit go on."""
        self._stop.set()

    def stop(self, seconds: float) -> bool:
        """Make no new orders; wait until the ones under way are accepted. True if they are."""
        self.close()
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
            if self.under_way() > MOST_UNDER_WAY:
                self._stop.wait(PAUSE_SECONDS)
                continue
            moment, one = self._next()
            time.sleep(max(0.0, moment - time.monotonic()))
            self.submit(one)

    def _next(self) -> tuple[float, Order]:
        with self._lock:
            self._next_at = max(self._next_at, time.monotonic() - 1) + 1 / self.rate
            one = order(f"o{self.made:05d}", self._rand)
            self.made += 1
            return self._next_at, one

    def account_of(self, key: str) -> Account:
        """Return whose order it is; those of a batch, and children, belong together."""
        return self.accounts[-1 if number_of(root_of(key)) % SECOND == 0 else 0]

    def submit(self, one: Order) -> str | None:
        """Submit until accepted, with the same key, as a careful client does; return the id."""
        self.orders |= {each.key: each for each in (one, *one.family)}
        account = self.account_of(one.key)
        with requests.Session() as session:
            session.headers["Authorization"] = f"Bearer {account.api_key}"
            if one.tag == BATCH_TAG:
                return self._submit_batch(session, one)
            body = item_body(one, account.callbacks, number_of(one.key)) | self._window(one)
            order_id = self._submit_one(session, one, body)
            if one.told and order_id is not None:
                self._tell_twice(session, one, order_id)
        if order_id is not None:
            self.accepted_by(one, order_id)
        return order_id

    def _submit_one(
        self, session: requests.Session, one: Order, body: dict[str, Any]
    ) -> str | None:
        order_id = None
        for _ in range(2 if number_of(one.key) % REPEATED == 0 else 1):
            data = self._insist(session, Request("/orders", one.key, body))
            if data is None:
                return None
            order_id = str(data["order_id"])
            self.book.write(key=one.key, order_id=order_id)
            self.accepted += 1
        return order_id

    def _submit_batch(self, session: requests.Session, one: Order) -> str | None:
        """Submit a batch, every other one twice, or after a try whose answer is not waited for.

        Of a loose one the first order is accepted before, by itself.
        """
        number = number_of(one.key)
        body = batch_body(one, self.account_of(one.key).callbacks, number)
        if one.is_loose:
            first, given = one.family[0], dict(body["orders"][0])
            del given["idempotency_key"]
            if self._submit_one(session, first, given) is None:
                return None
        request = Request("/orders/batch", None if one.is_loose else one.key, body)
        if number % 2:
            self._post(session, request, HASTY_SECONDS)
        ids: dict[str, str] = {}
        for _ in range(1 if number % 2 else 2):
            data = self._insist(session, request)
            if data is None:
                return None
            self.refused += misses(one, data)
            ids = told_ids(one, data)
            for key, order_id in ids.items():
                self.book.write(key=key, order_id=order_id)
            self.accepted += 1
        for each in (one, *one.family):
            if each.key in ids:
                self.accepted_by(each, ids[each.key])
        return ids.get(one.key)

    def _insist(self, session: requests.Session, request: Request) -> dict[str, Any] | None:
        """Post until it is accepted; None when it is refused, or the run ends first."""
        while not self._give_up.is_set():
            done, data = self._post(session, request)
            if done:
                return data
            self.retries += 1
            self._give_up.wait(PAUSE_SECONDS)
        return None

    def _window(self, one: Order) -> dict[str, str]:
        """Return the members that say when an order may begin, and note when that is."""
        now = datetime.now(UTC)
        times = {
            name: now + timedelta(seconds=after)
            for name, after in (("not_before", one.opens_in), ("not_after", one.closes_in))
            if after is not None
        }
        if times:
            told = {name: moment.timestamp() for name, moment in times.items()}
            self.windows[one.key] = told.get("not_before"), told.get("not_after")
        return {name: moment.isoformat() for name, moment in times.items()}

    def _tell_twice(self, session: requests.Session, one: Order, order_id: str) -> None:
        self._give_up.wait(one.tells_in)
        for _ in range(2):
            while not self._give_up.is_set() and not self._tell(session, one, order_id):
                self._give_up.wait(PAUSE_SECONDS)

    def _tell(self, session: requests.Session, one: Order, order_id: str) -> bool:
        """Tell an order its event; False when that has to be done again."""
        event = {"name": "approved", "data": {"by": one.key}, "event_id": one.key}
        url = f"{self.url}/v1/orders/{order_id}/events"
        try:
            code = session.post(url, json=event, timeout=TIMEOUT_SECONDS).status_code
        except requests.RequestException:
            return False
        return code < 500 and code != 429

    def _post(
        self, session: requests.Session, request: Request, seconds: float = TIMEOUT_SECONDS
    ) -> tuple[bool, dict[str, Any] | None]:
        """Return whether there is nothing more to try, and what the answer says if accepted."""
        headers = {} if request.key is None else {"Idempotency-Key": request.key}
        try:
            answer = session.post(
                f"{self.url}/v1{request.path}",
                json=request.body,
                headers=headers,
                timeout=(TIMEOUT_SECONDS, seconds),
            )
            said = answer.json()
        except (requests.RequestException, ValueError):
            return False, None
        if answer.ok:
            return True, said["data"]
        if answer.status_code >= 500 or answer.status_code == 429:
            return False, None
        self.refused.append(f"{request.key}: {answer.status_code} {answer.text[:200]}")
        return True, None
