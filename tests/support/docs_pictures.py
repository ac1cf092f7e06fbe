"""Makes the pictures of the docs from the real thing: `python -m tests.support.docs_pictures`.

Starts an installation on real servers, gives it an hour's history and some work to do, signs in and
takes what the browser shows. Names and numbers are made up, the same each time; the pages are not.
"""

import json
import random
import tempfile
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from playwright.sync_api import expect, sync_playwright
from sqlalchemy import insert, select, update

from kernel.builtin import CreateProject, create_project
from kernel.callers import identity
from kernel.db.ids import new_id
from kernel.db.states import OrderState
from kernel.db.tables.deliveries import ATTEMPTS, DELIVERIES
from kernel.db.tables.operating.pauses import PAUSES
from kernel.db.tables.orders import ORDERS
from kernel.db.tables.service import Worker
from kernel.handlers import Handlers, Run
from kernel.runtime.kernel import Kernel
from tests.support.handlers.paced import Leader, Pace, paced
from tests.support.people.browser import PATIENCE_MS, Window, launched
from tests.support.people.dashboard import operator_key
from tests.support.servers import MariaDB, Redis
from tests.support.stack import Stack
from tests.support.waiting import wait_until

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
SIZE = {"width": 1280, "height": 1130}
# A page that is looked at by everybody should not weigh more.
MAX_BYTES = 200_000
MINUTES = 60
# Somebody paused a host so many minutes ago.
PAUSED = 5
HOSTS = ("tickets.example.com", "snow.example.net", "relay.example.org")
TAGS = ("create_project", "create_project", "create_project", "import_projects", "open_rollout")
ENDS = [OrderState.SUCCESS] * 60 + [OrderState.WARNING] * 4 + [OrderState.FAILED] * 2

handlers = Handlers()
handlers.register("create_project", CreateProject)(create_project)


@handlers.register("import_projects", Pace, time_limit=600)
def import_projects(run: Run, args: Pace) -> dict[str, Any]:
    """Import as far as it is told: something to see on the page."""
    return paced(run, args)


def fill(kernel: Kernel, caller_id: int) -> None:
    """Insert what an hour of work leaves behind."""
    chance = random.Random(7)
    now = kernel.clock.now()
    orders, deliveries, attempts = [], [], []
    for minute in range(MINUTES - 1, -1, -1):
        for _ in range(chance.randint(14, 26) + (18 if 20 < minute < 32 else 0)):
            began = now - timedelta(minutes=minute, seconds=chance.uniform(0, 59))
            order, delivery = _past(chance, began, caller_id)
            delivery |= _trouble(chance, delivery, minute, now)
            orders.append(order)
            deliveries.append(delivery)
            attempts.append(_attempt(chance, delivery))
    paused = {"host": "relay.example.org", "created_at": now - timedelta(minutes=PAUSED)}
    with kernel.write_session() as session:
        for table, rows in ((ORDERS, orders), (DELIVERIES, deliveries), (ATTEMPTS, attempts)):
            session.execute(insert(table), rows)
        session.execute(insert(PAUSES).values(paused))


