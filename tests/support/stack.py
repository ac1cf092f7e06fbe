"""The whole system as it runs for real: gunicorn, workers and dispatchers, each a process."""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import requests

from kernel.builtin import handlers as builtin_handlers
from kernel.callers import keys
from kernel.callers.identity import WITHOUT_KEY
from kernel.cli.local.processes import Child, Program
from kernel.cli.local.supervisor import free_port
from kernel.config.settings import load
from kernel.db.schema import migrate
from kernel.runtime.installation import Name
from kernel.runtime.kernel import Kernel
from kernel.runtime.rotation import rotate
from tests.support.receiver import Receiver, Request
from tests.support.sealing import SECRETS_KEY
from tests.support.servers import Redis
from tests.support.waiting import is_running, wait_until

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
# Starting two stacks on two busy cores takes a while; nothing waits longer than it must.
PATIENCE = 60.0


class Stack:
    """One installation: a migrated database, a broker, and the processes a test starts.

    Settings are given by their environment names without the prefix, in lower case.
    """

    def __init__(self, folder: Path, database_url: str, redis: Redis, **settings: Any) -> None:
        self.folder = folder
        self.port = free_port()
        self.receiver = Receiver()
        self.redis = redis
        self.settings = {
            "database_url": database_url,
            "broker_url": redis.url(1),
            "result_backend": redis.url(2),
            "bind": f"127.0.0.1:{self.port}",
            "callback_allow_nets": "127.0.0.1/32",
            "lease_seconds": 3,
            "sweep_seconds": 1,
            "worker_processes": 1,
            "api_processes": 1,
            "secrets_key": SECRETS_KEY,
            **settings,
        }
        self.children: list[Child] = []
        # Folders that its programs import from, beside the checkout.
        self.path: list[str] = []

    def __enter__(self) -> Self:
        self.redis.client(1).flushdb()
        self.redis.client(2).flushdb()
        self.receiver.__enter__()
        url = self.settings["database_url"]
        migrate.upgrade(url)
        self.kernel = self._own_kernel()
        with self.kernel.write_session() as session:
            terms = keys.KeyTerms(WITHOUT_KEY)
            made = keys.add(session, "tests", self.kernel.clock.now(), terms=terms)
        assert made.api_key is not None
        assert made.signing_secret is not None
        self.key = made.api_key.get_secret_value()
        self.secret = made.signing_secret.get_secret_value()
        return self

    def __exit__(self, *error: object) -> None:
        for child in self.children:
            with suppress(ProcessLookupError):
                child.kill()
        self.receiver.__exit__(None, None, None)
        self.kernel.close()
        # A schema goes back only without sealed secrets. With new connections: those of the tests
        # may lead to a server that takes no writes any more.
        with closing(self._own_kernel()) as kernel:
            rotate(kernel, lambda _: None, to_clear=True)
        migrate.downgrade(self.settings["database_url"], "base")
        print(self.log())  # shown for a test that failed

    def _own_kernel(self) -> Kernel:
        """A kernel of the test's process on the stack's database."""
        given = {name: self.settings[name] for name in ("database_url", "secrets_key")}
        return Kernel(load(**given, result_backend=""), builtin_handlers)

    @property
    def queue(self) -> str:
        """What its queue of hints is called."""
        return self.kernel.one(Name).queue()

    def log(self) -> str:
        """What the processes said."""
        parts = [f"==== {path.name}\n{path.read_text()}" for path in self.folder.glob("*.log")]
        return "\n".join(parts)

    def start(self, name: str, *argv: str, ready: Callable[[], bool] | None = None) -> Child:
        """Start a program with this stack's settings; wait until it is ready."""
        env = {f"KERNEL_{key.upper()}": str(value) for key, value in self.settings.items()}
        env |= {"PYTHONPATH": os.pathsep.join([str(ROOT), *self.path]), "PYTHONWARNINGS": "default"}
        log = self.folder / f"{name}-{len(self.children)}.log"
        child = Child(Program(name, [str(BIN / argv[0]), *argv[1:]], env), log)
        self.children.append(child)
        if ready is not None:
            wait_until(lambda: child.returncode is not None or ready(), PATIENCE, name)
        assert child.returncode is None, log.read_text()
        return child

    def api(self) -> Child:
        """Start gunicorn as the README and the original do."""
        config = str(ROOT / "gunicorn.conf.py")
        return self.start("api", "gunicorn", "-c", config, "kernel:app", ready=self.answers)

    def worker(self, command: str = "kernel") -> Child:
        """Start a worker: ours, or with ``celery`` the original's command."""
        if command == "kernel":
            argv = ["kernel", "worker"]
        else:
            argv = ["celery", "-A", "kernel.views.api", "worker", "-l", "info"]
        before = self.log().count("ready.")
        return self.start("worker", *argv, ready=lambda: self.log().count("ready.") > before)

    def answers(self) -> bool:
        """Tell whether the API answers."""
        try:
            return self.get("/healthz").status_code == 200
        except (requests.ConnectionError, requests.Timeout):  # it listens before it is loaded
            return False

    def get(self, path: str, **options: Any) -> requests.Response:
        """GET with the caller's key."""
        return self._request("GET", path, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> requests.Response:
        """POST JSON with the caller's key."""
        return self._request("POST", path, json=body, **options)

    def _request(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, **options: Any
    ) -> requests.Response:
        url = f"http://127.0.0.1:{self.port}{path}"
        sent = {"Authorization": f"Bearer {self.key}"} if headers is None else dict(headers)
        return requests.request(method, url, headers=sent, timeout=10, **options)

    def submit(self, select_tag: str, key: str | None = None, **args: Any) -> str:
        """Submit an order whose callback goes to the receiver; return its id."""
        body = {"select_tag": select_tag, "callback_url": self.receiver.url, **args}
        headers = {"Authorization": f"Bearer {self.key}"}
        if key is not None:
            headers["Idempotency-Key"] = key
        answer = self.post("/v1/orders", body, headers=headers)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["data"]["order_id"])

    def show(self, order_id: str) -> dict[str, Any]:
        """The order as the API shows it."""
        data: dict[str, Any] = self.get(f"/v1/orders/{order_id}").json()["data"]
        return data

    def finished(self, order_id: str, seconds: float = PATIENCE) -> dict[str, Any]:
        """Wait until the order has ended; return it."""
        ended = ("success", "warning", "failed", "cancelled")
        wait_until(lambda: self.show(order_id)["state"] in ended, seconds, f"end of {order_id}")
        return self.show(order_id)

    def callback(self, order_id: str, seconds: float = PATIENCE) -> Request:
        """Wait for the order's callback; return the request as received."""

        def found() -> list[Request]:
            parsed = [(r, json.loads(r.body).get("data", {})) for r in list(self.receiver.requests)]
            return [r for r, data in parsed if data.get("order_id") == order_id]

        return wait_until(found, seconds, f"callback of {order_id}")[0]


def pool_process(child: Child) -> int:
    """The process id of a worker's first pool process: the youngest generation below it."""
    generation = [child.pid]
    while below := [pid for parent in generation for pid in children_of(parent)]:
        generation = below
    return generation[0]


def children_of(pid: int) -> list[int]:
    """The process ids of a process's living children."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):
            found += [int(child) for child in task.read_text().split()]
    return [child for child in found if is_running(child)]


def family(pid: int) -> list[int]:
    """A process and everything below it."""
    return [pid, *(one for child in children_of(pid) for one in family(child))]


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Hold a process with SIGSTOP."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
