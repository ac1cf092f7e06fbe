"""An installation from before the tables were called kernel_..., as its migrations left it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, text

FOLDER = Path(__file__).parent.parent / "db" / "old_installation"
THEN = "2026-01-02 03:04:05.000006"
ORDER, DELIVERY, PROCESS = (f"0198-{kind}".ljust(36, "0") for kind in ("o", "d", "p"))

# A row or two in each table: all that may be null is null in one of them.
ROWS: dict[str, list[dict[str, Any]]] = {
    "callers": [
        {"id": 1, "name": "anonymous", "created_at": THEN, "allow_nets": "[]"}
        | {"allow_hosts": "[]", "headers": "{}", "schedule": None},
        {"id": 7, "name": "zammad", "created_at": THEN, "allow_nets": '["10.0.0.0/8"]'}
        | {"allow_hosts": '["a"]', "headers": '{"X": "y"}', "schedule": "[1, 2]"},
    ],
    "api_keys": [
        {"id": 3, "caller_id": 7, "prefix": "k_1", "key_hash": "a" * 64, "created_at": THEN}
        | {"scopes": "orders:write", "expires_at": THEN, "revoked_at": None, "used_at": THEN}
    ],
    "signing_secrets": [
        {"id": 1, "caller_id": 1, "secret": "whsec_1", "created_at": THEN, "expires_at": None},
        {"id": 5, "caller_id": 7, "secret": "whsec_2", "created_at": THEN, "expires_at": THEN},
    ],
    "pauses": [
        {"id": 1, "host": "a.example", "caller_id": None, "created_at": THEN},
        {"id": 2, "host": None, "caller_id": 7, "created_at": THEN},
    ],
    "select_tags": [{"tag": "create_project", "seen_at": THEN}],
    "sweeps": [{"id": 1, "swept_at": THEN}],
    "workers": [
        {"id": PROCESS, "host": "h", "pid": 9, "kind": "worker", "started_at": THEN}
        | {"seen_at": THEN, "running": ORDER, "broken": ""}
    ],
    "service_keys": [{"id": 1, "secret": "s" * 64, "created_at": THEN}],
    "process_metrics": [{"id": "past", "written_at": THEN, "series": "{}"}],
    "orders": [
        {"id": ORDER, "caller_id": 7, "select_tag": "create_project", "args": '{"projname": "桥"}'}
        | {"callback_url": "https://a.example/x", "idempotency_key": "k", "fingerprint": "f"}
        | {"request_id": "r", "created_at": THEN, "state": "success", "run_after": THEN}
        | {"run": 2, "checkpoint": 1, "crashes": 0, "finished_at": THEN, "result": "{}"}
    ],
    "deliveries": [
        {"id": f"{DELIVERY[:-1]}{number}", "order_id": ORDER, "caller_id": 7, "url": "https://a/x"}
        | {"origin": "https://a:443", "body": b"\x00\xff", "created_at": THEN, "state": state}
        | {"next_attempt_at": THEN, "late": late, "attempt": 3, "tries": 3, "client_errors": 1}
        for number, (late, state) in enumerate([(0, "pending"), (1, "pending"), (1, "dead")])
    ],
    "attempts": [
        {"id": 11, "delivery_id": f"{DELIVERY[:-1]}2", "number": 3, "started_at": THEN}
        | {"duration_ms": 5, "status": 404, "reason": "http_4xx", "phases": "{}", "excerpt": "不"}
    ],
    "minutes": [
        {"began_at": THEN, "accepted": 1, "finished": 1, "attempts": 3, "delivered": 0}
        | {"took": "[]"}
    ],
}


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    """Open a plain connection that commits at the end: kernel's own has rules about DDL."""
    engine = create_engine(url)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def make(url: str, revision: str = "0004") -> None:
    """Make the tables as the old migrations up to ``revision`` left them, with their number."""
    kind = "sqlite" if url.startswith("sqlite") else "mariadb"
    sections = re.split(r"(?m)^-- (\d{4})$", (FOLDER / f"{kind}.sql").read_text())[1:]
    with connected(url) as connection:
        for number, statements in zip(sections[::2], sections[1::2], strict=True):
            for statement in statements.split(";") if number <= revision else ():
                if statement.strip():
                    connection.execute(text(statement))
        versions = "INSERT INTO alembic_version VALUES (:revision)"
        connection.execute(text(versions), {"revision": revision})


def fill(url: str) -> None:
    """Insert `ROWS` into the tables that the database has."""
    with connected(url) as connection:
        known = set(connection.dialect.get_table_names(connection))
        for table, rows in ROWS.items():
            for row in rows if table in known else ():
                names = ", ".join(row)
                values = ", ".join(f":{name}" for name in row)
                connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({values})"), row)


def rows(url: str, table: str) -> list[dict[str, Any]]:
    """Return a table's rows by column, as the driver reads them."""
    with connected(url) as connection:
        found = connection.execute(text(f"SELECT * FROM {table} ORDER BY 1"))
        return [dict(one) for one in found.mappings()]


def one_lives(url: str) -> None:
    """Have the installation's process seen now."""
    with connected(url) as connection:
        sqlite = connection.dialect.name == "sqlite"
        now = "strftime('%Y-%m-%d %H:%M:%f000', 'now')" if sqlite else "UTC_TIMESTAMP(6)"
        connection.exec_driver_sql(f"UPDATE workers SET seen_at = {now}")
