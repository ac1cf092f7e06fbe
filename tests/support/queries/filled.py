"""Databases of every kind with the same few thousand rows, which MariaDB's server generates."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, Index, insert, select, text

from bench.rows import Size, fill
from kernel.config.settings import load
from kernel.db.columns import Base
from kernel.db.dialects import dialect_of
from kernel.handlers import Handlers
from kernel.runtime.kernel import Kernel
from kernel.testing import FakeTransport, create_tables
from tests.support.abilities import kind_of
from tests.support.queries.charted import breakers, counts
from tests.support.queries.line import line_up
from tests.support.queries.plans import LARGE
from tests.support.queries.statements import CALLER, give_handlers
from tests.support.servers import MariaDB

SIZE = Size(finished=8000, pending=1000, retries=1000)
# References are narrow: a few thousand fit into so few pages that reading all of them is cheaper.
MORE_REFERENCES = 30_000
STEPS = 5_000
# Orders that wait behind one ordering key.
LINE = 2000


def new_kernel(url: str, **settings: Any) -> Kernel:
    """Return a kernel on new tables at ``url``, which has handlers of the kinds of the rows."""
    given = load(database_url=url, result_backend="", **settings)
    kernel = Kernel(given, Handlers(), FakeTransport())
    give_handlers(kernel)
    create_tables(kernel)
    return kernel


@contextmanager
def filled_mariadb(mariadb: MariaDB) -> Iterator[Kernel]:
    """Yield a kernel on rows that its server has generated and analysed."""
    url = mariadb.create_database()
    with closing(new_kernel(url)) as kernel:
        fill(kernel, SIZE)
        give_references(kernel)
        line_up(kernel, CALLER, LINE)
        with kernel.write() as connection:
            connection.execute(text("ANALYZE TABLE kernel_gates, kernel_keys"))
        yield kernel
    mariadb.drop(url)


def give_references(kernel: Kernel) -> None:
    """Give every order a reference, each shared by a few."""
    made = "CONCAT('INC', RIGHT(id, 3))"
    with kernel.write() as connection:
        connection.execute(text(f"UPDATE kernel_orders SET reference = {made}"))
        columns = "order_id, caller_id, reference"
        select = f"SELECT id, caller_id, {made} FROM kernel_orders"
        connection.execute(text(f"INSERT INTO kernel_references ({columns}) {select}"))
        connection.execute(text("ANALYZE TABLE kernel_orders, kernel_references"))


def copy_rows(source: Engine, target: Engine) -> None:
    """Copy all rows to a database of any kind; have it look at them as a server does in time."""
    tables = Base.metadata.sorted_tables
    # All of it first: a server ends a transaction in which nothing is said for a while.
    with source.connect() as reading:
        read = [[dict(row) for row in reading.execute(select(one)).mappings()] for one in tables]
    with target.begin() as writing:
        for table in reversed(tables):
            writing.execute(table.delete())
        for table, rows in zip(tables, read, strict=True):
            if rows:
                writing.execute(insert(table), rows)
            dialect_of(target.url).count_on(writing, table)
        references = Base.metadata.tables["kernel_references"]
        more = (
            {"order_id": f"{number:036}", "caller_id": 2, "reference": f"CHG{number}"}
            for number in range(MORE_REFERENCES)
        )
        writing.execute(insert(references), list(more))
        writing.execute(insert(Base.metadata.tables["kernel_steps"]), list(_steps()))
        writing.execute(insert(Base.metadata.tables["kernel_runs"]), list(_runs()))
        writing.execute(insert(Base.metadata.tables["kernel_errors"]), list(_errors()))
        writing.execute(insert(Base.metadata.tables["kernel_error_hours"]), list(_hours()))
        writing.execute(insert(Base.metadata.tables["kernel_events"]), list(_events()))
        writing.execute(insert(Base.metadata.tables["kernel_gates"]), list(_gates()))
        writing.execute(insert(Base.metadata.tables["kernel_counts"]), list(counts()))
        writing.execute(insert(Base.metadata.tables["kernel_annotations"]), list(breakers()))
    with target.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for name in LARGE:
            connection.execute(text(kind_of(target.dialect.name).analyze.format(table=name)))


def _steps() -> Iterator[dict[str, Any]]:
    """Yield rows of steps with a result each."""
    now = datetime.now(UTC)
    one = {"name": "vm", "attempts": 1, "started_at": now, "done_at": now, "result": "x" * 200}
    for number in range(STEPS):
        yield one | {"order_id": f"{number // 5:036}", "number": number % 5}


def _runs() -> Iterator[dict[str, Any]]:
    """Yield rows of runs that failed, in a hundred ways, and have been counted."""
    now = datetime.now(UTC)
    one = {"how": "bug", "ended_at": now, "is_counted": True, "traceback": "x" * 500}
    for number in range(STEPS):
        kind = {"fingerprint": f"{number % 100:016}"}
        yield one | kind | {"order_id": f"{number // 5:036}", "run": number % 5}


def _errors() -> Iterator[dict[str, Any]]:
    """Yield rows of errors, most of them resolved long ago, half of a tag that is asked for."""
    now = datetime.now(UTC)
    one = {"error_code": "gone", "is_refusal": False, "number": 3, "run": 1}
    for number in range(STEPS):
        at = now - timedelta(minutes=number)
        seen = dict.fromkeys(("first_seen", "last_seen", "new_at", "resolved_at"), at)
        own = {"fingerprint": f"{number:016}", "order_id": f"{number:036}", "is_open": number < 100}
        tag = "create_project" if number % 2 else "other"
        yield one | seen | own | {"select_tag": tag}


def _hours() -> Iterator[dict[str, Any]]:
    """Yield hours of errors, ten of each."""
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    for number in range(STEPS):
        at = now - timedelta(hours=number % 10)
        yield {"fingerprint": f"{number // 10:016}", "began_at": at, "number": 2}


def _events() -> Iterator[dict[str, Any]]:
    """Yield rows of events, two of each order."""
    one = {"name": "approved", "data": "{}", "told_key": None, "told_by": "x", "is_used": True}
    for number in range(STEPS):
        yield one | {"order_id": f"{number // 2:036}", "told_at": datetime.now(UTC)}


def _gates() -> Iterator[dict[str, Any]]:
    """Yield rows of orders that wait for an event, each until tomorrow."""
    now = datetime.now(UTC)
    one = {"waiting_for": "event:other", "waiting_since": now, "wakes_at": now + timedelta(days=1)}
    for number in range(STEPS):
        yield one | {"order_id": f"{number:036}", "caller_id": 2}


@contextmanager
def without(kernel: Kernel, name: str) -> Iterator[None]:
    """Go without an index for a while, as if it had never been made."""
    index = next(
        one for table in Base.metadata.sorted_tables for one in table.indexes if one.name == name
    )
    with kernel.engine.connect() as connection:
        _have(connection, index, False)
        connection.commit()
        yield
        _have(connection, index, True)
        connection.commit()


def _have(connection: Connection, index: Index, is_there: bool) -> None:
    """Make or drop an index; a foreign key needs it on MariaDB, which can overlook it instead."""
    if connection.dialect.name == "mysql":
        assert index.table is not None
        word = "NOT IGNORED" if is_there else "IGNORED"
        change = f"ALTER TABLE {index.table.name} ALTER INDEX {index.name} {word}"
        connection.execute(text(change))
    elif is_there:
        index.create(connection)
    else:
        index.drop(connection)
