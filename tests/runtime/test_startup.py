"""What is refused at the start, each refusal naming its mend, and what is only warned about."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, event, text

from kernel.config.settings import load
from kernel.db.dialects import mysql
from kernel.errors import ConfigurationError
from kernel.handlers import Handlers
from kernel.runtime import startup
from kernel.runtime.broker_probe import asking
from kernel.runtime.kernel import Kernel
from kernel.views.app import create_app
from tests.support.handlers.misbehaving import Named
from tests.support.people.terminal import Terminal
from tests.support.servers import MariaDB, Redis
from tests.support.stack import stopped

MakeKernel = Callable[..., Kernel]
NOBODY = "127.0.0.1:1"
GUARDED = "redis://:secret@a.example"
URL = "KERNEL_BROKER_URL"
OPEN = ["redis://kernel@", "redis://:@", "amqp://kernel:@", "amqp://guest:gu%65st@"]


@pytest.fixture
def kernel(make_kernel: MakeKernel, mariadb_url: str, redis: Redis) -> Kernel:
    return make_kernel(mariadb_url, broker_url=redis.url(1))


def say(kernel: Kernel, *statements: str) -> None:
    with kernel.engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def refused(kernel: Kernel) -> str:
    with pytest.raises(ConfigurationError) as caught:
        startup.check(kernel)
    return caught.value.message


def test_nothing_is_said_when_all_is_well(kernel: Kernel) -> None:
    assert startup.check(kernel) == []


def test_nothing_is_said_when_the_database_is_a_file(
    make_kernel: MakeKernel, sqlite_url: str, redis: Redis
) -> None:
    assert startup.check(make_kernel(sqlite_url, broker_url=redis.url(1))) == []


def test_start_is_refused_when_a_soft_limit_is_not_below_the_settings_time_limit(
    make_kernel: MakeKernel, sqlite_url: str
) -> None:
    registry = Handlers()
    registry.register("late", Named, soft_limit=60)(lambda run, args: {})
    assert "KERNEL_TIME_LIMIT_SECONDS, which is 30 s" in refused(
        make_kernel(sqlite_url, registry, time_limit_seconds=30)
    )
    registry.register("own", Named, soft_limit=20, time_limit=25)(lambda run, args: {})
    startup.check_handlers(make_kernel(sqlite_url, registry, time_limit_seconds=61))


def test_guarded_handlers_are_refused_on_galera_alone(
    make_kernel: MakeKernel, mariadb_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node says so by @@wsrep_on; a server without that variable is none."""
    registry = Handlers()
    registry.register("do", Named, guarded=True)(lambda run, args: {})
    kernel = make_kernel(mariadb_url, registry)
    startup.check_database(kernel)
    monkeypatch.setattr(mysql, "IS_GALERA", "SELECT 1")
    with pytest.raises(ConfigurationError, match="leave guarded=True out"):
        startup.check_database(kernel)
    startup.check_database(make_kernel(mariadb_url))
    monkeypatch.setattr(mysql, "IS_GALERA", "SELECT @@no_such_variable")
    startup.check_database(kernel)


@pytest.mark.parametrize(
    ("asked", "instead"),
    [("IN_TRANSACTION", "SELECT @@no_such_variable"), ("IDLE_TIMEOUT", "no_such_variable")],
)
def test_start_is_refused_when_the_server_lacks_what_every_supported_one_has(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, asked: str, instead: str
) -> None:
    monkeypatch.setattr(mysql, asked, instead)
    kernel.engine.dispose()
    assert "MariaDB 10.6 or newer is needed" in (said := refused(kernel))
    assert "no_such_variable" in said


def test_start_is_refused_when_a_table_cannot_roll_back(kernel: Kernel) -> None:
    say(kernel, "ALTER TABLE project_tb_project ENGINE=MyISAM")
    assert refused(kernel).endswith("ALTER TABLE project_tb_project ENGINE=InnoDB")


