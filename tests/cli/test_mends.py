"""A newcomer's mistake gets one line: what is wrong, where it was set, what to type."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, make_url

from kernel.db.dialects.mends import MENDS, explain
from kernel.errors import ConfigurationError
from kernel.handlers import load_handlers
from tests.support.people.terminal import Terminal
from tests.support.servers import MariaDB

KERNEL = Path(sys.executable).with_name("kernel")
SECRET = "not-the-passw0rd"
Says = Callable[..., str]


@pytest.fixture
def says(tmp_path: Path) -> Says:
    """Run a command in an empty folder, have it fail, and return what it says on stderr."""

    def run(*words: str, **settings: str) -> str:
        given = {f"KERNEL_{name.upper()}": value for name, value in settings.items()}
        quiet = {name: value for name, value in os.environ.items() if name[:7] != "KERNEL_"}
        done = subprocess.run(
            [KERNEL, *words],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
            cwd=tmp_path,
            env=quiet | {"PYTHONPATH": os.getcwd()} | given,
        )
        assert done.returncode in (1, 2), done
        assert "Traceback" not in done.stderr
        assert SECRET not in done.stderr + done.stdout
        return done.stderr

    return run


# ---- The database -----------------------------------------------------------------------------


@pytest.fixture
def narrow_user(mariadb: MariaDB, mariadb_url: str) -> Iterator[URL]:
    """A user who may read the schema and nothing else."""
    url = make_url(mariadb_url)
    mariadb.execute(
        f"CREATE USER narrow@'127.0.0.1' IDENTIFIED BY '{SECRET}'",
        f"GRANT SELECT ON {url.database}.* TO narrow@'127.0.0.1'",
    )
    yield url.set(username="narrow", password=SECRET)
    mariadb.execute("DROP USER narrow@'127.0.0.1'")


def shown(url: URL) -> str:
    return url.render_as_string(hide_password=False)


def test_mariadb_that_refuses_the_password_is_said_so(says: Says, narrow_user: URL) -> None:
    said = says("orders", "list", database_url=shown(narrow_user.set(password=SECRET[::-1])))
    assert "refuses user narrow or the password: correct them in KERNEL_DATABASE_URL" in said
    assert SECRET[::-1] not in said


def test_mariadb_without_the_database_is_said_so(says: Says, mariadb_url: str) -> None:
    url = shown(make_url(mariadb_url).set(database="ordres"))
    said = says("orders", "list", database_url=url)
    assert 'has no database ordres: make it with "CREATE DATABASE ordres CHARACTER SET' in said


def test_mariadb_user_without_the_database_is_said_so(says: Says, narrow_user: URL) -> None:
    said = says("orders", "list", database_url=shown(narrow_user.set(database="mysql")))
    assert "the user narrow may not do that (Access denied" in said
    assert "give it the rights that deploy/databases lists" in said


def test_mariadb_user_without_a_right_is_said_so(says: Says, narrow_user: URL) -> None:
    said = says("migrate", database_url=shown(narrow_user))
    assert "may not do that (CREATE command denied" in said
    assert "deploy/databases" in said


@pytest.mark.parametrize("wrong", ["password", "database"])
def test_postgresql_says_it_too(says: Says, postgresql_url: str, wrong: str) -> None:
    changed = {"password": {"username": "stranger"}, "database": {"database": "ordres"}}[wrong]
    said = says("orders", "list", database_url=shown(make_url(postgresql_url).set(**changed)))
    assert "KERNEL_DATABASE_URL" in said
    assert {"password": "stranger", "database": "ordres"}[wrong] in said


@pytest.mark.parametrize("scheme", ["mysql+pymysql", "postgresql+psycopg"])
@pytest.mark.parametrize("host", ["127.0.0.1:1", "nowhere.invalid"])
def test_server_that_is_not_there_is_said_so(says: Says, scheme: str, host: str) -> None:
    said = says("orders", "list", database_url=f"{scheme}://root:{SECRET}@{host}/kernel")
    assert host in said
    assert "KERNEL_DATABASE_URL" in said


@pytest.mark.parametrize(
    ("scheme", "option"),
    [
        ("mysql+pymysql", "ssl_mode=REQUIRED"),
        ("mysql+pymysql", "charset=utf8mb5"),
        ("mysql+pymysql", "connect_timeout=2s"),
        ("mysql+pymysql", "local_infile=maybe"),
        ("postgresql+psycopg", "ssl_mode=require"),
        ("sqlite", "timeout=2s"),
        ("sqlite", "uri=perhaps"),
    ],
)
@pytest.mark.parametrize("command", [("migrate",), ("orders", "list")])
def test_option_of_the_url_that_cannot_be_used_is_named(
    tmp_path: Path, scheme: str, option: str, command: tuple[str, ...]
) -> None:
    place = f"/{tmp_path}/k.db" if scheme == "sqlite" else f"u:{SECRET}@127.0.0.1:1/d"
    said = Terminal(f"{scheme}://{place}?{option}").run(*command, exit_code=2).stderr
    assert len(said.splitlines()) == 1
    assert "KERNEL_DATABASE_URL" in said
    assert option.partition("=")[0] in said
    assert SECRET not in said


class Refused(Exception):
    """As a driver raises it."""

    sqlstate: str | None = None


@pytest.mark.parametrize("number", MENDS)
@pytest.mark.parametrize("url", ["mysql+pymysql://u:p@h:1/d", "postgresql+psycopg://u:p@h/d", None])
def test_every_number_that_is_known_gets_a_whole_sentence(number: Any, url: str | None) -> None:
    error = Refused(number, "said so") if isinstance(number, int) else Refused("said so")
    error.sqlstate = None if isinstance(number, int) else number
    said = explain(error, None if url is None else make_url(url))
    assert "{" not in said
    named = ("KERNEL_DATABASE_URL", "max_connections", "my.cnf")
    assert url is None or any(one in said for one in named)


def test_number_that_is_not_known_is_told_in_the_servers_words() -> None:
    said = explain(Refused(4711, "the moon is full"), make_url("mysql+pymysql://u:p@h/d"))
    assert said == (
        "the database at h does not answer: the moon is full; look at KERNEL_DATABASE_URL"
    )


def test_file_is_named_that_cannot_be_opened(says: Says, tmp_path: Path) -> None:
    (tmp_path / "kernel.db").mkdir()
    said = says("orders", "list", database_url=f"sqlite:///{tmp_path}/kernel.db")
    assert f"the database at {tmp_path}/kernel.db does not answer: unable to open" in said


# ---- A module of handlers ---------------------------------------------------------------------

BROKEN = {
    "import notthere.sub": "it imports notthere, which is not installed here",
    "def f(:": "mine.py, line 1: invalid syntax: def f(:",
    "x = {}['y']": "importing it failed: KeyError: 'y'\n  ",
    "from kernel import Handlers\nhand = Handlers()": "write KERNEL_HANDLERS=mine:hand",
    "handlers = 1": "and it has none: write `handlers = Handlers()` in it",
    "import mine.more": "there is no module 'mine.more' on the import path",
    "raise RuntimeError('no\\nlicence')": "RuntimeError: no",
    "from kernel import Handlers\nfrom pydantic import BaseModel\nhandlers = Handlers()\n"
    "class X(BaseModel): x: int\n"
    "@handlers.register('x', X)\nasync def x(run, args): ...": "x is async",
}


@pytest.mark.parametrize("lines", BROKEN)
def test_module_of_handlers_that_is_broken_is_explained(
    says: Says, tmp_path: Path, lines: str
) -> None:
    (tmp_path / "mine.py").write_text(lines)
    said = says("openapi", handlers="mine:handlers")
    assert said.startswith("Error: KERNEL_HANDLERS=mine:handlers: ")
    assert BROKEN[lines] in said
    assert "importlib" not in said


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ("mien:handlers", "did you mean mine?"),
        ("mine.py:handlers", "write the module's name without .py"),
        ("mine.more:handlers", "there is no module 'mine.more'"),
    ],
)
def test_module_that_is_not_there_is_explained(
    says: Says, tmp_path: Path, named: str, words: str
) -> None:
    (tmp_path / "mine.py").write_text("")
    assert words in says("openapi", handlers=named)


def test_error_of_the_module_itself_is_the_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cause.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigurationError) as refused:
        load_handlers("cause:handlers")
    assert isinstance(refused.value.__cause__, ZeroDivisionError)


# ---- Names ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("ordres", "list"), "No such command 'ordres'; did you mean orders?"),
        (("orders", "list", "--caller", "anonimous"), "did you mean anonymous?"),
        (("orders", "list", "--caller", "Anonymous"), "did you mean anonymous?"),
        (("receivers", "list", "--caller", "anonymos"), "did you mean anonymous?"),
    ],
)
def test_name_that_is_almost_right_is_told(
    says: Says, sqlite_url: str, tmp_path: Path, words: tuple[str, ...], meant: str
) -> None:
    subprocess.run(
        [KERNEL, "migrate"],
        check=True,
        capture_output=True,
        env=os.environ | {"KERNEL_DATABASE_URL": sqlite_url},
    )
    assert meant in says(*words, database_url=sqlite_url)


# ---- The address of the API -------------------------------------------------------------------


def serve_in_vain(bind: str) -> str:
    """Start gunicorn on an address that it cannot have; return what it says."""
    done = subprocess.run(
        [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "kernel:app"],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"KERNEL_BIND": bind},
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr


def test_port_that_is_taken_is_said_at_once() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = serve_in_vain(f"127.0.0.1:{port}")
    assert f"cannot listen on 127.0.0.1:{port}: another program listens there: stop it" in said
    assert said.rstrip().endswith("or set KERNEL_BIND")
    assert "Retrying" not in said


def test_address_of_another_machine_is_said_at_once() -> None:
    assert "this machine has no such address" in serve_in_vain("192.0.2.1:8000")
