"""Alive, ready, or ready with something missing: named checks, and nothing told that is secret."""

from typing import Any

import pytest
from sqlalchemy import text

from kernel.db.tables.service import Worker
from kernel.insight.workers import Heartbeat
from kernel.runtime.kernel import Kernel
from kernel.worker.dispatcher import Dispatcher
from tests.support.clients import Client, FakeHints, serve
from tests.support.postgresql import PostgreSQL
from tests.support.servers import MariaDB

WELL = {"database": "ok", "migrations": "ok", "broker": "ok", "worker": "ok"}


def note_worker(kernel: Kernel, kind: str = "worker", age: float = 0.0) -> None:
    """Leave the row of a process that was seen so many seconds ago."""
    now = kernel.clock.now()
    with kernel.write_session() as session:
        Heartbeat(kind, now).note(session, now, [], [])
    kernel.clock.shift(age)


def readiness(kernel: Kernel, hints: FakeHints | None = None) -> tuple[int, Any]:
    """Ask without credentials."""
    answer = Client(serve(kernel, hints), None).get("/readyz")
    return answer.status_code, answer.json


def test_health_answers_without_credentials_or_database(kernel: Kernel) -> None:
    nobody = Client(serve(kernel), None)
    kernel.check_schema = None  # type: ignore[method-assign,assignment]
    assert nobody.get("/healthz").json == {"status": "ok"}


def test_readiness_names_every_check_when_all_is_well(kernel: Kernel) -> None:
    note_worker(kernel)
    assert readiness(kernel) == (200, {"status": "ok", "checks": WELL})


def test_readiness_is_seen_by_a_dispatcher_of_a_worker_when_it_has_noted_itself(
    kernel: Kernel,
) -> None:
    Dispatcher(kernel, FakeHints()).loop.round()
    assert readiness(kernel)[1]["checks"]["worker"] == "ok"


@pytest.mark.parametrize(("kind", "age"), [("dispatcher", 0.0), ("worker", 16.0)])
def test_readiness_is_degraded_when_no_worker_lives(kernel: Kernel, kind: str, age: float) -> None:
    note_worker(kernel, kind, age)
    checks = WELL | {"worker": "failed"}
    assert readiness(kernel) == (200, {"status": "degraded", "checks": checks})


def test_readiness_is_degraded_when_the_broker_is_away(kernel: Kernel) -> None:
    note_worker(kernel)
    checks = WELL | {"broker": "failed"}
    silent = FakeHints(waiting=None)
    assert readiness(kernel, silent) == (200, {"status": "degraded", "checks": checks})


def test_readiness_answers_503_when_the_database_is_behind(kernel: Kernel) -> None:
    nobody = Client(serve(kernel), None)
    with kernel.write_session() as session:
        session.execute(text("UPDATE kernel_alembic_version SET version_num = '0001'"))
    answer = nobody.get("/readyz")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    checks = WELL | {"migrations": "failed", "worker": "failed"}
    assert answer.json == {"status": "failed", "checks": checks}


def test_readiness_answers_503_and_tells_no_secret_when_the_database_is_away(
    make_kernel: Any, main_database: MariaDB | PostgreSQL, main_rows_url: str
) -> None:
    kernel = make_kernel(main_rows_url)
    nobody = Client(serve(kernel), None)
    main_database.kill()
    try:
        answer = nobody.get("/readyz")
    finally:
        main_database.start()
    assert answer.status_code == 503
    assert answer.json["checks"]["database"] == "failed"
    assert not {"127.0.0.1", "root", "password"} & set(answer.text.replace("@", " ").split())


def test_readiness_asks_the_database_once_when_many_ask(kernel: Kernel) -> None:
    nobody = Client(serve(kernel), None)
    first = nobody.get("/readyz").json
    with kernel.write_session() as session:
        session.add(Worker(**_row(kernel)))
    assert nobody.get("/readyz").json == first


def _row(kernel: Kernel) -> dict[str, Any]:
    now = kernel.clock.now()
    seen = {"started_at": now, "seen_at": now, "running": "", "broken": ""}
    return {"id": "0" * 36, "host": "h", "pid": 1, "kind": "worker", **seen}
