"""Handlers in a Flask application: its context, and its db.session, which is the run's."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from flask import Flask, current_app
from flask_sqlalchemy import SQLAlchemy
from pydantic import BaseModel
from sqlalchemy import MetaData, event, text

from kernel import InApp, builtin, without_kernel
from kernel.db.columns import Base
from kernel.db.schema.scripts import Scripts
from kernel.db.schema.version import VERSION_TABLE
from kernel.errors import ConfigurationError, Reject
from kernel.handlers import Handlers, Run
from kernel.runtime.installation import Name
from kernel.runtime.kernel import Kernel
from kernel.runtime.startup import check_host
from kernel.testing import drain
from tests.support.clients import client
from tests.support.factories import order

Body = Callable[["Host", Run], dict[str, Any] | None]


class Args(BaseModel, extra="allow"):
    """Any."""


class Host:
    """An application on kernel's database, with a table of its own and one in another file."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder
        self.db = SQLAlchemy()
        self.made = 0
        self.apps: list[Flask] = []
        self.torn_down: list[object] = []
        self.flushed_in: list[str] = []
        db = self.db

        class Account(db.Model):  # type: ignore[name-defined,misc]
            id = db.Column(db.Integer, primary_key=True)
            name = db.Column(db.String(50), nullable=False)

        class Note(db.Model):  # type: ignore[name-defined,misc]
            __bind_key__ = "notes"
            id = db.Column(db.Integer, primary_key=True)

        self.Account, self.Note = Account, Note
        event.listen(Account, "before_insert", lambda *_: self.flushed_in.append(current_app.name))

    def create_app(self) -> Flask:
        app = Flask("shop")
        app.config["SQLALCHEMY_DATABASE_URI"] = self.url
        app.config["SQLALCHEMY_BINDS"] = {"notes": f"sqlite:///{self.folder}/notes.db"}
        self.db.init_app(app)
        app.teardown_appcontext(self.torn_down.append)
        self.made += 1
        self.apps.append(app)
        return app

    def close(self) -> None:
        for app in self.apps:
            with app.app_context():
                for engine in self.db.engines.values():
                    engine.dispose()

    def names(self, kernel: Kernel) -> list[str]:
        with kernel.read() as connection:
            return list(connection.scalars(text("SELECT name FROM account ORDER BY id")))


@pytest.fixture
def host(database_url: str, tmp_path: Path) -> Iterator[Host]:
    with closing(Host(database_url, tmp_path)) as made:
        yield made


Run1 = Callable[[Body], tuple[Kernel, Any]]


@pytest.fixture
def run_once(host: Host, make_kernel: Callable[..., Kernel], database_url: str) -> Run1:
    """Make an installation with this one handler, and run an order of it."""

    def build(body: Body) -> tuple[Kernel, Any]:
        registry = Handlers(host.db.metadata, within=InApp(host.create_app, host.db))
        registry.register("do", Args)(lambda run, args: body(host, run) or {})
        kernel = make_kernel(database_url, registry)
        with kernel.engine.begin() as connection:
            connection.execute(
                text(
                    "CREATE TABLE IF NOT EXISTS account"
                    " (id INTEGER PRIMARY KEY, name VARCHAR(50) NOT NULL)"
                )
            )
        order_id = client(kernel).submitted(select_tag="do")
        drain(kernel, raise_bugs=False)
        return kernel, order(kernel, order_id)

    return build


def add(host: Host, number: int, name: str = "Ada") -> None:
    host.db.session.add(host.Account(id=number, name=name))


@pytest.mark.rows
def test_models_of_the_host_commit_with_the_order(run_once: Run1, host: Host) -> None:
    def body(host: Host, run: Run) -> dict[str, Any]:
        add(host, 1)  # flushed by kernel, in the context
        assert host.db.session() is run.session
        return {"app": current_app.name}

    kernel, row = run_once(body)
    assert (row.state, row.result) == ("success", '{"app":"shop"}')
    assert host.names(kernel) == ["Ada"]
    assert host.flushed_in == ["shop"]
    assert host.torn_down == [None]


@pytest.mark.rows
def test_models_of_the_host_go_with_a_rejected_order(run_once: Run1, host: Host) -> None:
    def body(host: Host, run: Run) -> None:
        add(host, 1)
        host.db.session.flush()
        raise Reject("no", "no")

    kernel, row = run_once(body)
    assert (row.state, row.error_code) == ("failed", "no")
    assert host.names(kernel) == []
    assert isinstance(host.torn_down[0], Reject)


@pytest.mark.parametrize("word", ["commit", "rollback", "close"])
def test_handler_may_not_end_the_transaction_by_the_hosts_session(
    run_once: Run1, host: Host, word: str
) -> None:
    def body(host: Host, run: Run) -> None:
        add(host, 1)
        host.db.session.flush()
        getattr(host.db.session, word)()

    kernel, row = run_once(body)
    assert (row.state, row.error_code) == ("failed", "internal_error")
    assert host.names(kernel) == []


def test_begin_of_the_hosts_session_commits_nothing_either(run_once: Run1, host: Host) -> None:
    def body(host: Host, run: Run) -> None:
        with host.db.session.begin():
            add(host, 1)

    kernel, row = run_once(body)
    assert (row.state, row.error_code) == ("failed", "internal_error")
    assert host.names(kernel) == []


