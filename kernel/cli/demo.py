"""`kernel demo`: the main job from end to end, with everything embedded in a temporary folder.

Submits four orders over HTTP, as a ticketing system would, and receives their callbacks. The
first unexpected answer, callback or row count ends the demo with a reason and exit code 1.
"""

import http.client
import json
import os
import queue
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from sqlalchemy import func, select

from kernel.builtin import projects
from kernel.callers import keys
from kernel.callers.callback_rules import CallerRules
from kernel.cli.local.programs import (
    api_program,
    configured,
    copied,
    embedded_broker,
    has_swept,
    worker_program,
)
from kernel.cli.local.receiver import Inbox, Received
from kernel.cli.local.supervisor import Supervisor, free_port
from kernel.cli.opening import migrated, opened
from kernel.cli.terminal.output import cell
from kernel.config.settings import PREFIX, load
from kernel.config.toml_file import CONFIG_FILE
from kernel.db.dialects import file_url
from kernel.db.tables.deliveries import DELIVERIES
from kernel.db.tables.orders import ORDERS
from kernel.errors import KernelError
from kernel.runtime.kernel import Kernel

if TYPE_CHECKING:
    from click._termui_impl import ProgressBar

CALLER = "demo"
ROWS = 200
BAD_ROWS = (17, 88, 143)
PAUSE_MS = 120
# Long, because the first start compiles every module, perhaps on a busy machine.
PATIENCE_SECONDS = 60.0
POLL_SECONDS = 0.05
LOG_TAIL = 2000
EXPECTED_ROWS = {
    "projects": 1 + ROWS - len(BAD_ROWS),
    "orders": {"success": 1, "warning": 1, "failed": 1},
    "callbacks": {"delivered": 3},
}


class DemoFailed(KernelError):
    """An answer, a callback or a row count was not the expected one."""


@click.command()
def demo() -> None:
    """Show the main job from end to end.

    Four orders, their callbacks, and the rows they left, in less than 30 s. Uses nothing of
    yours (settings, database, broker) except KERNEL_LANGUAGE, and leaves nothing behind.
    """
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kernel-demo-") as folder, _own_settings(Path(folder)):
        try:
            run(Path(folder))
        except DemoFailed:
            _show_logs(Path(folder))
            raise
    click.echo(f"\nAll as it should be, after {time.monotonic() - started:.1f} s; nothing is left.")


def _show_logs(folder: Path) -> None:
    """Print the last 2,000 characters of each program's log: the folder will be deleted."""
    for file in sorted(folder.glob("*.log")):
        tail = file.read_text(errors="replace")[-LOG_TAIL:]
        click.echo(f"--- {file.name}\n{tail}", err=True)


@contextmanager
def _own_settings(folder: Path) -> Iterator[None]:
    """Hide the user's settings from this process and its children; put them back afterwards."""
    before = dict(os.environ)
    for name in before:
        if name.startswith(PREFIX) and name != f"{PREFIX}LANGUAGE":
            del os.environ[name]
    os.environ[CONFIG_FILE] = str(folder / "kernel.toml")
    (folder / "kernel.toml").touch()
    os.environ[f"{PREFIX}DATABASE_URL"] = file_url(folder / "kernel.db")
    os.environ[f"{PREFIX}HANDLERS"] = "kernel.cli.local.paced_import:handlers"
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def run(folder: Path) -> None:
    """Start the programs in ``folder``, submit the four orders, check the rows they left."""
    received: queue.SimpleQueue[Received] = queue.SimpleQueue()
    with Supervisor(logs=folder) as supervisor:
        _heading("Starting a broker, the API and a worker")
        migrated(load())
        bind = f"127.0.0.1:{free_port()}"
        with opened() as kernel:
            key, secrets = _add_caller(kernel)
            _start(supervisor, kernel, bind, folder)
            with Inbox(secrets, received.put) as inbox:
                client = Client(bind, key, inbox.url, received)
                click.echo(f"  API       http://{bind}\n  receiver  {inbox.url}")
                _submit_orders(client)
            _show_rows(kernel)


def _add_caller(kernel: Kernel) -> tuple[str, list[str]]:
    """Add the ticketing system; return its API key and signing secrets."""
    with kernel.write_session() as session:
        made = keys.add(session, CALLER, kernel.clock.now(), CallerRules(nets=["127.0.0.1/32"]))
    assert made.api_key is not None  # noqa: S101 - a new caller has both
    assert made.signing_secret is not None  # noqa: S101
    return made.api_key.get_secret_value(), [made.signing_secret.get_secret_value()]


def _start(supervisor: Supervisor, kernel: Kernel, bind: str, folder: Path) -> None:
    broker, overrides = embedded_broker(folder)
    worker = replace(worker_program(kernel.settings), ready=has_swept(kernel))
    kernel.close()  # for the copies; what is open is opened again with its next use
    supervisor.start(broker)
    supervisor.start(configured(copied(api_program(bind)), overrides))
    supervisor.start(configured(copied(worker), overrides))
    supervisor.wait_until_ready(PATIENCE_SECONDS)


