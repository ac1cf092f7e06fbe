"""What an order costs, counted and not timed: statements, commits and Redis commands.

The numbers are those of docs/performance.md. One that grows is a decision, not an accident.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from kernel.builtin import (
    CreateProject,
    ImportProjects,
    create_project,
    import_projects,
)
from kernel.builtin import handlers as builtin
from kernel.db.states import OrderState, Outcome
from kernel.delivery import first_attempt as handover
from kernel.delivery.attempt import attempt
from kernel.delivery.claim import DueDelivery
from kernel.delivery.record import record
from kernel.handlers import Handlers, Run
from kernel.orders.gates.limits import known
from kernel.runs import claim
from kernel.runs.execute import execute_each
from kernel.runs.together import company
from kernel.runtime.kernel import Kernel
from kernel.views.http import gate
from kernel.worker.broker import Broker
from kernel.worker.dispatcher import Dispatcher
from tests.support.clients import Client, FakeHints, client
from tests.support.factories import CALLBACK
from tests.support.servers import Redis

PAGE = Path(__file__).resolve().parents[2] / "docs" / "performance.md"
ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| (\d+) \| (\d+) \|$", re.MULTILINE)
REDIS_ROW = re.compile(r"^\| (hint|result) \| (\d+) \|$", re.MULTILINE)
PROJECT = {"projname": "Bridge", "prodesc": "over the river"}
ARGS: dict[str, dict[str, Any]] = {
    "create_project": PROJECT,
    "import_projects": {"projects": [PROJECT] * 200},
}
# The same order as `create_project`, with a limit.
LIMITED: dict[str, dict[str, Any]] = {
    "concurrency": {"concurrency": 4},
    "rate": {"rate": "60/m"},
    "both": {"concurrency": 4, "rate": "60/m"},
}
TAGS = [*ARGS, *LIMITED]
ARGS |= dict.fromkeys((*LIMITED, "together"), PROJECT)
COUNTED = ("statements", "commits", "rollbacks")


@contextmanager
def counting(kernel: Kernel) -> Iterator[Counter[str]]:
    """Count what is said to the database. On SQLite neither BEGIN nor ROLLBACK is a round trip."""
    found: Counter[str] = Counter(dict.fromkeys(COUNTED, 0))

    def note(what: str) -> Callable[..., None]:
        return lambda *_: found.update([what])

    def say(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        found["statements"] += not statement.startswith("BEGIN")

    def say_alone(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        found["commits"] += not statement.startswith("SELECT")  # it is a transaction of its own

    heard: list[tuple[Any, str, Callable[..., None]]] = []
    for engine in set(kernel.engines[1:]):
        heard.append((engine, "before_cursor_execute", say))
        if engine is not kernel.engines.single or engine is kernel.engine:
            heard.append((engine, "commit", note("commits")))
    if kernel.engine is not kernel.engines.single:
        heard.append((kernel.engines.single, "before_cursor_execute", say_alone))
        heard += [(one, "rollback", note("rollbacks")) for one in kernel.engines[1::2]]
    for one in heard:
        event.listen(*one)
    yield found
    for one in heard:
        event.remove(*one)


class Line:
    """The stages of one order, each called as its edge calls it."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.caller: Client = client(kernel)
        self.sent: list[DueDelivery] = []
        self.desk = Dispatcher(kernel, FakeHints()).desk
        self.desk.send = self.sent.append
        self.desk.open()

    def submit(self, tag: str, **members: str) -> str:
        """T1."""
        order = {"select_tag": tag, "callback_url": CALLBACK, **ARGS[tag], **members}
        answer = self.caller.post("/v1/orders", json=order)
        return str(answer.json["data"]["order_id"])

    def run(self, *order_ids: str) -> None:
        """T2 and T3, for orders that were hinted together."""
        with self.desk.first_attempts() as first_attempts:
            for end in execute_each(self.kernel, order_ids, first_attempts):
                assert end.owed is not None
                assert first_attempts.send(end.owed)

    def send(self) -> None:
        """T5: T4 does not happen."""
        due = self.sent.pop()
        record(self.kernel, [attempt(self.kernel, due)])
        self.desk.end(due.target, None)


@pytest.fixture
def kernel(make_kernel: Callable[..., Kernel], database_url: str) -> Kernel:
    """A kernel with the built-in handlers, alone and with limits; no rate is ever reached."""
    handlers = Handlers()

    def later(run: Run, args: CreateProject) -> dict[str, Any]:
        made.clock.shift(1.0)
        return create_project(run, args)

    handlers.register("create_project", CreateProject)(create_project)
    handlers.register("import_projects", ImportProjects)(import_projects)
    for tag, limits in LIMITED.items():
        handlers.register(tag, CreateProject, **limits)(later)
    # As the built-in one is registered.
    is_short = builtin.get("create_project").together
    handlers.register("together", CreateProject, together=is_short)(create_project)
    made = make_kernel(database_url, handlers)
    return made