def test_session_is_the_runs_in_nested_contexts_and_after_remove(
    run_once: Run1, host: Host
) -> None:
    def body(host: Host, run: Run) -> None:
        with current_app.app_context():
            add(host, 1, "within")
        host.db.session.remove()
        assert host.db.session() is run.session
        run.checkpoint(1)
        add(host, 2, "after")
        assert host.Account.query.count() == 2

    kernel, row = run_once(body)
    assert row.state == "success", row
    assert host.names(kernel) == ["within", "after"]


def test_step_works_in_the_context(run_once: Run1, host: Host) -> None:
    def body(host: Host, run: Run) -> dict[str, Any]:
        return {"name": run.step("ask", lambda: current_app.name)}

    _, row = run_once(body)
    assert row.result == '{"name":"shop"}'


def test_tables_of_another_bind_are_refused_in_words(
    run_once: Run1, host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    def written(host: Host, run: Run) -> None:
        host.db.session.add(host.Note(id=1))

    _, row = run_once(written)
    assert row.error_code == "internal_error"
    assert "table note is of bind 'notes'" in caplog.text


def test_reading_of_another_bind_is_refused_in_words(
    run_once: Run1, host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    def read(host: Host, run: Run) -> None:
        host.db.session.scalars(host.db.select(host.Note.id)).all()

    _, row = run_once(read)
    assert row.error_code == "internal_error"
    assert "Session(db.engines['notes'])" in caplog.text


def test_hosts_own_session_is_back_after_the_run(run_once: Run1, host: Host) -> None:
    run_once(lambda host, run: add(host, 1))
    with host.create_app().app_context():
        add(host, 2, "by the host")
        host.db.session.commit()
        assert sorted(one.name for one in host.Account.query) == ["Ada", "by the host"]


def test_application_is_made_once_or_taken_as_it_is(
    host: Host, make_kernel: Callable[..., Kernel], sqlite_url: str
) -> None:
    app = Flask("ready")
    registry = Handlers(within=InApp(app))
    registry.register("do", Args)(lambda run, args: {"app": current_app.name})
    made = Handlers(within=InApp(host.create_app))
    made.register("do", Args)(lambda run, args: {"app": current_app.name})
    for one, name in ((registry, "ready"), (made, "shop")):
        kernel = make_kernel(sqlite_url, one)
        caller = client(kernel, name)
        ids = [caller.submitted(select_tag="do") for _ in range(2)]
        drain(kernel)
        assert {order(kernel, one).result for one in ids} == {f'{{"app":"{name}"}}'}
    assert host.made == 1


def test_host_compares_its_tables_beside_kernels_and_those_of_handlers_migrations(
    make_kernel: Callable[..., Kernel], sqlite_url: str
) -> None:
    kernel = make_kernel(sqlite_url)
    scripts = [Scripts(name, Path()) for name in ("", "gitlab", "a_b")]
    with kernel.engine.begin() as connection:
        for one in scripts:
            connection.execute(text(f"CREATE TABLE {one.version_table} (version_num VARCHAR(32))"))
        connection.execute(text("CREATE TABLE account (id INTEGER PRIMARY KEY)"))
        options = {"include_name": without_kernel}
        found = compare_metadata(MigrationContext.configure(connection, opts=options), MetaData())
    assert [(what, table.name) for what, table in found] == [("remove_table", "account")]


def test_no_table_of_kernel_is_left_to_the_hosts_migrations() -> None:
    assert builtin.handlers
    ours = Base.metadata.tables
    assert not any(without_kernel(name, "table", {}) for name in (*ours, VERSION_TABLE))
    for name in ("account", "alembic_version", "handlers_of_mine", "my_handlers_alembic_version"):
        assert without_kernel(name, "table", {})
    assert without_kernel("kernel_things", "column", {})


# ---- The check at a worker's start -------------------------------------------------------------


def checked(host: Host, kernel: Kernel) -> None:
    kernel.handlers = Handlers()
    kernel.handlers.include(Handlers(within=InApp(host.create_app, host.db)))
    check_host(kernel)


@pytest.mark.rows
def test_start_goes_on_when_the_host_has_kernels_database(
    host: Host, make_kernel: Callable[..., Kernel], database_url: str
) -> None:
    checked(host, make_kernel(database_url))
    assert host.made == 1


def test_start_is_refused_when_the_host_has_another_database(
    host: Host, make_kernel: Callable[..., Kernel], database_url: str, tmp_path: Path
) -> None:
    kernel = make_kernel(database_url)
    host.url = f"sqlite:///{tmp_path}/own.db"
    with pytest.raises(ConfigurationError, match="does not show kernel's tables"):
        checked(host, kernel)
    other = make_kernel(f"sqlite:///{tmp_path}/other.db")
    other.one(Name).read()
    host.url = f"sqlite:///{tmp_path}/other.db"
    with (
        pytest.raises(ConfigurationError, match="another database than KERNEL_DATABASE_URL"),
        closing(Host(host.url, tmp_path)) as second,
    ):
        checked(second, kernel)