@dataclass(frozen=True)
class Client:
    """What a ticketing system does: it submits, polls, and receives callbacks."""

    bind: str
    key: str
    callback_url: str
    received: "queue.SimpleQueue[Received]"

    def ask(
        self, method: str, path: str, order: Any = None, key: str = ""
    ) -> tuple[http.client.HTTPResponse, dict[str, Any]]:
        """Send a request; return the answer's head and its envelope."""
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        if key:
            headers["Idempotency-Key"] = key
        with closing(http.client.HTTPConnection(self.bind, timeout=10)) as connection:
            connection.request(method, path, json.dumps(order) if order else None, headers)
            answer = connection.getresponse()
            return answer, json.loads(answer.read())

    def submit(self, order: dict[str, Any], key: str) -> str:
        """Submit the order of ticket ``key``, print the pending answer, return the order's id."""
        order = {**order, "reference": key, "callback_url": self.callback_url}
        answer, envelope = self.ask("POST", "/v1/orders", order, key)
        _print_answer(answer, envelope)
        expect("the answer", answer.status, HTTPStatus.ACCEPTED)
        expect("its status", envelope["status"], 2)
        return str(envelope["data"]["order_id"])

    def callback(self, order_id: str, status: int) -> Received:
        """Wait for the callback of an order, print it, and return it if its status is right."""
        try:
            received = self.received.get(timeout=PATIENCE_SECONDS)
        except queue.Empty:
            raise DemoFailed(f"no callback after {PATIENCE_SECONDS:g} s") from None
        told = received.data.get("error") or received.data.get("result")
        shown = textwrap.shorten(cell(told), 160, placeholder=" ...")
        ticket = cell(received.data.get("reference"))
        click.echo(f"  callback  {ticket}: status {received.status}, {received.msg}: {shown}")
        click.echo(f"            signature verified, webhook-id {received.webhook_id}")
        expect("the callback's order", received.order_id, order_id)
        expect("the callback's status", received.status, status)
        return received

    def follow(self, order_id: str) -> None:
        """Poll an order and show its progress until it has ended."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        with _bar() as move:
            while True:
                answer, envelope = self.ask("GET", f"/v1/orders/{order_id}")
                move(envelope["data"].get("progress", {}).get("current", ROWS))
                if answer.status == HTTPStatus.OK:
                    return
                if time.monotonic() > deadline:
                    raise DemoFailed(f"the order has not ended after {PATIENCE_SECONDS:g} s")
                time.sleep(POLL_SECONDS)  # as a ticketing system polls


def _print_answer(answer: http.client.HTTPResponse, envelope: dict[str, Any]) -> None:
    replayed = ", Idempotency-Replayed" if answer.headers["Idempotency-Replayed"] else ""
    order_id = envelope["data"].get("order_id")
    status, msg = envelope["status"], envelope["msg"]
    click.echo(f"  answer    {answer.status}{replayed}: status {status}, {msg}, order {order_id}")


@contextmanager
def _bar() -> Iterator[Callable[[int], None]]:
    """Yield a function that shows the number of rows done: a bar on a terminal, else lines."""
    shown = 0

    def advance(bar: "ProgressBar[int]", current: int) -> None:
        nonlocal shown
        if current > shown:
            bar.update(current - shown)
            if not sys.stdout.isatty():
                click.echo(f"  progress  {current} of {ROWS}")
            shown = current

    with click.progressbar(length=ROWS, label="  progress", hidden=not sys.stdout.isatty()) as bar:
        yield lambda current: advance(bar, current)


def _submit_orders(client: Client) -> None:
    _heading("A project is created")
    project = {"select_tag": "create_project", "projname": "Demo", "prodesc": "made by the demo"}
    first = client.submit(project, "ticket-1")
    client.callback(first, 0)

    _heading(f"{ROWS} projects are imported, {len(BAD_ROWS)} of which are bad")
    order_id = client.submit({"select_tag": "import_projects", **_rows()}, "ticket-2")
    client.follow(order_id)
    result = client.callback(order_id, 1).data["result"]
    expect("the rows that failed", [error["row"] for error in result["errors"]], [*BAD_ROWS])

    _heading("The handler rejects an order")
    blank = {"select_tag": "create_project", "projname": "   "}
    error = client.callback(client.submit(blank, "ticket-3"), -1).data["error"]
    expect("the reason", error["code"], "blank_name")

    _heading("The first order is sent once more, with its idempotency key")
    repeat = {**project, "reference": "ticket-1", "callback_url": client.callback_url}
    answer, envelope = client.ask("POST", "/v1/orders", repeat, "ticket-1")
    _print_answer(answer, envelope)
    expect("Idempotency-Replayed", answer.headers["Idempotency-Replayed"], "true")
    expect("the order", envelope["data"]["order_id"], first)


def _rows() -> dict[str, Any]:
    rows: list[dict[str, Any]] = [{"projname": f"Project {n}"} for n in range(ROWS)]
    for number in BAD_ROWS:
        rows[number] = {"projname": ""}
    return {"projects": rows, "pause_ms": PAUSE_MS}


def _show_rows(kernel: Kernel) -> None:
    """Print the row counts; waits, as a callback's result is written after its answer."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (found := _count(kernel)) != EXPECTED_ROWS and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)  # until the callbacks' results are written
    _heading("What is in the database")
    for name, count in found.items():
        click.echo(f"  {name:<9} {count if isinstance(count, int) else _listed(count)}")
    expect("the rows in the database", found, EXPECTED_ROWS)


def _count(kernel: Kernel) -> dict[str, Any]:
    def by_state(table: Any) -> dict[str, int]:
        query = select(table.c.state, func.count()).group_by(table.c.state)
        return {row[0]: row[1] for row in session.execute(query)}

    with kernel.read_session() as session:
        return {
            "projects": session.scalar(select(func.count()).select_from(projects)),
            "orders": by_state(ORDERS),
            "callbacks": by_state(DELIVERIES),
        }


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))


def expect(what: str, found: Any, wanted: Any) -> None:
    """Raise DemoFailed unless ``found`` equals ``wanted``."""
    if found != wanted:
        raise DemoFailed(f"{what}: expected {wanted!r}, found {found!r}")


def _heading(text: str) -> None:
    click.secho(f"\n{text}", bold=True)
