"""Cancels, pauses, resumes, redelivers, replays and ages orders, round after round, under load.

What is asked for stands in a book together with the answer.
"""

import random
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from tests.chaos.checks.record import Aged, Entry
from tests.chaos.database import REFUSED
from tests.chaos.load import Account, Load
from tests.chaos.orders import Order, create, patient
from tests.chaos.receiver import Book
from tests.chaos.stack import System
from tests.chaos.traffic.accounts import SECOND
from tests.chaos.traffic.client import Answer, Client
from tests.chaos.traffic.follow import Follower

HOLD_SECONDS = 6.0
BETWEEN_SECONDS = 2.0
# A replay sends the callbacks again of orders that ended in this time, some while ago.
REPLAYED_SECONDS, REPLAYED_AGO_SECONDS = 5.0, 13.0
# Orders are aged when no replay will reach back to them any more.
SETTLED_SECONDS = 2.0
REDELIVERED, AGED = 2, 3
LONG_AGO = "2020-01-01 00:00:00.000000"
Snapshot = Callable[[str], Aged | None]


class Operations:
    """Does rounds of it in threads. ``snapshot`` reads an order's rows before they are aged."""

    def __init__(
        self, system: System, load: Load, follower: Follower, operator_key: str, snapshot: Snapshot
    ) -> None:
        self.system, self.load, self.follower = system, load, follower
        self.snapshot = snapshot
        self.book = Book(system.folder / "asked.jsonl")
        self.aged: dict[str, Aged] = {}
        self.rounds = 0
        # What ended a thread of ours: from then on it asks for nothing.
        self.failed: list[str] = []
        self._key = operator_key
        self._rand = random.Random()
        self._stop, self._give_up = threading.Event(), threading.Event()
        # Deliveries that were asked for again: their orders are not aged.
        self._again: set[str] = set()
        self._threads: list[threading.Thread] = []

    def start(self, seed: int) -> None:
        """Start the first round."""
        self._rand.seed(f"operations {seed}")
        self._begin(self._go_round)

    def close(self) -> None:
        """Begin no further round; the one under way ends its pauses."""
        self._stop.set()

    @property
    def is_over(self) -> bool:
        """Whether every answer is there."""
        return not any(thread.is_alive() for thread in self._threads)

    def give_up(self) -> None:
        """Wait for no more answers."""
        self._stop.set()
        self._give_up.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def _begin(self, work: Callable[..., None], *given: Any) -> None:
        thread = threading.Thread(target=self._work, args=(work, *given))
        self._threads.append(thread)
        thread.start()

    def _work(self, work: Callable[..., None], *given: Any) -> None:
        try:
            work(*given)
        except Exception as error:  # noqa: BLE001 - it is a finding
            traceback.print_exc()
            self.failed.append(f"the load itself failed: {error!r}")

    def _client(self, account: Account | None = None) -> Client:
        return Client(
            self.load.url, self._key if account is None else account.api_key, self._give_up
        )

    def _go_round(self) -> None:
        client = self._client()
        while not self._stop.is_set():
            number = self.rounds
            first = self.load.accounts[0]
            url = urlsplit(self._rand.choice(first.callbacks))
            self._begin(self._cancel, patient(f"c{number:04d}-p"), self._rand.uniform(0.0, 0.5))
            self._begin(self._cancel, create(f"c{number:04d}-c"), None)
            pauses = [
                self._pause(client, {"host": url.netloc}, url.port),
                self._pause(client, {"caller": SECOND}, self._port_of_second()),
            ]
            until = time.monotonic() + HOLD_SECONDS
            self._redeliver(client)
            self._replay(client)
            self._age()
            self._stop.wait(max(0.0, until - time.monotonic()))
            for pause in pauses:
                self._resume(client, pause)
            self.rounds += 1
            self._stop.wait(BETWEEN_SECONDS)
        client.close()

    def _port_of_second(self) -> int | None:
        return urlsplit(self.load.accounts[-1].callbacks[0]).port

    # ---- cancels

    def _cancel(self, one: Order, after: float | None) -> None:
        """Order and cancel: at once, or that many seconds after the handler has begun."""
        order_id = self.load.submit(one)
        if order_id is None:
            return
        client = self._client(self.load.account_of(one.key))
        if after is not None:
            while self._state(client, order_id) == "pending":
                self._give_up.wait(0.2)
            self._give_up.wait(after)
        asked = time.time()
        answer = client.insist("POST", f"/orders/{order_id}/cancel")
        client.close()
        state, word = ("", "none") if answer is None else _cancelled(answer)
        answered = time.time() if answer is None else answer.at
        told = {"answer": word, "state": state, "asked": asked, "answered": answered}
        self.book.write(kind="cancel", key=one.key, order_id=order_id, **told)

    def _state(self, client: Client, order_id: str) -> str:
        answer = client.insist("GET", f"/orders/{order_id}")
        return "" if answer is None else str(answer.body["data"]["state"])

    # ---- pauses

    def _pause(self, client: Client, target: dict[str, str], port: int | None) -> Entry:
        [what] = target
        pause: Entry = {"what": what, "port": port, "target": target, "asked": time.time()}
        answer = client.insist("POST", "/pauses", target)
        pause["from"] = answer.at if answer is not None and answer.code == 201 else None
        return pause

    def _resume(self, client: Client, pause: Entry) -> None:
        """End a pause: from the first request on, callbacks may be sent."""
        pause["until"] = time.time()
        [what], [value] = pause["target"], pause["target"].values()
        while (listed := client.insist("GET", "/pauses")) is not None:
            held = [
                one["pause_id"]
                for one in listed.body["data"]["pauses"]
                if (one["host"] == value if what == "host" else one["caller_id"] is not None)
            ]
            if not held:
                break
            client.insist("DELETE", f"/pauses/{held[0]}")
        self.book.write(kind="pause", answer="", **pause)

    # ---- callbacks again

    def _redeliver(self, client: Client) -> None:
        ended = [one for one in self.follower.ended.copy() if self._may_be_again(one)]
        for order_id in self._rand.sample(ended, min(REDELIVERED, len(ended))):
            delivery_id, asked = self.follower.deliveries[order_id], time.time()
            self._again.add(order_id)
            answer = client.ask("POST", f"/deliveries/{delivery_id}/redeliver")
            told: Entry = {"asked": asked, "answer": "none", "key": None, "order_id": order_id}
            if answer is not None and answer.code == 202:
                told["answer"] = (
                    "redelivered" if answer.body["data"]["redelivered"] else "in flight"
                )
            self.book.write(kind="redeliver", **told)

    def _may_be_again(self, order_id: str) -> bool:
        return order_id in self.follower.deliveries and order_id not in self.aged

    def _replay(self, client: Client) -> None:
        asked = time.time()
        until = asked - REPLAYED_AGO_SECONDS
        since = until - REPLAYED_SECONDS
        window = {"since": _iso(since), "until": _iso(until), "status": "delivered"}
        answer = client.ask("POST", "/deliveries/replay", window)
        done = answer is not None and answer.code == 202
        told = {"asked": asked, "since": since, "until": until}
        count = 0 if answer is None else answer.body["data"].get("replayed", 0)
        self.book.write(kind="replay", answer="replayed" if done else "none", count=count, **told)

    # ---- orders past retention

    def _age(self) -> None:
        """Make some finished orders older than retention: kernel prunes them at its next sweep."""
        before = time.time() - SETTLED_SECONDS - REPLAYED_AGO_SECONDS - REPLAYED_SECONDS
        old = [
            order_id
            for order_id, at in self.follower.ended.copy().items()
            if at < before and order_id not in self.aged and order_id not in self._again
        ]
        for order_id in self._rand.sample(old, min(AGED, len(old))):
            aged = self.snapshot(order_id)
            if aged is None:
                continue
            self.aged[order_id] = aged
            with suppress(*REFUSED):
                for table, name in (("kernel_deliveries", "order_id"), ("kernel_orders", "id")):
                    self.system.do(
                        f"UPDATE {table} SET finished_at = '{LONG_AGO}' WHERE {name} = '{order_id}'"
                        " AND finished_at IS NOT NULL"
                    )
                aged.done = True


def _cancelled(answer: Answer) -> tuple[str, str]:
    """Return the state that a cancel's answer tells, and a word for the answer."""
    data = answer.body["data"]
    state = str(data.get("state", ""))
    if answer.code == 409:
        return state, "refused"
    if answer.code not in (200, 202):
        return state, f"{answer.code}"
    return state, "cancelled" if state == "cancelled" else "noted"


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()
