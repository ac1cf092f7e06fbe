"""docs/howto/mounting.md, followed: the application's gunicorn and Celery, kernel's worker."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from celery import Celery

from tests.support.servers import Redis
from tests.support.stack import BIN, PATIENCE, ROOT, Stack
from tests.support.waiting import wait_until

PAGE = (ROOT / "docs" / "howto" / "mounting.md").read_text()
FILE = re.compile(r"^Save this as `([\w./]+)`.*?^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
GUNICORN = "gunicorn --bind 127.0.0.1:8000 --workers 2 --worker-class gthread --threads 8 wsgi:app"
MIGRATIONS = (
    "flask --app shop db init",
    "flask --app shop db migrate",
    "flask --app shop db upgrade",
)
JOBS = "celery -A shop.jobs worker"


@pytest.fixture
def shop(
    tmp_path: Path, main_database_url: str, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Stack]:
    """The page's application and an installation on one database and one Redis."""
    for name, text in FILE.findall(PAGE):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setenv("SHOP_SQLALCHEMY_DATABASE_URI", main_database_url)
    monkeypatch.setenv("SHOP_JOBS_BROKER", redis.url(0))
    with Stack(tmp_path, main_database_url, redis, handlers="shop.handlers:handlers") as built:
        built.path = [str(tmp_path)]
        yield built
        for table in ("account", "alembic_version"):
            with built.kernel.engine.begin() as connection:
                connection.exec_driver_sql(f"DROP TABLE IF EXISTS {table}")


def flask(stack: Stack, command: str) -> str:
    """Run a command of the page where its files are; return what it said."""
    assert command in PAGE
    path = os.pathsep.join([str(ROOT), *stack.path])
    program, *rest = command.split()
    done = subprocess.run(
        [str(BIN / program), *rest],
        cwd=stack.folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def revisions(stack: Stack) -> list[str]:
    return [one.read_text() for one in (stack.folder / "migrations" / "versions").glob("*.py")]


def test_page_leads_from_an_application_to_a_callback(shop: Stack) -> None:
    for command in MIGRATIONS:
        flask(shop, command)
    (made,) = revisions(shop)
    assert "create_table('account'" in made
    assert "kernel" not in made
    assert "project_tb" not in made
    assert "No changes in schema" in flask(shop, MIGRATIONS[1])
    assert len(revisions(shop)) == 1

    serve(shop)
    assert get(shop, "/accounts").json() == []
    assert PAGE.count(JOBS) == 1
    jobs = shop.start("jobs", *JOBS.split(), "-P", "solo")
    shop.worker()
    first, again = order(shop, "Ada"), order(shop, "Ada")
    told = {one: json.loads(shop.callback(one).body) for one in (first, again)}
    assert sorted(one["status"] for one in told.values()) == [-1, 0], told
    assert get(shop, "/accounts").json() == ["Ada"]
    assert "account_exists" in str(told)
    wait_until(lambda: "account 1" in shop.log(), PATIENCE, "the application's own line")
    greet(shop, "Ada")
    missing = get(shop, "/nothing")
    assert (missing.status_code, missing.headers["Content-Type"][:9]) == (404, "text/html")
    assert get(shop, "/kernel/nothing").json()["data"]["code"] == "not_found"
    ready = {"database": "ok", "migrations": "ok", "broker": "ok", "worker": "ok"}
    wait_until(lambda: get(shop, "/kernel/readyz").json()["checks"] == ready, PATIENCE)
    assert jobs.returncode is None


def test_worker_does_not_start_when_the_application_has_another_database(
    shop: Stack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for command in MIGRATIONS:
        flask(shop, command)
    monkeypatch.setenv("SHOP_SQLALCHEMY_DATABASE_URI", f"sqlite:///{tmp_path}/own.db")
    worker = shop.start("worker", "kernel", "worker")
    wait_until(lambda: worker.returncode is not None, PATIENCE)
    assert worker.returncode == 2, "as for what the start refuses"
    assert "SQLALCHEMY_DATABASE_URI: the application's database does not show kernel's tables" in (
        shop.log()
    )


def serve(stack: Stack) -> None:
    assert GUNICORN in PAGE
    argv = GUNICORN.replace(":8000", f":{stack.port}").replace("--workers 2", "--workers 1")

    def answers() -> bool:
        try:
            return get(stack, "/kernel/healthz").status_code == 200
        except (requests.ConnectionError, requests.Timeout):
            return False

    stack.start("gunicorn", *argv.split(), ready=answers)


def get(stack: Stack, path: str) -> requests.Response:
    return stack.get(path)


def order(stack: Stack, name: str) -> str:
    body: dict[str, Any] = {"select_tag": "open_account", "name": name}
    answer = stack.post("/kernel/v1/orders", body | {"callback_url": stack.receiver.url})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["data"]["order_id"])


def greet(stack: Stack, name: str) -> None:
    """Have the application's own worker do a task of its own, beside kernel's."""
    with Celery(broker=stack.redis.url(0), backend=stack.redis.url(0), set_as_current=False) as app:
        assert app.send_task("shop.jobs.greet", [name]).get(timeout=PATIENCE) == f"hello {name}"
