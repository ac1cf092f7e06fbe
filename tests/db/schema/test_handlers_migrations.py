"""Migrations of handlers' tables, made as docs/handlers.md says, by a real `alembic`."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import inspect, make_url, text

from kernel.config.settings import load
from kernel.db.schema import handlers, migrate
from kernel.db.schema.scripts import Scripts, scripts_of
from kernel.errors import ConfigurationError
from kernel.handlers import Handlers, load_handlers
from kernel.runtime.kernel import Kernel
from kernel.runtime.startup import check_database
from tests.support.people.terminal import Terminal

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "handlers.md").read_text()
Alembic = Callable[..., str]


def block(holding: str) -> str:
    """The page's block of Python that holds these words."""
    found = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (one,) = [text for text in found if holding in text]
    return str(one)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of handlers with a table, in which one works."""
    (tmp_path / "sites.py").write_text(block("# sites.py"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("sites", None)


def alembic(url: str, *words: str, named: str = "migrations") -> str:
    """Run alembic in the current folder, as a person would."""
    done = subprocess.run(
        [sys.executable, "-m", "alembic", *words],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "KERNEL_DATABASE_URL": url,
            "KERNEL_HANDLERS_MIGRATIONS": named,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def made(url: str, folder: Path, name: str = "migrations") -> str:
    """Make the folder of migrations and the first one, as the page says; return its text."""
    alembic(url, "init", name)
    (folder / name / "env.py").write_text(block("run_migrations(metadata)"))
    alembic(url, "revision", "--autogenerate", "-m", "sites", named=name)
    (file,) = (folder / name / "versions").glob("*.py")
    return file.read_text()


def tables(url: str) -> set[str]:
    """The names of the tables there are."""
    kernel = Kernel(load(database_url=url), Handlers())
    try:
        return set(inspect(kernel.engine).get_table_names())
    finally:
        kernel.close()


def executed(url: str, *statements: str) -> None:
    """Run statements."""
    kernel = Kernel(load(database_url=url), Handlers())
    for one in statements:
        with kernel.write() as connection:
            connection.execute(text(one))
    kernel.close()


def test_migrations_stand_beside_kernels_and_an_applications(
    new_database_url: str, folder: Path
) -> None:
    """Neither proposes to drop what is the other's, nor goes back with it."""
    url = new_database_url
    migrate.upgrade(url)
    executed(
        url,
        "CREATE TABLE alembic_version (version_num VARCHAR(32))",
        "INSERT INTO alembic_version VALUES ('of the application')",
        "CREATE TABLE shop (id INTEGER PRIMARY KEY)",
    )
    first = made(url, folder)
    assert "create_table('sites'" in first
    assert "drop" not in first.partition("def downgrade")[0]
    assert re.findall(r"drop_\w+\('(\w+)'", first) == ["sites"]
    (scripts,) = scripts_of(["migrations"])
    told: list[str] = []
    handlers.upgrade(url, [scripts], told.append)
    assert [one.split("  ")[1] for one in told] == ["sites"]
    handlers.check(url, scripts)
    migrate.check(url)
    kernel = Kernel(
        load(database_url=url, handlers_migrations=["migrations"]), load_handlers("sites:handlers")
    )
    check_database(kernel)
    kernel.close()
    migrate.downgrade(url, "base")
    mine = {"sites", "handlers_alembic_version"}
    assert mine | {"shop", "alembic_version"} <= tables(url)
    handlers.downgrade(url, scripts, "base")
    assert "sites" not in tables(url)


def test_start_is_refused_when_the_handlers_are_behind_and_not_when_ahead(
    new_database_url: str, folder: Path
) -> None:
    migrate.upgrade(new_database_url)
    made(new_database_url, folder)
    settings = load(database_url=new_database_url, handlers_migrations=["migrations"])
    kernel = Kernel(settings, load_handlers("sites:handlers"))
    with pytest.raises(ConfigurationError, match=r"handlers: at migration none, .* `kernel migr"):
        check_database(kernel)
    handlers.upgrade(new_database_url, scripts_of(["migrations"]))
    check_database(kernel)
    executed(new_database_url, "UPDATE handlers_alembic_version SET version_num = 'newer'")
    check_database(kernel)
    handlers.upgrade(new_database_url, scripts_of(["migrations"]))
    kernel.close()


def test_folders_have_version_tables_of_their_own(new_database_url: str, folder: Path) -> None:
    migrate.upgrade(new_database_url)
    made(new_database_url, folder)
    other = Scripts("other", folder / "migrations")
    handlers.upgrade(new_database_url, scripts_of(["migrations"]))
    assert handlers.standing(new_database_url, other).is_behind
    assert other.version_table == "handlers_other_alembic_version"
    assert not handlers.standing(new_database_url, scripts_of(["migrations"])[0]).is_behind


@contextmanager
def limited(url: str) -> Iterator[None]:
    """Have the server end each statement of a new connection after half a second."""
    if url.startswith("postgresql"):
        name = make_url(url).database
        executed(url, f"ALTER DATABASE {name} SET statement_timeout = 500")
        yield
        return
    executed(url, "SET GLOBAL max_statement_time = 0.5")
    try:
        yield
    finally:
        executed(url, "SET GLOBAL max_statement_time = 0")


