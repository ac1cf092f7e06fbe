"""An installation after weeks of work, with so many orders that each page could be slow.

MariaDB's server makes the rows. Of a million orders one in 67 failed, one in ten has a reference.
"""

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager

from sqlalchemy import text

from bench.rows import FIRST_CALLER, Size, fill
from kernel.insight.workers import Heartbeat
from kernel.runtime.kernel import Kernel
from tests.support.bulk import begun
from tests.support.queries.filled import new_kernel
from tests.support.queries.line import CALLER, line_up
from tests.support.servers import MariaDB
from tests.support.ticketing import make_receiver

# Orders that wait behind one ordering key.
LINE = 5_000
ACTS = 100_000
CODES = "ELT(1 + n % 4, 'timed_out', 'handler_error', 'rejected', 'keeps_breaking')"
# The last digits of an order's id, as a number.
NUMBER = "CONV(RIGHT(id, 12), 16, 10)"
DURATIONS = """'{"10":3,"40":2.5}'"""
# In minutes, how wide counts are, and how many of each part there are.
WIDTHS = {1: 2880, 15: 2880, 60: 9600}
PARTS = {
    "all": "''",
    "tag": "ELT(1 + part, 'create_project', 'import_projects', 'rare_tag')",
    "caller": "CONCAT('caller-', part)",
    "host": "CONCAT('https://receiver-', part, '.example:443')",
}
NUMBERS = {"all": 1, "tag": 3, "caller": 8, "host": 8}
# The server of tests is small; one that serves so many orders is not.
ROOM = (
    "SET GLOBAL innodb_log_file_size = 256 << 20",
    "SET GLOBAL innodb_buffer_pool_size = 2 << 30",
)
ANALYSE = "ANALYZE TABLE kernel_orders, kernel_references, kernel_runs, kernel_acts, kernel_counts"
MORE = f"""
UPDATE kernel_callers SET name = 'tests' WHERE id = {FIRST_CALLER};
UPDATE kernel_orders SET error_code = {CODES.replace("n", NUMBER)} WHERE state = 'failed';
UPDATE kernel_orders SET error_code = 'cancelled' WHERE state = 'cancelled';
UPDATE kernel_deliveries SET died_of = 'deadline' WHERE state = 'dead';
INSERT INTO kernel_references (order_id, caller_id, reference)
    SELECT id, caller_id, CONCAT('INC', LPAD({NUMBER}, 8, '0'))
    FROM kernel_orders WHERE {NUMBER} % 10 = 3;
UPDATE kernel_orders JOIN kernel_references ON order_id = id
    SET kernel_orders.reference = kernel_references.reference;
INSERT INTO kernel_runs (order_id, run, began_at, ended_at, how, error_code, error_type, place,
    message, traceback, fingerprint, is_counted)
    SELECT id, 1, started_at, finished_at, 'bug', error_code, 'ValueError', 'handlers.make',
    'no such bridge', REPEAT('x', 500), LPAD({NUMBER} % 90, 16, '0'), 1
    FROM kernel_orders WHERE state = 'failed';
INSERT INTO kernel_errors (fingerprint, select_tag, error_type, place, error_code, first_seen,
    last_seen, order_id, new_at, is_refusal, number, run, is_open)
    SELECT fingerprint, 'create_project', MIN(error_type), MIN(place), MIN(error_code),
    MIN(ended_at), MAX(ended_at), MAX(order_id), MIN(ended_at), 0, COUNT(*), 1, 1
    FROM kernel_runs GROUP BY fingerprint;
INSERT INTO kernel_error_hours (fingerprint, began_at, number)
    SELECT fingerprint, DATE_FORMAT(ended_at, '%Y-%m-%d %H:00:00') AS hour, COUNT(*)
    FROM kernel_runs GROUP BY fingerprint, hour;
INSERT INTO kernel_acts (at, actor, via, verb, target)
    SELECT UTC_TIMESTAMP(6) - INTERVAL ({ACTS} - seq) MINUTE, CONCAT('person-', seq % 9), 'page',
    ELT(1 + seq % 3, 'order.cancel', 'delivery.redeliver', 'deliveries.pause'),
    CONCAT('order ', seq) FROM seq_1_to_{ACTS};
"""


def counts(width: int, kind: str) -> str:
    """Return the statement that inserts what was counted of each part of a kind."""
    began = f"""FROM_UNIXTIME(({width} * 60) * (UNIX_TIMESTAMP() DIV ({width} * 60) - seq))"""
    return f"""INSERT INTO kernel_counts (width, kind, name, began_at, accepted, finished, attempts,
        delivered, dead, states, reasons, took, queued, ran, delivered_in, answered_in)
        SELECT {width}, '{kind}', {PARTS[kind]}, {began}, 20, 20, 21, 20, 0,
        '{{"success":19,"failed":1}}', '{{"timeout":1}}', {", ".join([DURATIONS] * 5)}
        FROM seq_1_to_{WIDTHS[width]} JOIN (SELECT seq - 1 AS part FROM seq_1_to_{NUMBERS[kind]})
        AS parts"""


def _say(kernel: Kernel, statements: Iterable[str]) -> None:
    with kernel.engine.connect() as connection:
        for one in statements:
            connection.execute(text(one.replace(":", "\\:")))
            connection.commit()


@contextmanager
def many_orders(mariadb: MariaDB, orders: int) -> Iterator[Kernel]:
    """Yield a kernel with so many orders that have ended, and a tenth as many that wait."""
    url = mariadb.create_database()
    with closing(new_kernel(url, hosts="kernel.example")) as kernel:
        _say(kernel, ROOM)
        fill(kernel, Size(orders, orders // 10, orders // 10))
        line_up(kernel, CALLER, LINE)
        more = [one for one in MORE.split(";") if one.strip()]
        more += [counts(width, kind) for width in WIDTHS for kind in PARTS]
        _say(kernel, [*more, ANALYSE])
        make_receiver(kernel, "desk", "https://receiver-1.example", caller_id=FIRST_CALLER)
        with kernel.write_session() as session:
            now = kernel.clock.now()
            Heartbeat("worker", now).note(session, now, [], [])
        begun(kernel, "redeliver", rate=60)
        yield kernel
    mariadb.drop(url)
