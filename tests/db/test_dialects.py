"""What each database answers, on the real ones; and that nothing else asks which one it is."""

import ast
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import make_url, select, text
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.exc import DBAPIError

from kernel.db.columns import by_index
from kernel.db.dialects import DIALECTS, dialect_of, file_url
from kernel.db.engine import make_engine
from kernel.db.errors import is_passing
from kernel.db.tables.orders import ORDERS
from kernel.errors import ConfigurationError
from kernel.runtime.kernel import Kernel
from tests.support.factories import make_order, order
from tests.support.postgresql import PostgreSQL

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("url", "remote"),
    [
        ("sqlite:///var/kernel.db", False),
        ("sqlite+pysqlite:///var/kernel.db", False),
        ("mysql+pymysql://user@host/name", True),
        ("mariadb+pymysql://user@host/name", True),
        ("postgresql+psycopg://user@host/name", True),
    ],
)
def test_dialect_is_found_when_the_url_names_its_database(url: str, remote: bool) -> None:
    assert dialect_of(url).is_remote is remote
    assert dialect_of(make_url(url)) is dialect_of(url)


@pytest.mark.parametrize("url", ["oracle://host/name", "not a url", ""])
def test_dialect_is_refused_when_the_url_names_no_database_of_ours(url: str) -> None:
    with pytest.raises(ConfigurationError, match="KERNEL_DATABASE_URL"):
        dialect_of(url)


def test_package_to_install_is_named_when_the_driver_is_not_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("kernel.db.dialects.postgresql.psycopg", None)
    with pytest.raises(ConfigurationError, match=r"kernel-workorders\[postgresql\]"):
        make_engine("postgresql+psycopg://user@host/name")


@pytest.mark.parametrize(
    ("url", "file"),
    [
        (file_url("/tmp/kernel.db"), Path("/tmp/kernel.db")),
        ("sqlite:///:memory:", None),
        ("sqlite://", None),
        ("mysql+pymysql://user@host/name", None),
    ],
)
def test_file_is_known_when_the_database_is_one(url: str, file: Path | None) -> None:
    assert dialect_of(url).file_of(make_url(url)) == file


def test_engines_are_as_many_as_a_commit_is_worth_when_they_are_made(kernel: Kernel) -> None:
    _, *engines = kernel.engines
    assert len(set(engines)) == (3 if kernel.dialect.is_remote else 1)


@pytest.fixture
def mariadb_kernel(make_kernel: Callable[..., Kernel], mariadb_rows_url: str) -> Kernel:
    return make_kernel(mariadb_rows_url)


@pytest.mark.parametrize("url", ["postgresql_rows_url", "mariadb_rows_url"])
def test_connection_that_has_its_number_by_now_lives_when_one_is_killed(
    make_kernel: Callable[..., Kernel], request: pytest.FixtureRequest, url: str
) -> None:
    kernel = make_kernel(request.getfixturevalue(url))
    bits = 32 if "mysql" in kernel.dialect.names else 22
    with kernel.run_connection() as connection:
        number = kernel.dialect.connection_number(connection)
        assert number is not None
        # The same process, begun a second before; the same thread, in another life of the server.
        earlier = number - (1 << bits)
        with pytest.raises(DBAPIError), kernel.write() as killer:
            kernel.dialect.kill_connection(killer, earlier)
        assert connection.scalar(text("SELECT 1")) == 1