def test_start_is_refused_when_a_handlers_own_table_cannot_roll_back(
    make_kernel: MakeKernel, mariadb_url: str
) -> None:
    own = MetaData()
    Table("tickets", own, Column("id", Integer, primary_key=True))
    kernel = make_kernel(mariadb_url, Handlers(own))
    say(kernel, "CREATE TABLE tickets (id INT PRIMARY KEY) ENGINE=Aria")
    assert "ALTER TABLE tickets ENGINE=InnoDB" in refused(kernel)


def test_start_warns_when_a_table_nobody_named_cannot_roll_back(kernel: Kernel) -> None:
    say(kernel, "CREATE TABLE stranger (id INT PRIMARY KEY) ENGINE=MyISAM")
    (warning,) = startup.check(kernel)
    assert "ALTER TABLE stranger ENGINE=InnoDB" in warning


@pytest.mark.parametrize("charset", ["utf8mb3", "latin1"])
def test_start_is_refused_when_a_table_cannot_hold_every_character(
    kernel: Kernel, charset: str
) -> None:
    say(kernel, f"ALTER TABLE project_tb_project CONVERT TO CHARACTER SET {charset}")
    mend = refused(kernel).rpartition("Convert it: ")[2]
    assert mend.startswith("ALTER TABLE project_tb_project CONVERT TO CHARACTER SET utf8mb4")
    say(kernel, mend)
    assert startup.check(kernel) == []


def test_start_is_refused_when_the_session_cannot_be_strict(kernel: Kernel) -> None:
    def reset(connection: Any, _record: Any) -> None:
        connection.cursor().execute("SET SESSION sql_mode = ''")

    kernel.engine.dispose()
    event.listen(kernel.engine, "connect", reset)
    assert "not strict" in refused(kernel)


def test_start_is_refused_when_the_session_speaks_another_charset(
    make_kernel: MakeKernel, mariadb_url: str
) -> None:
    kernel = make_kernel(mariadb_url.replace("utf8mb4", "latin1"))
    assert "KERNEL_DATABASE_URL" in refused(kernel)


def test_start_warns_when_a_commit_is_not_on_disk(kernel: Kernel, mariadb: MariaDB) -> None:
    mariadb.execute("SET GLOBAL innodb_flush_log_at_trx_commit = 2")
    try:
        (warning,) = startup.check(kernel)
    finally:
        mariadb.execute("SET GLOBAL innodb_flush_log_at_trx_commit = 1")
    assert "set it to 1" in warning


def test_start_asks_little_when_all_is_well(kernel: Kernel) -> None:
    startup.check(kernel)  # the first start of all names the installation
    said: list[str] = []
    for engine in {kernel.engine, kernel.engines.single}:
        event.listen(engine, "before_cursor_execute", lambda *a: said.append(a[2]))
    startup.check(kernel)
    assert len(said) <= 6


# ---- The broker -------------------------------------------------------------------------------


def ask(url: str) -> list[str]:
    return list(asking.ask(load(broker_url=url, result_backend="")))