def _past(
    chance: random.Random, began: datetime, caller_id: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """One order that has ended, and its callback."""
    host, state = chance.choice(HOSTS), chance.choice(ENDS)
    took = timedelta(seconds=chance.lognormvariate(-2.2, 0.9))
    failed = state is OrderState.FAILED
    order = {
        "id": new_id(began),
        "caller_id": caller_id,
        "select_tag": chance.choice(TAGS),
        "args": json.dumps({"projname": f"Bridge {chance.randint(1, 999)}"}),
        "callback_url": f"https://{host}/callback",
        "fingerprint": "0" * 64,
        "created_at": began,
        "run_after": began,
        "started_at": began,
        "run": 1,
        "state": state,
        "finished_at": began + took,
        "message": "a project needs a name that is not blank" if failed else str(state),
        "error_code": "blank_name" if failed else None,
        "result": None if failed else "{}",
    }
    ended = began + took
    delivery = {
        "id": new_id(ended),
        "order_id": order["id"],
        "caller_id": caller_id,
        "origin": f"https://{host}:443",
        "url": order["callback_url"],
        "body": b"{}",
        "created_at": ended,
        "next_attempt_at": ended,
        "attempt": 1,
        "state": "delivered",
        "is_retry": False,
        "finished_at": ended,
    }
    return order, delivery


def _trouble(
    chance: random.Random, delivery: dict[str, Any], minute: int, now: datetime
) -> dict[str, Any]:
    """What became of a callback other than delivered: given up, tried later, or held."""
    host = delivery["origin"].split("/")[2]
    if host == "relay.example.org:443" and minute < PAUSED:
        return {"state": "held", "finished_at": None, "attempt": 0}
    if host == "snow.example.net:443" and 6 < minute < 12:
        later = now + timedelta(seconds=chance.uniform(60, 1500))
        return {"state": "pending", "finished_at": None, "is_retry": True, "next_attempt_at": later}
    return {"state": "dead"} if chance.random() < 1 / 90 else {}


def _attempt(chance: random.Random, delivery: dict[str, Any]) -> dict[str, Any]:
    status, reason = {
        "dead": (410, "http_4xx"),
        "pending": (503, "http_5xx"),
    }.get(delivery["state"], (200, None))
    return {
        "delivery_id": delivery["id"],
        "number": 1,
        "started_at": delivery["created_at"],
        "duration_ms": chance.randint(12, 240),
        "status": status,
        "reason": reason,
        "phases": "{}",
    }


def work(stack: Stack, folder: Path) -> None:
    """Have two long orders under way."""
    for number, step in enumerate((4, 7)):
        leader = Leader(folder / f"pace-{number}")
        leader.go(step, f"{step * 20} imported")
        order_id = stack.submit("import_projects", file=str(leader.file))
        wait_until(lambda o=order_id: stack.show(o)["progress"]["current"], 60, "a checkpoint")


def disguise(kernel: Kernel) -> None:
    """Give the processes names that say nothing of this machine."""
    with kernel.write_session() as session:
        found = session.scalars(select(Worker.id).order_by(Worker.id)).all()
        for number, one in enumerate(found, 1):
            name = {"host": "worker-1", "pid": 4200 + number}
            session.execute(update(Worker).where(Worker.id == one).values(name))


def at_work(kernel: Kernel) -> int:
    """How many processes have noted themselves, and what they run."""
    with kernel.read_session() as session:
        return sum(len(one.split()) for one in session.scalars(select(Worker.running)))


def take(stack: Stack, key: str) -> bytes:
    """Sign in and take the overview."""
    with sync_playwright() as playwright, launched(playwright) as browser:
        expect.set_options(timeout=PATIENCE_MS)
        base = f"http://127.0.0.1:{stack.port}"
        window = Window(browser, base, locale="en-GB", viewport=SIZE, color_scheme="light")
        window.page.goto("/dashboard/sign-in")
        window.page.locator("input[name=key]").fill(key)
        window.page.locator("main button").click()
        window.page.wait_for_url("**/dashboard/")
        expect(window.page.locator("canvas").first).to_be_visible()
        picture: bytes = window.page.screenshot()
        assert window.errors == []
        return picture


def main() -> None:
    """Write the pictures."""
    with (
        tempfile.TemporaryDirectory(prefix="kernel-pictures-") as name,
        closing(MariaDB()) as mariadb,
        closing(Redis()) as redis,
    ):
        mariadb.start()
        redis.start()
        folder = Path(name)
        # A process is silent after three sweeps: on a busy machine, not while the picture is taken.
        more = {"handlers": "tests.support.docs_pictures:handlers", "worker_processes": 2}
        more |= {"sweep_seconds": 10, "lease_seconds": 60}
        with Stack(folder, mariadb.create_database(), redis, **more) as stack:
            with stack.kernel.read_session() as session:
                owner = identity.find(session, "tests").id
            fill(stack.kernel, owner)
            stack.api()
            stack.worker()
            work(stack, folder)
            wait_until(lambda: at_work(stack.kernel) == 2, 60, "two at work")
            disguise(stack.kernel)
            picture = take(stack, operator_key(stack.kernel))
    assert len(picture) <= MAX_BYTES, f"{len(picture)} bytes"
    IMAGES.mkdir(exist_ok=True)
    (IMAGES / "dashboard.png").write_bytes(picture)
    print(f"docs/images/dashboard.png: {len(picture)} bytes")


if __name__ == "__main__":
    main()