@pytest.mark.parametrize(("kind", "slow"), [("mariadb", "SLEEP(1)"), ("postgresql", "pg_sleep(1)")])
def test_slow_step_is_not_ended_by_a_limit_of_the_server(
    request: pytest.FixtureRequest, folder: Path, kind: str, slow: str
) -> None:
    url = request.getfixturevalue(f"{kind}_url")
    made(url, folder)
    (file,) = (folder / "migrations" / "versions").glob("*.py")
    step = f'    op.execute("SELECT {slow}")\n'
    file.write_text(re.sub(r"(def upgrade\(\).*\n)", lambda head: head[0] + step, file.read_text()))
    assert step in file.read_text()
    with limited(url):
        handlers.upgrade(url, scripts_of(["migrations"]))
    assert "sites" in tables(url)


def test_migrate_runs_both_and_tells_how_far_they_are(
    empty_terminal: Terminal, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = empty_terminal.settings["database_url"]
    made(url, folder)
    monkeypatch.setenv("KERNEL_HANDLERS_MIGRATIONS", "migrations")
    said = empty_terminal.run("migrate", "--status", exit_code=1).stdout
    assert "kernel: at migration none, and this code needs" in said
    assert "handlers: at migration none, and " in said
    assert "+ handlers" not in said
    told = empty_terminal.run("migrate").stdout
    assert re.search(r"^handlers \+ \w+  sites$", told, re.MULTILINE)
    said = empty_terminal.run("migrate", "--status").stdout
    assert re.search(r"^handlers: at migration \w+, the newest$", said, re.MULTILINE)
    assert empty_terminal.run("migrate", "--check").stdout == "models and migrations agree\n"


def test_check_tells_what_the_handlers_migrations_do_not_make(
    empty_terminal: Terminal, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(empty_terminal.settings["database_url"], folder)
    (folder / "sites.py").write_text(block("# sites.py").replace("unique=True", "index=True"))
    monkeypatch.setenv("KERNEL_HANDLERS_MIGRATIONS", "migrations")
    said = empty_terminal.run("migrate", "--check", exit_code=2).stderr
    assert "models and migrations differ" in said
    assert "ix_sites_name" in said


@pytest.mark.parametrize(
    ("named", "said"),
    [
        (["nowhere"], "nowhere has no env.py or no folder versions"),
        (["no_such:migrations"], "there is no package 'no_such' on the import path"),
        (["A=migrations"], "'A' names a table: use up to 30 of a-z"),
        (["a=migrations", "a=migrations"], "two have the name 'a'"),
        (["migrations", "migrations"], "two have the name ''"),
    ],
)
def test_folder_that_is_none_is_told_with_what_to_write(
    folder: Path, named: list[str], said: str
) -> None:
    (folder / "migrations" / "versions").mkdir(parents=True)
    (folder / "migrations" / "env.py").touch()
    with pytest.raises(ConfigurationError, match="KERNEL_HANDLERS_MIGRATIONS") as refused:
        scripts_of(named)
    assert said in refused.value.message


STEP = '"""One."""\nrevision = "a1"\ndown_revision = None\ndef upgrade():\n    {}\n'


@pytest.mark.parametrize(
    ("env", "step", "said"),
    [
        (None, "pass", "connectable = engine_from_config(: KeyError: 'url'. Its env"),
        (
            "import nowhere_at_all\n",
            "pass",
            "env.py, line 1: import nowhere_at_all: ModuleNotFound",
        ),
        ("", "raise KeyError('row')", "/versions/a1.py, line 5: raise KeyError('row'): KeyError"),
        ("", "raise SystemExit", "/versions/a1.py, line 5: raise SystemExit: SystemExit"),
    ],
)
def test_what_files_of_migrations_raise_is_told_with_its_line(
    empty_terminal: Terminal,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    env: str | None,
    step: str,
    said: str,
) -> None:
    """Also the env.py that alembic makes, which leads to a database of its own."""
    alembic(empty_terminal.settings["database_url"], "init", "migrations")
    if env is not None:
        (folder / "migrations" / "env.py").write_text(env + block("run_migrations(metadata)"))
    (folder / "migrations" / "versions" / "a1.py").write_text(STEP.format(step))
    monkeypatch.setenv("KERNEL_HANDLERS_MIGRATIONS", "migrations")
    told = empty_terminal.run("migrate", exit_code=2).stderr
    assert told.startswith(f"Error: handlers: {folder}/migrations/")
    assert said in told
    assert "Traceback" not in told
    assert ("Its env.py has to call kernel.db.schema.handlers_env.run_mig" in told) == (env is None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def (\n", "/versions/a1.py, line 1: SyntaxError: "),
        (STEP.format("pass").replace("None", "'a0'"), "handlers: "),
    ],
)
def test_start_tells_what_is_wrong_with_the_files_of_migrations(
    empty_terminal: Terminal, folder: Path, text: str, said: str
) -> None:
    alembic(empty_terminal.settings["database_url"], "init", "migrations")
    (folder / "migrations" / "versions" / "a1.py").write_text(text)
    with pytest.raises(ConfigurationError) as refused:
        handlers.standing(
            empty_terminal.settings["database_url"], Scripts("", folder / "migrations")
        )
    assert refused.value.message.startswith("handlers: ")
    assert said in refused.value.message