@pytest.fixture
def line(kernel: Kernel, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Line:
    """A line whose caches and connections are warm, and stay so on a machine that is busy."""
    for module in (handover, gate, known):
        monkeypatch.setattr(module, "KNOWN_SECONDS", 3600.0)
    # The second order of a message is given back when the first takes long.
    monkeypatch.setattr(claim, "BATCH_SECONDS", 3600.0)
    monkeypatch.setattr(company, "TOGETHER_SECONDS", 3600.0)
    line = Line(kernel)
    # No more than that: orders of a rate take time.
    asked = getattr(request.node, "callspec", None)
    tag = asked.params.get("tag", "create_project") if asked else "create_project"
    line.run(line.submit(tag))
    line.send()
    return line


@pytest.mark.parametrize("tag", TAGS)
def test_statements_and_commits_are_the_documented_ones_when_an_order_succeeds(
    line: Line, tag: str
) -> None:
    with counting(line.kernel) as submit:
        order_id = line.submit(tag)
    with counting(line.kernel) as run:
        line.run(order_id)
    with counting(line.kernel) as send:
        line.send()
    together = [line.submit(tag), line.submit(tag)]
    with counting(line.kernel) as both:
        line.run(*together)
    following = {name: both[name] - run[name] for name in COUNTED}
    found = {"submit": submit, "run": run, "next": following, "send": send}
    assert {stage: dict(counts) for stage, counts in found.items()} == documented(tag)


def test_statements_and_commits_of_orders_that_share_a_commit_are_the_documented_ones(
    line: Line,
) -> None:
    found: dict[str, Counter[str]] = {}

    def count(stage: str, orders: int) -> None:
        ids = [line.submit("together") for _ in range(orders)]
        with counting(line.kernel) as found[stage]:
            line.run(*ids)
        while line.sent:
            line.send()

    with counting(line.kernel) as found["submit"]:
        order_id = line.submit("together")
    with counting(line.kernel) as found["run"]:
        line.run(order_id)
    with counting(line.kernel) as found["send"]:
        line.send()
    for _ in range(20):  # a receiver of which nothing is known is sent four at once
        line.run(line.submit("together"))
        line.send()
    count("two", 2)
    count("ten", 10)
    count("twenty", 20)
    following = {name: found["twenty"][name] - found["ten"][name] for name in COUNTED}
    del found["twenty"]
    stages = {stage: dict(counts) for stage, counts in found.items()} | {"next": following}
    assert stages == documented("together")


def documented(kind: str) -> dict[str, dict[str, int]]:
    """What the page says of each stage of an order of this kind."""
    return {
        stage: {"statements": int(statements), "commits": int(commits), "rollbacks": 0}
        for one, stage, statements, commits in ROW.findall(PAGE.read_text())
        if one == kind
    }


def test_statements_and_commits_of_an_ordering_key_are_the_documented_ones(line: Line) -> None:
    """An order whose turn it is, one that waits for it, the end that passes it on, and the last."""
    key = {"ordering_key": "customer 4711"}
    line.run(line.submit("create_project", **key))  # the key's row is there
    with counting(line.kernel) as submit:
        first = line.submit("create_project", **key)
    with counting(line.kernel) as behind:
        second = line.submit("create_project", **key)
    with counting(line.kernel) as passing:
        line.run(first)
    with counting(line.kernel) as run:
        line.run(second)
    found = {"submit": submit, "behind": behind, "passing": passing, "run": run}
    assert {stage: dict(counts) for stage, counts in found.items()} == documented("ordering_key")


def test_redis_commands_are_the_documented_ones_when_hints_and_results_are_sent(
    make_kernel: Callable[..., Kernel], sqlite_url: str, redis: Redis
) -> None:
    urls = {"broker_url": redis.url(1), "result_backend": redis.url(2)}
    broker = Broker(make_kernel(sqlite_url, **urls))
    outcome = Outcome(OrderState.SUCCESS, "success", "{}")
    said: dict[str, Callable[[], None]] = {
        "hint": lambda: broker.hint(["0199aaaa-0000-7000-8000-000000000000"]),
        "result": lambda: broker.finished("0199aaaa-0000-7000-8000-000000000000", outcome),
    }
    documented = {name: int(count) for name, count in REDIS_ROW.findall(PAGE.read_text())}
    assert {name: _commands(redis, broker, say) for name, say in said.items()} == documented


def _commands(redis: Redis, broker: Broker, say: Callable[[], None]) -> int:
    """How many commands it takes on a connection that is open already."""
    counts = []
    for _ in range(2):
        with redis.client() as client:
            client.config_resetstat()
            say()
            assert broker.flush(5)
            stats: Any = client.info("commandstats")
        counts.append(sum(one["calls"] for name, one in stats.items() if "config" not in name))
    return counts[1]
