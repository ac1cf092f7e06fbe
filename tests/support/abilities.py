"""What the conformance suite asks of each kind of database in its own words, and what each cannot.

A kind of database is one entry of `KINDS`. What it cannot do stands in ``cannot`` with its reason:
the suite asserts that it is so, and skips nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, text


@dataclass(frozen=True, slots=True)
class Kind:
    """The words of one kind of database.

    ``interrupted``: statements of which the server ends the last one after a moment. ``enders``:
    texts that end a transaction without beginning with a word that says so. ``plan``: how a query
    is gone about, as text. ``by_index``: what stands in that text when rows are found by an index.
    ``sleep``: a statement that is under way for 30 s; ``asleep`` counts those of all connections.
    ``locked``: counts statements that wait for a lock. ``number``: asks which connection it is.
    ``forget_keys``: foreign keys are not looked at in this session from then on. ``analyze``: has
    the planner look at a table. ``rows_read``: counts rows that this session has read of tables.
    ``lock_table``: keeps all others from reading a table while the transaction lasts.
    """

    interrupted: tuple[str, ...]
    enders: tuple[str, ...]
    explain: str
    by_index: Callable[[str], bool]
    analyze: str
    forget_keys: str
    sleep: str = ""
    asleep: str = ""
    locked: str = ""
    number: str = ""
    rows_read: str = ""
    lock_table: str = ""
    cannot: Mapping[str, str] = field(default_factory=dict)

    def plan(self, connection: Connection, statement: str, given: Any = ()) -> str:
        """Return how the database would go about a statement, as text."""
        rows = connection.exec_driver_sql(f"{self.explain} {statement}", given)
        return "\n".join(" ".join(map(str, row)) for row in rows)


KINDS = {
    "sqlite": Kind(
        interrupted=(),
        enders=("/* */ COMMIT", "-- a\nEND", ";COMMIT"),
        explain="EXPLAIN QUERY PLAN",
        by_index=lambda plan: "USING INDEX" in plan or "USING COVERING INDEX" in plan,
        analyze="ANALYZE {table}",
        forget_keys="PRAGMA foreign_keys = OFF",
        cannot={
            "kill": "a connection is a file of its own process: there is no server to end it",
            "interrupt": "no statement is ended by a time limit",
            "lock rows": "one process writes at a time: a second writer waits for the file",
            "microseconds": "its clock has milliseconds",
            "be demoted": "there is no server that another one could take the place of",
            "lock tables": "who reads waits for no lock",
            "count rows": "it does not tell how many rows a statement has read",
        },
    ),
    "mysql": Kind(
        interrupted=("SET STATEMENT max_statement_time = 0.05 FOR SELECT SLEEP(5)",),
        enders=(
            "/* */ COMMIT",
            "/*! COMMIT */",
            "EXECUTE IMMEDIATE 'COMMIT'",
            "CREATE TABLE t_e (a INT)",
        ),
        explain="EXPLAIN",
        by_index=lambda plan: "ix_kernel_" in plan,
        analyze="ANALYZE TABLE {table}",
        forget_keys="SET SESSION foreign_key_checks = 0",
        sleep="SELECT SLEEP(30)",
        asleep="SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'SELECT SL%'",
        locked="SELECT variable_value FROM information_schema.global_status"
        " WHERE variable_name = 'INNODB_ROW_LOCK_CURRENT_WAITS'",
        number="SELECT CONNECTION_ID()",
        lock_table="LOCK TABLES {table} WRITE",
        rows_read="SHOW SESSION STATUS WHERE Variable_name = 'Rows_read'",
        cannot={
            "tell a space at the end": "its collations pad the shorter word when they compare two"
        },
    ),
    "postgresql": Kind(
        interrupted=("SET LOCAL statement_timeout = 50", "SELECT pg_sleep(5)"),
        enders=(
            "/* */ COMMIT",
            "COMMIT AND CHAIN",
            "ROLLBACK AND CHAIN",
            "PREPARE TRANSACTION 'x'",
        ),
        explain="EXPLAIN",
        by_index=lambda plan: "Index" in plan,
        analyze="VACUUM ANALYZE {table}",
        forget_keys="SET session_replication_role = replica",
        sleep="SELECT pg_sleep(30)",
        asleep="SELECT count(*) FROM pg_stat_activity WHERE state = 'active'"
        " AND query LIKE 'SELECT pg_sl%'",
        locked="SELECT count(*) FROM pg_locks WHERE NOT granted",
        number="SELECT pg_backend_pid()",
        lock_table="LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE",
        rows_read="SELECT 'rows', sum(seq_tup_read + coalesce(idx_tup_fetch, 0))"
        " FROM pg_stat_xact_user_tables",
        cannot={"hold NUL": "no text can have a character of code 0"},
    ),
}


def kind_of(name: str) -> Kind:
    """Return the kind by the name that SQLAlchemy has for it."""
    return KINDS[name]


def tell(connection: Connection, statements: tuple[str, ...]) -> None:
    """Say one statement after the other."""
    for statement in statements:
        connection.execute(text(statement))
