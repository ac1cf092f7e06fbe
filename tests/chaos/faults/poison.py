"""Rows that cannot be written, read or belonged to: they hold up no other."""

import socket
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import pymysql

from tests.chaos.faults.processes import PATIENCE_SECONDS, kill, text, until_taken_over
from tests.chaos.orders import create

if TYPE_CHECKING:
    from tests.chaos.faults import Place

PREFIX = "poison-"
PAST = "UTC_TIMESTAMP(6) - INTERVAL 1 MINUTE"
ORPHANS = 4
PAUSES = 4
# One worker loses its pool, whose orders the replacements take over; the other loses its main
# process as well, and its orders wait for the end of their leases.
TAKEN_OVER, RESCUED = "worker-a", "worker-b"
# The order whose arguments are no JSON ends, and has a delivery with an id of its own.
OURS = (
    f"kernel_attempts WHERE delivery_id LIKE '{PREFIX}%' OR delivery_id IN"
    f" (SELECT id FROM kernel_deliveries WHERE order_id LIKE '{PREFIX}%')",
    f"kernel_deliveries WHERE order_id LIKE '{PREFIX}%'",
    f"kernel_run_marks WHERE order_id LIKE '{PREFIX}%'",
    f"kernel_orders WHERE id LIKE '{PREFIX}%'",
)


def rows(place: "Place") -> Iterator[float]:
    """Put poisoned rows into the tables, kill workers, and see orders taken over beside them.

    Some of the rows belong to processes that are killed.

    The rows are no client's: they are copies of others, their callbacks go to a port that never
    answers, and they are deleted at the end.
    """
    do, rate = place.system.do, place.load.rate
    yield from _until_there_are_rows(place)
    place.load.rate = 2.0  # so that a worker begins what it is sent
    with socket.create_server(("127.0.0.1", 0), backlog=50) as silent:
        url = f"'http://127.0.0.1:{silent.getsockname()[1]}'"
        do(
            "CREATE TRIGGER chaos_poison BEFORE UPDATE ON kernel_orders FOR EACH ROW"
            f" IF OLD.id LIKE '{PREFIX}locked%' THEN SIGNAL SQLSTATE '45000'"
            " SET MYSQL_ERRNO = 1452, MESSAGE_TEXT = 'chaos'; END IF"
        )
        try:
            running = {"state": "'running'", "lease_until": PAST, "callback_url": url}
            for number in range(3):
                _order(place, f"locked-{number}", running)
            for number, runner in enumerate(_runners_of(place, TAKEN_OVER)):
                _order(place, f"locked-of-{number}", {**running, "runner": f"'{runner}'"})
            pending = {"state": "'pending'", "run_after": PAST, "callback_url": url}
            _order(place, "garbled", {**pending, "args": "'{'"})
            yield from _orphans(place, url)
            yield from _killed_beside_them(place)
        finally:
            do("DROP TRIGGER chaos_poison")
            _delete_ours(place)
            place.load.rate = rate


def _until_there_are_rows(place: "Place") -> Iterator[float]:
    """Wait for what is copied: at the beginning of a run no order has ended yet."""
    done = "SELECT COUNT(*) FROM kernel_deliveries WHERE finished_at IS NOT NULL"
    deadline = time.monotonic() + PATIENCE_SECONDS
    while place.system.ask(done) == [(0,)] and time.monotonic() < deadline:
        yield 0.1


def _delete_ours(place: "Place") -> None:
    """Delete what was put there; an attempt that is recorded meanwhile makes it begin again."""
    deadline = time.monotonic() + 5
    while True:
        try:
            for rows in OURS:
                place.system.do(f"DELETE FROM {rows}")
        except pymysql.IntegrityError:
            if time.monotonic() > deadline:
                raise
        else:
            return


def _orphans(place: "Place", url: str) -> Iterator[float]:
    """Delete orders and deliveries by hand while their callbacks are in flight."""
    for number in range(ORPHANS):
        name = f"orphan-{number}"
        done = {"state": "'success'", "finished_at": PAST, "message": "'done'"}
        _order(place, name, done | {"callback_url": url})
        owed = {"id": f"'{PREFIX}{name}'", "order_id": f"'{PREFIX}{name}'", "origin": url}
        owed |= {"url": url, "state": "'pending'", "next_attempt_at": PAST, "finished_at": "NULL"}
        _copy(place, "kernel_deliveries", owed | {"created_at": "UTC_TIMESTAMP(6)"})
    flying = (
        f"SELECT COUNT(*) FROM kernel_deliveries WHERE id LIKE '{PREFIX}orphan%'"
        " AND claim_token IS NOT NULL"
    )
    deadline = time.monotonic() + 5
    while place.system.ask(flying) == [(0,)] and time.monotonic() < deadline:
        yield 0.05
    place.notes.append(f"{(place.system.ask(flying) or [(0,)])[0][0]} deleted in flight")
    for table, column in (("kernel_deliveries", "id"), ("kernel_orders", "id")):
        place.system.do(f"DELETE FROM {table} WHERE {column} LIKE '{PREFIX}orphan%'")


def _order(place: "Place", name: str, values: Mapping[str, str]) -> None:
    unset = ("finished_at", "message", "result", "error_code", "idempotency_key")
    own = {"id": f"'{PREFIX}{name}'", "select_tag": "'create_project'", "gates": "NULL"}
    _copy(place, "kernel_orders", {**dict.fromkeys(unset, "NULL"), **own, **values})


def _copy(place: "Place", table: str, values: Mapping[str, str]) -> None:
    """Insert a copy of a row of the load, with other values, given as SQL."""
    query = (
        "SELECT column_name FROM information_schema.columns"
        f" WHERE table_schema = DATABASE() AND table_name = '{table}'"
    )
    names = [str(name) for (name,) in place.system.ask(query) or []]
    chosen = ", ".join(values.get(name, name) for name in names)
    place.system.do(
        f"INSERT INTO {table} ({', '.join(names)}) SELECT {chosen} FROM {table}"
        " WHERE finished_at IS NOT NULL ORDER BY created_at LIMIT 1"
    )


def _runners_of(place: "Place", worker: str) -> list[str]:
    """The ids under which the pool processes of a worker claim orders."""
    pids = ", ".join(map(str, place.system.pool_of(worker))) or "0"
    rows = place.system.ask(f"SELECT id FROM kernel_workers WHERE pid IN ({pids})") or []
    return [text(runner) for (runner,) in rows]


def _killed_beside_them(place: "Place") -> Iterator[float]:
    """Kill what runs orders, and wait until those are taken over."""
    for part in range(PAUSES):
        place.load.send(create(place.key(part), "pause_project"))
    runners = [runner for name in (RESCUED, TAKEN_OVER) for runner in _runners_of(place, name)]
    names = ", ".join(f"'{runner}'" for runner in _runners_of(place, RESCUED)) or "''"
    paused = (
        "SELECT COUNT(*) FROM kernel_orders WHERE select_tag = 'pause_project'"
        f" AND state = 'running' AND runner IN ({names})"
    )
    deadline = time.monotonic() + PATIENCE_SECONDS
    while place.system.ask(paused) == [(0,)] and time.monotonic() < deadline:
        yield 0.1
    rescued = [place.system.main_of(RESCUED), *place.system.pool_of(RESCUED)]
    for pid in (*rescued, *place.system.pool_of(TAKEN_OVER)):
        kill(pid)
    if not (yield from until_taken_over(place, runners, PATIENCE_SECONDS, but=PREFIX)):
        place.notes.append("FAILED: orders of a dead worker wait behind a poisoned row")
