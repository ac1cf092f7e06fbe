"""A second installation: a database of its own on the same server, and the same Redis."""

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import requests
from sqlalchemy import make_url

from kernel.callers import keys
from kernel.cli.local.processes import Child, Program
from kernel.cli.local.supervisor import free_port
from kernel.config.settings import load
from kernel.db.schema import migrate
from kernel.runtime.kernel import Kernel
from tests.chaos.checks.record import CALLBACK_LOST, TWICE, WORK_LOST, WRONG, Finding
from tests.chaos.database import REFUSED, connect
from tests.chaos.receiver import Book, Receiver

PAUSE = 1.0
# What a worker says when it hears hints of orders that its database does not have.
FOREIGN = b"are of no order"


class Second:
    """Takes orders while the first is broken. ``system`` is the first; only servers are shared.

    ``commands``: its processes, by name; ``shared``: more of their environment.
    """

    def __init__(self, system: Any, commands: dict[str, list[str]], shared: dict[str, str]) -> None:
        self.system, self._commands, self._shared = system, commands, shared
        self.folder: Path = system.folder / "second"
        self.port = free_port()
        self.accepted: dict[str, str] = {}
        self._children: dict[str, Child] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._submit_until_ended, daemon=True)

    # ---- its life

    def open(self) -> None:
        """Make its database, caller and receiver."""
        self.folder.mkdir()
        self.url: str = self.system.database.create_database()
        migrate.upgrade(self.url)
        kernel = Kernel(load(database_url=self.url, result_backend=""))
        with kernel.write_session() as session:
            made = keys.add(session, "second", kernel.clock.now())
        kernel.close()
        assert made.api_key is not None
        assert made.signing_secret is not None
        self._key = made.api_key.get_secret_value()
        self._calls = Book(self.folder / "callbacks.jsonl")
        self.receiver = Receiver(self._calls, made.signing_secret.get_secret_value())

    def start(self) -> None:
        """Start its processes and its client."""
        self.tick()
        self._thread.start()

    def tick(self) -> None:
        """Start again what has ended, as an init system would."""
        for name, argv in self._commands.items():
            child = self._children.get(name)
            if child is None or child.returncode is not None:
                if child is not None:
                    child.kill()
                program = Program(name, argv, self._env())
                self._children[name] = Child(program, self.folder / f"{name}.log")

    def is_quiet(self) -> bool:
        """Tell whether all that it accepted has ended, and every callback has arrived."""
        live = "SELECT COUNT(*) FROM kernel_orders WHERE state IN ('pending', 'running')"
        owed = "SELECT COUNT(*) FROM kernel_deliveries WHERE state <> 'delivered'"
        return self._ask(live) == [(0,)] and self._ask(owed) == [(0,)]

    def stop_submitting(self) -> None:
        """Order nothing more; what is under way is carried on until it is accepted."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(60)

    def close(self) -> None:
        """End its processes; leave nothing running."""
        self._ended.set()
        children, self._children = self._children, {}
        for child in children.values():
            with suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGTERM)
        deadline = time.monotonic() + 20
        while any(c.returncode is None for c in children.values()) and time.monotonic() < deadline:
            time.sleep(0.05)
        for child in children.values():
            child.kill()
        if hasattr(self, "receiver"):
            self.receiver.down()
            self._calls.close()

    def _env(self) -> dict[str, str]:
        settings = {
            "database_url": self.url,
            "broker_url": self.system.broker.url(1),
            "result_backend": self.system.broker.url(2),
            "bind": f"127.0.0.1:{self.port}",
            "callback_allow_nets": "127.0.0.1/32",
            "callback_schedule": "1,2,4",
            "lease_seconds": 5,
            "sweep_seconds": 1,
            "api_processes": 1,
            "worker_processes": 1,
            "worker_nice": 0,
        }
        env = {f"KERNEL_{name.upper()}": str(value) for name, value in settings.items()}
        return env | self._shared

    def _submit_until_ended(self) -> None:
        number = 0
        while not self._ended.wait(PAUSE):
            number += 1
            self._submit(f"second-{number}")

    def _submit(self, name: str) -> None:
        """Submit one order, as often as needed until it is accepted."""
        body = {"select_tag": "create_project", "projname": name}
        body["callback_url"] = self.receiver.url
        headers = {"Authorization": f"Bearer {self._key}", "Idempotency-Key": name}
        url = f"http://127.0.0.1:{self.port}/v1/orders"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with suppress(requests.RequestException):
                answer = requests.post(url, json=body, headers=headers, timeout=5)
                if answer.ok:
                    self.accepted[name] = answer.json()["data"]["order_id"]
                    return
            time.sleep(0.2)

    # ---- what is there

    def check(self) -> Iterator[Finding]:
        """What was promised and is not there, or more than once, and whose hints it heard."""
        if not self.accepted:
            yield Finding(WORK_LOST, "second: it has accepted nothing")
        rows = {key: (one, state) for one, key, state in self._orders()}
        made = Counter(name for (name,) in self._ask("SELECT projname FROM project_tb_project"))
        calls = Counter(call["order_id"] for call in self._calls.read() if call["answered"])
        for name, order_id in self.accepted.items():
            found, state = rows.get(name, (None, None))
            if (found, state) != (order_id, "success"):
                yield Finding(WORK_LOST, f"second: {name} is {state}", name)
            if made[name] != 1:
                kind = TWICE if made[name] else WORK_LOST
                yield Finding(kind, f"second: the project {name} is there {made[name]} times", name)
            if not calls[order_id]:
                yield Finding(CALLBACK_LOST, f"second: no callback of {name}", name)
        if not all(call["signed"] for call in self._calls.read()):
            yield Finding(WRONG, "second: a callback's signature is wrong")
        yield from foreign_hints("second", self.folder)

    def _orders(self) -> list[tuple[Any, ...]]:
        return self._ask("SELECT id, idempotency_key, state FROM kernel_orders")

    def _ask(self, query: str) -> list[tuple[Any, ...]]:
        with suppress(*REFUSED):
            connection = connect(self.system.database, make_url(self.url).database or "")
            try:
                cursor = connection.cursor()
                cursor.execute(query)
                return list(cursor.fetchall())
            finally:
                connection.close()
        return []

    def figures(self) -> dict[str, int]:
        """How many orders it has accepted."""
        return {"orders of the second installation": len(self.accepted)}


def foreign_hints(whose: str, folder: Path) -> Iterator[Finding]:
    """Whether a worker with logs in this folder heard hints of another installation's orders."""
    heard = sum(path.read_bytes().count(FOREIGN) for path in folder.glob("worker*.log"))
    if heard:
        yield Finding(WRONG, f"{whose}: heard another installation's hints, said {heard} times")
