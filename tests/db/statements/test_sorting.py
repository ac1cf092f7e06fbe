"""What a statement can do to its transaction, as a table; the server has the last word."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.db.statements.sorting import HARMLESS_CALLS, Kind, sort_statement

PLAIN = [
    "SELECT 1",
    "(SELECT 1) UNION (SELECT 2)",
    "/* why */ SELECT 1",
    "-- why\nselect 1",
    "INSERT INTO t VALUES (1)",
    "insert into t values ('COMMIT; DROP TABLE t')",
    'UPDATE t SET a = "it\'s; fine"',
    "DELETE FROM `drop`",
    "UPDATE t SET alter_ego = 1",
    "REPLACE INTO t VALUES (1)",
    "WITH x AS (SELECT 1) SELECT * FROM x",
    "VALUES (1)",
    "SELECT 1;",
    "",
    "-- nothing",
]
ENDS = [
    "COMMIT",
    "-- comment\nCREATE TABLE t (a INT)",
    "# comment\nALTER TABLE t ADD b INT",
    "/*!50000 CREATE TABLE t (a INT) */",
    "/*M!100100 DROP TABLE t */",
    "/* a */ /* b */\n\tTRUNCATE t",
    "COMMIT AND CHAIN",
    "BEGIN NOT ATOMIC COMMIT; END",
    "CHECK TABLE t",
    "ROLLBACK",
    "XA START 'x'",
    "SET autocommit = 1",
    "SET @@autocommit = 1",
    "SET @@session.autocommit=1",
    "START TRANSACTION",
    "drop table t",
    "SET SESSION autocommit = 1",
    "LOCK TABLES t WRITE",
    "SELECT 1; COMMIT",
    "INSERT INTO t VALUES (1); SELECT 1",
    "CREATE OR REPLACE TABLE t (a INT)",
]
UNKNOWN = [
    "CALL p()",
    "DO 1",
    "EXECUTE IMMEDIATE 'CREATE TABLE t (a INT)'",
    "EXECUTE s",
    "PREPARE s FROM 'COMMIT'",
    "SET @a = 1",
    "SET STATEMENT max_statement_time = 1 FOR SELECT 1",
    "IF 1 THEN SELECT 1 END IF",
    "HANDLER t OPEN",
    "SHOW TABLES",
    "LOAD DATA INFILE 'x' INTO TABLE t",
    "KILL 7",
    "FROBNICATE t",
    "CREATE TEMPORARY TABLE t (a INT)",
    "CREATE OR REPLACE TEMPORARY TABLE t (a INT)",
    "DROP TEMPORARY TABLE t",
]


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        *((sql, Kind.PLAIN) for sql in PLAIN),
        *((sql, Kind.ENDS) for sql in ENDS),
        *((sql, Kind.UNKNOWN) for sql in UNKNOWN),
        ("SAVEPOINT a", Kind.SAVEPOINT),
        ("RELEASE SAVEPOINT a", Kind.SAVEPOINT),
        ("ROLLBACK TO SAVEPOINT a", Kind.SAVEPOINT),
        ("ROLLBACK WORK TO a", Kind.SAVEPOINT),
    ],
)
def test_statement_is_sorted_by_what_the_server_would_run(sql: str, kind: Kind) -> None:
    assert sort_statement(sql).kind is kind
    assert sort_statement(sql.replace("M!", "!").lower()).kind is kind


@pytest.mark.parametrize(
    ("sql", "locks"),
    [
        ("SELECT 1", False),
        ("SELECT * FROM t FOR UPDATE", True),
        ("SELECT * FROM t LOCK IN SHARE MODE", True),
        ("SELECT 'for update'", False),
        ("INSERT INTO t VALUES (1)", True),
        ("WITH x AS (SELECT 1) DELETE FROM t", True),
        ("CALL p()", True),
    ],
)
def test_statement_has_something_to_lose_when_it_locks_rows(sql: str, locks: bool) -> None:
    assert sort_statement(sql).locks is locks


@pytest.mark.parametrize(
    ("sql", "lasts"),
    [
        *((sql, False) for sql in PLAIN),
        *((sql, sql != "SHOW TABLES") for sql in UNKNOWN),
        ("SAVEPOINT a", False),
        ("SELECT @@version, a FROM t WHERE b @> c", False),
        ("SELECT 'GET_LOCK(1)', `@a` FROM t -- @b", False),
        ("SELECT get_lock('a', 1)", True),
        ("INSERT INTO t SELECT GET_LOCK('a', 1)", True),
        ("SELECT pg_advisory_lock(1)", True),
        ("SELECT pg_try_advisory_lock_shared(1)", True),
        ("SELECT pg_advisory_xact_lock(1)", False),
        ("SELECT @a := 1", True),
        ("SELECT a INTO @b FROM t", True),
        ("SELECT a INTO TEMP b FROM t", True),
        ("WITH a AS (SELECT 1) SELECT * INTO TEMPORARY b FROM a", True),
        ("SELECT temp, temporary FROM t", False),
        ("SET LOCAL search_path TO a", True),
    ],
)
def test_statement_may_change_its_session_beyond_the_transaction(sql: str, lasts: bool) -> None:
    assert sort_statement(sql).lasts is lasts


@pytest.mark.parametrize(
    ("sql", "lasts"),
    [
        ("SET LOCAL a.b = 1", False),
        ("SET CONSTRAINTS ALL DEFERRED", False),
        ("SET TRANSACTION READ ONLY", False),
        ("SET a.b = 1", True),
        ("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", True),
        ("SELECT set_config('a.b', $1, true)", False),
        ("SELECT set_config('a.b', $1, false)", True),
        ("SELECT set_config('a.b', $1, true), set_config('a.c', $2, false)", True),
        ("SELECT set_config('a.b', n, false) FROM t WHERE a IS TRUE", True),
        ("SELECT set_config('a.b', n, $1) FROM t WHERE a OR TRUE", True),
        ("SELECT set_config('a.b', $1, true), pg_advisory_lock(1), true", True),
        ("SELECT a FROM t WHERE a <@ARRAY[1]", False),
        ("EXPLAIN ANALYZE CREATE TEMP TABLE a AS SELECT 1", True),
        ("EXPLAIN ANALYSE CREATE TEMP TABLE a AS SELECT 1", True),
    ],
)
def test_statement_of_postgresql_may_end_with_the_transaction(sql: str, lasts: bool) -> None:
    assert sort_statement(sql, nests_comments=True).lasts is lasts


BRIEF = (
    "MERGE INTO a USING b ON a.id = b.id WHEN MATCHED THEN UPDATE SET c = 1",
    "EXPLAIN SELECT 1",
    "SHOW CREATE TABLE a",
    'PRAGMA main.table_xinfo("a")',
    "NOTIFY a",
)


@pytest.mark.parametrize("sql", BRIEF)
def test_statement_changes_no_session(sql: str) -> None:
    assert not sort_statement(sql).lasts


@pytest.mark.parametrize(
    ("sql", "calls"),
    [
        ("SELECT 1", False),
        ("SELECT COUNT(*), max( a.b ) FROM t WHERE c IN (1, 2) AND (d OR (e))", False),
        ("WITH x AS (SELECT 1) SELECT * FROM x JOIN y USING (id)", False),
        ("(SELECT 1.5) UNION (SELECT 'f(1)')", False),
        ("SELECT f(1)", True),
        ("SELECT f /* why */ (1)", True),
        ("SELECT `count`(1)", True),
        ("SELECT mine.count(1)", True),
        ("SELECT * FROM t WHERE a = f(b)", True),
        ("VALUES (f(1))", True),
        ("INSERT INTO t VALUES (f(1))", False),
    ],
)
def test_read_may_write_when_it_calls_what_is_not_known(sql: str, calls: bool) -> None:
    assert sort_statement(sql).calls is calls


@given(st.from_regex(r"[a-z_]{2,30}", fullmatch=True))
def test_function_that_stands_in_no_list_may_write(name: str) -> None:
    assert sort_statement(f"SELECT {name}(1)").calls is (name.upper() not in HARMLESS_CALLS)
    assert sort_statement(f"SELECT mine.{name}(1)").calls


@given(st.from_regex(r"[A-Z]{3,12}", fullmatch=True))
def test_word_that_stands_in_no_list_is_never_plain(word: str) -> None:
    found = sort_statement(f"{word} something")
    assert found.kind is not Kind.PLAIN or found.word in {
        *("SELECT", "VALUES", "TABLE", "INSERT", "UPDATE", "DELETE", "REPLACE", "WITH")
    }


@given(st.text(alphabet="abcSELECT COMMIT'\"`\\/*!#-\n;()", max_size=60))
def test_any_text_is_sorted_without_an_error(sql: str) -> None:
    assert sort_statement(sql).kind in Kind