@contextmanager
def greeter(first: bytes, then: bytes = b"") -> Iterator[str]:
    """A server that says something at once, and something else when spoken to."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.sendall(first)
                connection.recv(100)
                connection.sendall(then)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        thread.join()


HTTP = (b"", b"HTTP/1.1 400 Bad Request\r\n\r\n")
MYSQL = (b"I\0\0\0\n10.11.6-MariaDB\0",)
RABBITMQ = (b"", b"\x01\x00\x00\x00\x00\x02\x00")
REDIS = (b"", b"-ERR unknown command 'AMQP'\r\n")
SSH = (b"SSH-2.0-OpenSSH_9.2\r\n",)


@pytest.mark.parametrize(
    ("scheme", "says"),
    [("redis", one) for one in (HTTP, MYSQL, RABBITMQ, SSH)]
    + [("amqp", one) for one in (HTTP, MYSQL, REDIS, SSH)],
)
def test_start_is_refused_when_the_broker_is_something_else(
    scheme: str, says: tuple[bytes, ...]
) -> None:
    with greeter(*says) as place, pytest.raises(ConfigurationError) as refusal:
        ask(f"{scheme}://user:s3cr3t@{place}/")
    assert f"KERNEL_BROKER_URL: {place} answers, but is no" in refusal.value.message
    assert "s3cr3t" not in refusal.value.message


def test_start_goes_on_when_the_broker_is_a_rabbitmq() -> None:
    with greeter(*RABBITMQ) as place:
        assert ask(f"amqp://{place}//") == []


def test_start_is_refused_when_the_broker_refuses_the_password(redis: Redis) -> None:
    with pytest.raises(ConfigurationError, match="refuses the user or the password"):
        ask(redis.url(1).replace("://", "://nobody:s3cr3t@"))


def test_start_is_refused_when_the_broker_has_no_such_database(redis: Redis) -> None:
    with pytest.raises(ConfigurationError, match="refuses us: DB index is out of range"):
        ask(redis.url(9999))


@pytest.mark.parametrize("url", [f"redis://{NOBODY}/1", f"amqp://{NOBODY}//"])
def test_start_warns_when_no_broker_answers(url: str) -> None:
    assert ask(url) == [f"the broker at {NOBODY} does not answer (ConnectionRefusedError)"]


def test_start_warns_and_does_not_wait_when_the_broker_is_frozen(redis: Redis) -> None:
    with stopped(redis.pid):
        assert "does not answer (TimeoutError)" in str(ask(redis.url(1)))


# ---- Who asks ---------------------------------------------------------------------------------


@pytest.fixture
def broken(terminal: Terminal) -> Iterator[Terminal]:
    """A command line whose broker is something else, for three questions."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(30)

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.sendall(*SSH)

        thread = threading.Thread(target=serve)
        thread.start()
        terminal.settings["broker_url"] = f"redis://127.0.0.1:{listening.getsockname()[1]}/1"
        yield terminal
        thread.join()


@pytest.mark.parametrize("command", ["worker", "dispatcher"])
def test_program_does_not_start_when_its_broker_is_something_else(
    broken: Terminal, command: str
) -> None:
    assert "is no Redis; correct the URL" in broken.run(command, exit_code=2).stderr


def test_config_check_fails_when_the_broker_is_something_else(broken: Terminal) -> None:
    shown = broken.run("config", "check", exit_code=1).stdout
    assert "is no Redis; correct the URL" in shown


def test_api_does_not_start_when_a_table_cannot_roll_back(kernel: Kernel) -> None:
    say(kernel, "ALTER TABLE kernel_sweeps ENGINE=MyISAM")
    with pytest.raises(ConfigurationError, match="kernel_sweeps"):
        create_app(kernel)


@pytest.mark.parametrize(
    ("settings", "warned"),
    [
        ({}, ["KERNEL_BROKER_URL", "KERNEL_RESULT_BACKEND"]),
        ({"broker_url": "amqp://mq.example", "result_backend": ""}, ["KERNEL_BROKER_URL"]),
        ({"broker_url": f"{GUARDED}/1", "result_backend": f"{GUARDED}/2"}, []),
        ({"broker_url": f"{GUARDED};redis://b.example", "result_backend": ""}, [URL]),
        *(({"broker_url": f"{one}a.example", "result_backend": ""}, [URL]) for one in OPEN),
        ({"broker_url": "amqp://kernel:s3cret@a.example", "result_backend": ""}, []),
    ],
)
def test_broker_without_a_password_is_warned_about(
    settings: dict[str, str], warned: list[str]
) -> None:
    said = startup.open_brokers(load(**settings))
    assert [one.split()[0] for one in said] == warned


def test_config_check_warns_of_a_broker_without_a_password(
    terminal: Terminal, redis: Redis
) -> None:
    terminal.settings["broker_url"] = redis.url(1)
    checks = {one["check"]: one for one in terminal.json("config", "check")}
    assert f"{URL} has no password" in checks["broker"]["detail"]
    assert checks["broker"]["ok"]