def test_connection_is_killed_when_a_pooler_has_told_the_driver_another_id(
    make_kernel: Callable[..., Kernel], postgresql_rows_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As PgBouncer does it: a random number, as a rule one that no process can have.
    made_up = property(lambda info: -1_234_567_890)
    monkeypatch.setattr("psycopg.ConnectionInfo.backend_pid", made_up)
    kernel = make_kernel(postgresql_rows_url)
    with kernel.run_connection() as frozen:
        number = kernel.dialect.connection_number(frozen)
        with kernel.write() as connection:
            kernel.dialect.kill_connection(connection, number or 0)
        with pytest.raises(DBAPIError) as ended:
            frozen.execute(text("SELECT 1"))
    assert is_passing(ended.value)


def test_session_speaks_utf8_when_the_database_is_set_to_another_encoding(
    make_kernel: Callable[..., Kernel], postgresql: PostgreSQL, postgresql_url: str
) -> None:
    postgresql.execute(
        f"ALTER DATABASE {make_url(postgresql_url).database} SET client_encoding = 'LATIN1'"
    )
    kernel = make_kernel(postgresql_url)
    order_id = make_order(kernel, message="桥 \N{BRIDGE AT NIGHT}")
    assert order(kernel, order_id).message == "桥 \N{BRIDGE AT NIGHT}"


@pytest.fixture
def translated(monkeypatch: pytest.MonkeyPatch) -> Iterator[PostgreSQL]:
    """A server that says errors in German, where its package has that."""
    monkeypatch.setenv("LANGUAGE", "de")
    with closing(PostgreSQL()) as server:
        server.start()
        yield server


def test_statement_that_was_prepared_for_other_columns_passes(
    make_kernel: Callable[..., Kernel], translated: PostgreSQL
) -> None:
    """As after a migration, in the language of any server."""
    kernel = make_kernel(translated.create_database())
    asked = select(ORDERS.c.message)
    with kernel.run_connection() as connection:
        connection.execute(asked)
        connection.commit()
        with kernel.write() as other:
            other.execute(text("ALTER TABLE kernel_orders ALTER message TYPE VARCHAR(2000)"))
        with pytest.raises(DBAPIError) as outdated:
            connection.execute(asked)
        assert connection.invalidated
    assert is_passing(outdated.value)
    kernel.close()


def test_limit_of_silence_outlives_a_rollback_when_it_was_set(
    make_kernel: Callable[..., Kernel], postgresql_rows_url: str
) -> None:
    kernel = make_kernel(postgresql_rows_url)
    told = text("SELECT current_setting('idle_in_transaction_session_timeout')")
    with kernel.run_connection() as connection:
        kernel.dialect.limit_silence(connection, 77)
        connection.execute(text("SELECT 1"))
        connection.rollback()
        assert connection.scalar(told) == "77s"
    with kernel.write() as connection:
        assert connection.scalar(told) == "10s"


def test_index_is_sorted_by_bytes_when_the_database_sorts_as_a_language(
    make_kernel: Callable[..., Kernel], postgresql_rows_url: str
) -> None:
    kernel = make_kernel(postgresql_rows_url)
    words = "(VALUES ('B'), ('a'), ('A'), ('b')) AS words (word)"
    with kernel.engine.connect() as connection:
        in_language = connection.scalars(text(f"SELECT word FROM {words} ORDER BY word")).all()
        assert in_language == ["a", "A", "b", "B"], "the server's collation makes no difference"
        for tag in "BaAb":
            make_order(kernel, select_tag=tag)
        tags = select(ORDERS.c.select_tag).order_by(ORDERS.c.select_tag)
        assert connection.scalars(tags).all() == ["A", "B", "a", "b"]


def test_nul_is_replaced_when_a_person_is_told_something(
    make_kernel: Callable[..., Kernel], postgresql_rows_url: str
) -> None:
    kernel = make_kernel(postgresql_rows_url)
    order_id = make_order(kernel, message="a\0b")
    assert order(kernel, order_id).message == "a\N{REPLACEMENT CHARACTER}b"


def test_silent_server_is_left_when_it_does_not_answer_in_time(
    postgresql: PostgreSQL, postgresql_rows_url: str
) -> None:
    engine = make_engine(postgresql_rows_url, read_timeout=1)
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        postgresql.pause()
        try:
            with pytest.raises(DBAPIError) as silent:
                connection.execute(text("SELECT 2"))
        finally:
            postgresql.resume()
        assert is_passing(silent.value)
        assert connection.invalidated
    engine.dispose()


def test_server_is_told_once_how_long_to_bear_silence_when_it_stays(
    mariadb_kernel: Kernel,
) -> None:
    remote, told = mariadb_kernel, text("SHOW SESSION STATUS LIKE 'Com_set_option'")
    with remote.run_connection() as connection:
        before = int(connection.execute(told).one()[1])
        for seconds in (77, 77, 88):
            remote.dialect.limit_silence(connection, seconds)
        assert int(connection.execute(told).one()[1]) == before + 2
        assert connection.scalar(text("SELECT @@wait_timeout")) == 88


@pytest.mark.parametrize("seconds", [31_536_030, 10**12])
def test_silence_is_borne_for_as_long_as_the_server_can_when_a_limit_is_longer(
    mariadb_kernel: Kernel, seconds: int
) -> None:
    with mariadb_kernel.run_connection() as connection:
        mariadb_kernel.dialect.limit_silence(connection, seconds)
        assert connection.scalar(text("SELECT @@wait_timeout")) == 31_536_000


def test_index_is_forced_when_the_optimizer_chooses_badly() -> None:
    query = by_index(select(ORDERS.c.id), ORDERS, "ix_one")
    assert "FORCE INDEX (ix_one)" in str(query.compile(dialect=mysql.dialect()))
    assert "INDEX" not in str(query.compile(dialect=sqlite.dialect()))


# ---- Nothing else knows -----------------------------------------------------------------------

KNOWING = re.compile(
    r"sqlite|mysql|mariadb|innodb|postgres|psycopg|get_backend_name|information_schema|pragma"
    r"|wait_timeout|thread_id|kill connection|force index|utc_timestamp|strftime\('",
    re.IGNORECASE,
)
MAY_KNOW = {
    # Which URLs are accepted is the settings' policy; they stand below this room.
    "kernel/config/checks.py",
    "kernel/config/settings.py",
    "kernel/cli/commands/configuration/group.py",
    # A URL as it is typed, and the anchor of a page.
    "kernel/cli/examples.py",
    "kernel/insight/conditions/rules.py",
    # Steps of migrations: each database renames and copies in its own way.
    "kernel/db/schema/old_names.py",
    "kernel/db/schema/steps.py",
    # How each is kept to one migration at a time.
    "kernel/db/schema/running.py",
    # A statement of a handler is sorted by the words of all of them.
    "kernel/db/statements/sorting.py",
    # What a person types to change a column of a handler's table.
    "kernel/handlers/registering/tables.py",
}


def words(tree: ast.AST) -> Iterator[str]:
    """Yield names and texts of a module's code: no comment, and no docstring."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    doc = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in doc:
            yield node.value
        elif isinstance(node, ast.Name | ast.alias | ast.FunctionDef | ast.ClassDef):
            yield node.id if isinstance(node, ast.Name) else node.name
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_no_other_file_knows_which_database_it_is() -> None:
    knowing = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "kernel").rglob("*.py")
        if any(KNOWING.search(word) for word in words(ast.parse(path.read_text())))
    }
    room = {name for name in knowing if name.startswith("kernel/db/dialects/")}
    assert len(room) > len(DIALECTS), "the words to look for are wrong"
    assert knowing - room - MAY_KNOW == set()
