"""Fills a MariaDB schema with the rows of weeks of work; the server generates them.

A million orders take about a minute. Their ids and times are consistent, as those of real orders.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from kernel.runtime.kernel import Kernel

CHUNK = 50_000
SPAN = timedelta(days=29)
# Retries belong to orders of the last days, pending orders to the last hour.
RETRY_SPAN = timedelta(days=3)
PENDING_SPAN = timedelta(hours=1)
CALLERS = 8
# The first caller id used here; a bench or a test uses lower ones.
FIRST_CALLER = 101
ORIGINS = 8
RARE_TAG = "rare_tag"
RARE = 9973
# The last digits of the ids, one value per kind, so that no two kinds share an id.
FINISHED, RETRIED, PENDING = 1, 2, 3
_ORDERS = """INSERT INTO kernel_orders
    (id, caller_id, select_tag, args, callback_url, idempotency_key, fingerprint,
    created_at, state, run_after, run, checkpoint, crashes, started_at,
    finished_at, message, result, error_code, not_before)"""
_DELIVERIES = """INSERT INTO kernel_deliveries
    (id, order_id, caller_id, origin, url, body, created_at,
    state, next_attempt_at, is_retry, attempt, tries, client_errors, finished_at)"""
_ATTEMPTS = """INSERT INTO kernel_attempts
    (delivery_id, number, started_at, duration_ms, status, reason, phases, excerpt)"""
_TAG = f"IF(n % {RARE} = 0, '{RARE_TAG}', IF(n % 10 = 0, 'import_projects', 'create_project'))"
_CALLER = f"{FIRST_CALLER} + n % {CALLERS}"
_HOST = f"CONCAT('https://receiver-', n % {ORIGINS}, '.example')"
_WORDS = "over the river, with two lanes and a pavement"
_ARGS = f"""CONCAT('{{"projname":"Bridge ', n, '","prodesc":"{_WORDS}"}}')"""
_STATE = """CASE WHEN n % 1000 < 970 THEN 'success' WHEN n % 1000 < 985 THEN 'failed'
    WHEN n % 1000 < 995 THEN 'warning' ELSE 'cancelled' END"""
# Half of the orders have an idempotency key.
_KEY = "IF(n % 2 = 0, SHA1(CONCAT({kind}, '-', n)), NULL)"
_PHASES = """'{"dns": 0.4, "connect": 1.2, "send": 0.1, "wait": 8.3, "read": 0.2}'"""


@dataclass(frozen=True, slots=True)
class Size:
    """Numbers of finished orders, waiting orders, and callbacks to be retried.

    ``due``: when waiting orders and retries are due, from now: a moment ago, or far ahead.
    """

    finished: int
    pending: int
    retries: int
    due: timedelta = timedelta(days=-1)


def fill(kernel: Kernel, size: Size) -> None:
    """Insert the rows, `CALLERS` callers among them, and have the server analyse its indexes."""
    now = kernel.clock.now()
    with kernel.engine.connect() as connection:
        for number in range(CALLERS):
            caller = {
                "id": FIRST_CALLER + number,
                "name": f"caller-{number}",
                "now": now.replace(tzinfo=None),
            }
            connection.execute(_ADD_CALLER, caller)
        connection.execute(text("SET SESSION foreign_key_checks = 0, unique_checks = 0"))
        for statement in _statements(size, now):
            connection.execute(text(statement.replace(":", "\\:")))
            connection.commit()
        connection.execute(text("SET SESSION foreign_key_checks = 1, unique_checks = 1"))
        connection.execute(text("ANALYZE TABLE kernel_orders, kernel_deliveries, kernel_attempts"))
        connection.commit()


_ADD_CALLER = text(
    "INSERT IGNORE INTO kernel_callers (id, name, created_at, allow_nets, allow_hosts, headers)"
    " VALUES (:id, :name, :now, '[]', '[]', '{}')"
)


def make_due(connection: Connection, ahead: timedelta) -> None:
    """Make waiting orders and retries due ``ahead`` from now, spread over an hour."""
    for table, column in (
        ("kernel_orders", "run_after"),
        ("kernel_deliveries", "next_attempt_at"),
    ):
        moved = f"UTC_TIMESTAMP(6) + INTERVAL {int(ahead.total_seconds())} SECOND"
        spread = "INTERVAL CONV(RIGHT(id, 4), 16, 10) % 3600 SECOND"
        connection.execute(
            text(f"UPDATE {table} SET {column} = {moved} - {spread} WHERE state = 'pending'")
        )
    connection.execute(text("ANALYZE TABLE kernel_orders, kernel_deliveries"))


def _statements(size: Size, now: datetime) -> Iterator[str]:
    """Yield the statements that insert all rows, `CHUNK` rows each."""
    due = f"{_moment(_millis(now + size.due))} - INTERVAL n % 3600 SECOND"
    # Without a window, an order that has not run waits for a clock that was set back, and is
    # brought forward.
    opens = due if size.due > timedelta() else "NULL"
    for n, ms in _batches(size.finished, now, SPAN):
        yield _orders(n, ms, FINISHED)
        yield _deliveries(n, ms, FINISHED, "IF(n % 500 = 0, 'dead', 'delivered')", None)
        yield _attempts(n, ms, FINISHED, 1, ("200", "NULL", "'{}'"))
        yield _attempts(f"{n} WHERE n % 20 = 0", ms, FINISHED, 2, ("200", "NULL", "'{}'"))
    for n, ms in _batches(size.retries, now, RETRY_SPAN):
        yield _orders(n, ms, RETRIED)
        yield _deliveries(n, ms, RETRIED, "'pending'", due)
        yield _attempts(n, ms, RETRIED, 1, ("503", "'http_5xx'", "'not now'"))
    for n, ms in _batches(size.pending, now, PENDING_SPAN):
        yield (
            f"{_ORDERS} SELECT {_id(ms, PENDING)}, {_CALLER}, {_TAG}, {_ARGS},"
            f" CONCAT({_HOST}, '/callback'), {_KEY.format(kind=PENDING)}, SHA2(n, 256),"
            f" {_moment(ms)}, 'pending', {due}, 0, 0, 0, NULL, NULL, NULL, NULL, NULL,"
            f" {opens} FROM {n}"
        )


def _batches(count: int, now: datetime, span: timedelta) -> Iterator[tuple[str, str]]:
    """Yield (a table of numbers n, the milliseconds since the epoch at which row n was made)."""
    start, step = _millis(now - span), max(1, int(span.total_seconds() * 1000) // max(1, count))
    for first in range(1, count + 1, CHUNK):
        numbers = (
            f"(SELECT seq AS n FROM seq_{first}_to_{min(count, first + CHUNK - 1)}) AS numbers"
        )
        yield numbers, f"({start} + n * {step})"


def _millis(moment: datetime) -> str:
    return str(int(moment.timestamp() * 1000))


def _moment(ms: str) -> str:
    """Return SQL for a DATETIME(6); it is in UTC, as the session's zone is."""
    return f"FROM_UNIXTIME({ms} / 1000)"


