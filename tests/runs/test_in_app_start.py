"""An application that handlers cannot run in: told at import, or at the start of a worker."""

import sys
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import create_engine

from kernel.errors import ConfigurationError, Unavailable
from kernel.handlers import Handlers
from kernel.handlers.hosted import InApp
from kernel.runtime.kernel import Kernel
from kernel.runtime.startup import check_host

db = SQLAlchemy()


def without_db() -> Flask:
    return Flask("shop")


def without_setting() -> Flask:
    app = Flask("shop")
    app.config["SQLALCHEMY_DATABASE_URI"] = app.config["SHOP_URL"]
    return app


def without_return() -> None:
    Flask("shop")


def with_argument(config: str) -> Flask:
    return Flask(config)


def with_exit() -> Flask:
    sys.exit(0)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("shop:create_app",), "InApp(create_app, db), not 'shop:create_app' for the first"),
        ((db, without_db), "InApp(create_app, db), not <SQLAlchemy"),
        ((None,), "not None for the first"),
        ((without_db, SQLAlchemy), "the db of `db = SQLAlchemy()`, not <class"),
        ((without_db, db.metadata), "the db of `db = SQLAlchemy()`, not MetaData()"),
    ],
)
def test_what_is_no_application_is_refused_at_import(given: Any, words: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        InApp(*given)
    assert words in refused.value.message


@pytest.mark.parametrize("own", [None, db])
@pytest.mark.parametrize(
    ("create_app", "words"),
    [
        (without_setting, rf"KeyError: 'SHOP_URL'\n  {__file__}, line \d+: app.config\["),
        (without_return, r"without_return\(\) has returned None, which is no application: end it"),
        (with_argument, "missing 1 required positional argument: 'config'"),
        (with_exit, rf"SystemExit: 0\n  {__file__}, line \d+: sys.exit\(0\)"),
    ],
)
def test_application_that_cannot_be_made_is_told_at_the_start(
    make_kernel: Callable[..., Kernel],
    sqlite_url: str,
    own: SQLAlchemy | None,
    create_app: Callable[..., Any],
    words: str,
) -> None:
    kernel = make_kernel(sqlite_url, Handlers(within=InApp(create_app, own)))
    with pytest.raises(ConfigurationError, match=words):
        check_host(kernel)


def test_db_of_another_application_is_told_at_the_start(
    make_kernel: Callable[..., Kernel], sqlite_url: str
) -> None:
    kernel = make_kernel(sqlite_url, Handlers(within=InApp(without_db, db)))
    with pytest.raises(ConfigurationError, match="Did you forget to call 'init_app'"):
        check_host(kernel)


def away() -> Flask:
    create_engine("mysql+pymysql://kernel@127.0.0.1:1/kernel").connect()
    return Flask("shop")


def mistaken() -> Flask:
    create_engine("sqlite://").connect().exec_driver_sql("SELECT * FROM shops")
    return Flask("shop")


@pytest.mark.parametrize(
    ("create_app", "kind"), [(away, Unavailable), (mistaken, ConfigurationError)]
)
def test_worker_waits_for_a_database_of_the_application_that_is_away(
    make_kernel: Callable[..., Kernel],
    sqlite_url: str,
    create_app: Callable[[], Flask],
    kind: type[Exception],
) -> None:
    kernel = make_kernel(sqlite_url, Handlers(within=InApp(create_app)))
    with pytest.raises(kind, match="the application that handlers run in: "):
        check_host(kernel)


def test_application_whose_connections_are_not_known_is_not_made_before_a_fork(
    make_kernel: Callable[..., Kernel], sqlite_url: str
) -> None:
    made: list[Flask] = []

    def create_app() -> Flask:
        made.append(Flask("shop"))
        return made[-1]

    kernel = make_kernel(sqlite_url, Handlers(within=InApp(create_app)))
    check_host(kernel, forks=True)
    assert made == []
    check_host(kernel)
    assert len(made) == 1
