"""What was ordered of an older release, and what must become of each order."""

import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import requests

from tests.support.receiver import Receiver
from tests.support.waiting import wait_until
from tests.upgrade.older import Older
from tests.upgrade.releases import Release

FINAL = ("success", "warning", "failed", "cancelled")
CALLERS = ("zammad", "otrs")
SECONDS = 60.0
# A moment that no test sees, so that what waits for it still waits.
FAR = "2099-01-01T00:00:00Z"


@dataclass
class Ordered:
    """One order: by whom, with which body, and how it has to end.

    ``told``: its callback had arrived before the upgrade. ``effects``: the rows that it leaves.
    """

    id: str
    caller: str
    name: str
    body: dict[str, Any]
    key: str
    page: str
    end: str = "success"
    told: bool = False
    effects: dict[str, int] = field(default_factory=dict)


@dataclass
class Past:
    """All that is known of an older installation when its processes have ended."""

    keys: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    orders: list[Ordered] = field(default_factory=list)
    # When it ended, in seconds of Unix time, and where its receiver listened.
    ended: float = 0.0
    port: int = 0

    def dumps(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def loads(cls, text: str) -> Self:
        """Read JSON. Bodies are as they were sent: the same submit again names the same port."""
        given = json.loads(text)
        orders = [Ordered(**one) for one in given.pop("orders")]
        return cls(**given, orders=orders)


class Client:
    """Orders of the older release, and takes down what."""

    def __init__(self, older: Older, receiver: Receiver, past: Past) -> None:
        self.older, self.receiver, self.past = older, receiver, past

    def ask(self, method: str, path: str, caller: str, **options: Any) -> requests.Response:
        """Ask the API with the caller's key."""
        headers = {"Authorization": f"Bearer {self.past.keys[caller]}"} | options.pop("headers", {})
        return requests.request(
            method, self.older.url + path, headers=headers, timeout=10, **options
        )

    def order(self, name: str, tag: str, caller: str = "zammad", **more: Any) -> Ordered:
        """Submit one; ``more`` are `Ordered`'s members, and ``given`` the body's."""
        body = {"select_tag": tag, "callback_url": f"{self.receiver.url}{caller}/{name}"}
        body |= more.pop("given", {"name": name})
        key = f"key-{name}"
        answer = self.ask("POST", "/v1/orders", caller, json=body, headers={"Idempotency-Key": key})
        assert answer.status_code == 202, answer.text
        data = answer.json()["data"]
        page = data["page"].partition("/o/")[2]
        made = Ordered(data["order_id"], caller, name, body, key, page, **more)
        self.past.orders.append(made)
        return made

    def state(self, one: Ordered) -> str:
        """The state of an order."""
        return str(self.show(one)["state"])

    def show(self, one: Ordered) -> dict[str, Any]:
        """An order as the API shows it."""
        answer = self.ask("GET", f"/v1/orders/{one.id}", one.caller)
        data: dict[str, Any] = answer.json()["data"]
        return data

    def wait(self, one: Ordered, *states: str) -> None:
        """Wait until the order is in one of these states."""
        wait_until(lambda: self.state(one) in states, SECONDS, f"{one.name}: {states}")


BOTH = {"begun": 1, "done": 1}


def with_callers(older: Older, receiver: Receiver) -> Past:
    """Make the callers, and an operator's key."""
    past = Past(port=receiver.port)
    for caller in CALLERS:
        made = older.json("callers", "add", caller)
        past.keys[caller], past.secrets[caller] = made["api_key"], made["signing_secret"]
    made = older.json("callers", "add-key", CALLERS[0], "--scope", "operator")
    past.keys["operator"] = made["api_key"]
    return past


def live(older: Older, release: Release, receiver: Receiver) -> Past:
    """Live a while with the older release: orders in each state. Its processes have ended then."""
    client = Client(older, receiver, with_callers(older, receiver))
    past = client.past
    older.hold.touch()
    api, worker = older.api(), older.worker()
    _finish(client)
    _owe(client)
    if release.has_gates:
        _wait(client)
    _begin(client)
    known = sum(one.told for one in past.orders)
    wait_until(lambda: older.delivered(release) == known, SECONDS, "records of callbacks")
    worker.kill()  # with its pool process: the orders that run are nobody's now
    _leave_pending(client)
    older.end(api)
    past.ended = time.time()
    return past


def _finish(client: Client) -> None:
    """Orders that have ended and of which the caller knows."""
    made = {"projname": "桥", "prodesc": "一期"}
    finished = [
        client.order("told", "work", effects=BOTH, told=True),
        client.order("built", "create_project", given=made, told=True),
        client.order("refused", "refuse", "otrs", end="failed", told=True),
    ]
    for one in finished:
        client.wait(one, one.end)
    wait_until(lambda: told(client.receiver) >= {one.id for one in finished}, SECONDS, "callbacks")


def _owe(client: Client) -> None:
    """Orders that have ended, whose receiver does not answer well."""
    client.receiver.default = 503
    owed = [
        client.order("owed", "work", effects=BOTH),
        client.order("owed-too", "refuse", "otrs", end="failed"),
    ]
    for one in owed:
        client.wait(one, one.end)
    tried = {f"/{one.caller}/{one.name}" for one in owed}
    wait_until(lambda: tried <= {one.path for one in list(client.receiver.requests)}, SECONDS)


def _wait(client: Client) -> None:
    """What a release with gates keeps waiting: turns, events, children, windows, schedules."""
    older = client.older
    given = ["receivers", "add", "desk", "--caller", "otrs", "--url"]
    older.run(*given, f"{client.receiver.url}otrs/desk/", "--header", "X-Desk", given="secret\n")
    older.run(
        *("schedules", "add", "yearly", "--caller", "zammad", "--cron", "0 0 29 2 *"),
        *("--tag", "work", "--callback-url", f"{client.receiver.url}zammad/yearly"),
    )
    window = {"name": "window", "not_before": FAR}
    client.order("window", "work", given=window, end="pending")
    waits = client.order("approval", "approve", effects=BOTH)
    wait_until(lambda: client.show(waits).get("waiting_for"), SECONDS, "it waits for its event")


def _begin(client: Client) -> None:
    """Orders that the worker is killed with, and one that comes back a while later."""
    later = client.order("later", "later", effects={"done": 1})
    wait_until(lambda: client.ask("GET", f"/v1/orders/{later.id}", "zammad").ok, SECONDS)
    held = {"name": "running", "hold": True}
    running = client.order("running", "work", "otrs", given=held, effects=BOTH)
    client.wait(running, "running")


def _leave_pending(client: Client) -> None:
    """Orders that no worker has seen: their hints wait in the broker. And one that is cancelled."""
    for n in range(5):
        client.order(f"pending-{n}", "work", CALLERS[n % 2], effects=BOTH)
    cancelled = client.order("cancelled", "work", end="cancelled")
    assert client.ask("POST", f"/v1/orders/{cancelled.id}/cancel", "zammad").ok


def told(receiver: Receiver) -> set[str]:
    """The orders whose callbacks have arrived."""
    return set(arrived(receiver.requests))


def arrived(received: list[Any]) -> Counter[str]:
    """How often each order's callback has arrived."""
    found: Counter[str] = Counter()
    for request in list(received):
        data: Mapping[str, Any] = json.loads(request.body).get("data", {})
        found[str(data.get("order_id"))] += 1
    return found