def _id(ms: str, kind: int) -> str:
    """Return SQL for a UUIDv7 like those of `kernel.db.ids.new_id`."""
    digits = f"LPAD(HEX({ms}), 12, '0')"
    return (
        f"LOWER(CONCAT(LEFT({digits}, 8), '-', RIGHT({digits}, 4), '-7000-8{kind:03}-',"
        " LPAD(HEX(n), 12, '0')))"
    )


def _orders(n: str, ms: str, kind: int) -> str:
    state, ended = _STATE if kind == FINISHED else "'success'", _moment(f"({ms} + 100)")
    result = """CONCAT('{"projname":"Bridge ', n, '"}')"""
    return (
        f"{_ORDERS} SELECT {_id(ms, kind)}, {_CALLER}, {_TAG}, {_ARGS},"
        f" CONCAT({_HOST}, '/callback'), {_KEY.format(kind=kind)}, SHA2(n, 256),"
        f" {_moment(ms)}, {state}, {_moment(ms)}, 1, 0, 0, {_moment(ms)}, {ended}, 'success',"
        f" {result}, NULL, NULL FROM {n}"
    )


def _deliveries(n: str, ms: str, kind: int, state: str, due: str | None) -> str:
    """Return SQL for deliveries made 100 ms after their orders: ended, or due again at ``due``."""
    made, ended = f"({ms} + 100)", _moment(f"({ms} + 150)")
    body = """CONCAT('{"status":0,"msg":"success","data":{"order_id":"', {id}, '","select_tag":"',
        {tag}, '","state":"success","result":{"projname":"Bridge ', n, '"}}}')"""
    body = body.replace("{id}", _id(ms, kind)).replace("{tag}", _TAG)
    finished = ended if due is None else "NULL"
    return (
        f"{_DELIVERIES} SELECT {_id(made, kind)}, {_id(ms, kind)}, {_CALLER},"
        f" CONCAT({_HOST}, ':443'), CONCAT({_HOST}, '/callback'), {body}, {_moment(made)}, {state},"
        f" {due or ended}, 1, 1, 1, 0, {finished} FROM {n}"
    )


def _attempts(n: str, ms: str, kind: int, number: int, answer: tuple[str, str, str]) -> str:
    made = f"({ms} + 100)"
    status, reason, excerpt = answer
    return (
        f"{_ATTEMPTS} SELECT {_id(made, kind)}, {number}, {_moment(made)}, 12, {status}, {reason},"
        f" {_PHASES}, {excerpt} FROM {n}"
    )
