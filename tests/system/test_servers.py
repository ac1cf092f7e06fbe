"""What the tests themselves stand on: servers that come back, no outside network."""

import os
import signal
import socket
import subprocess
import sys

import pymysql
import pytest
from redis import ConnectionError as RedisConnectionError
from redis import TimeoutError as RedisTimeoutError
from sqlalchemy import create_engine, make_url, text

from kernel.db.dialects.mysql_driver import XaConnection
from tests.support import servers
from tests.support.guards import OutsideConnection
from tests.support.servers import MariaDB, Redis
from tests.support.waiting import is_running, wait_until

# Starts a server and tells its process id; then it is killed itself.
STARTING = """
import time
from tests.support.servers import Redis
server = Redis()
server.start()
print(server.pid, server.folder, flush=True)
time.sleep(600)
"""


def schema_of(url: str) -> str:
    return str(make_url(url).database)


def test_mariadb_keeps_committed_rows_when_it_is_killed(mariadb: MariaDB, mariadb_url: str) -> None:
    table = f"{schema_of(mariadb_url)}.t"
    mariadb.execute(f"CREATE TABLE {table} (a INT)", f"INSERT INTO {table} VALUES (1)")
    mariadb.kill()
    mariadb.start()
    assert mariadb.execute(f"SELECT a FROM {table}") == ((1,),)


def test_thread_of_a_mariadb_that_was_started_again_has_another_number(
    mariadb: MariaDB, mariadb_url: str
) -> None:
    """Rows that name a thread outlive the server, and ids begin anew: another has this one soon."""
    url = make_url(mariadb_url)
    login = {"host": url.host, "port": url.port, "user": url.username, "password": url.password}
    with XaConnection(**login) as one, XaConnection(**login) as other:
        numbers = [one.number(), other.number()]
        assert [other.thread_of(number) for number in numbers] == [
            one.thread_id(),
            other.thread_id(),
        ]
    # Lives are told apart by the second of their beginning.
    up = (
        "SELECT variable_value FROM information_schema.global_status WHERE variable_name = 'uptime'"
    )
    wait_until(lambda: int(mariadb.execute(up)[0][0]) >= 2)
    mariadb.kill()
    mariadb.start()
    with XaConnection(**login) as reborn:
        assert [reborn.thread_of(number) for number in numbers] == [0, 0]
        assert reborn.thread_of(one.thread_id()) == one.thread_id()  # written by an older release


def test_server_that_does_not_tell_its_life_serves_all_the_same(
    mariadb: MariaDB, mariadb_url: str
) -> None:
    """Its threads are known by their ids alone then. This one is asked where MySQL would know."""
    url = make_url(mariadb_url)
    login = {"host": url.host, "port": url.port, "user": url.username, "password": url.password}

    class Elsewhere(XaConnection):
        is_mariadb = False

    with Elsewhere(**login) as one:
        assert (one.life(), one.number()) == (0, one.thread_id())
        assert one.thread_of(one.number()) == one.thread_id()
        assert one.thread_of(1 << 32 | one.thread_id()) == 0


def test_mariadb_is_as_durable_as_its_defaults(mariadb: MariaDB) -> None:
    rows = mariadb.execute("SELECT @@innodb_flush_log_at_trx_commit, @@innodb_doublewrite")
    assert rows == ((1, 1),)


def test_mariadb_empty_deletes_rows_and_keeps_tables(mariadb: MariaDB, mariadb_url: str) -> None:
    schema = schema_of(mariadb_url)
    for table in ("t", "kernel_alembic_version"):
        mariadb.execute(f"CREATE TABLE {schema}.{table} (a INT)")
        mariadb.execute(f"INSERT INTO {schema}.{table} VALUES (1)")
    mariadb.empty(mariadb_url)
    assert mariadb.execute(f"SELECT * FROM {schema}.t") == ()
    assert mariadb.execute(f"SELECT * FROM {schema}.kernel_alembic_version") == ((1,),)


def test_mariadb_drop_does_not_wait_for_an_open_transaction(
    mariadb: MariaDB, mariadb_url: str
) -> None:
    engine = create_engine(mariadb_url)
    with engine.connect() as connection:
        connection.execute(text("CREATE TABLE t (a INT)"))
        connection.execute(text("SELECT * FROM t")).all()
        mariadb.drop(mariadb_url)
        connection.invalidate()
    engine.dispose()
    assert mariadb.execute(f"SHOW DATABASES LIKE '{schema_of(mariadb_url)}'") == ()


def test_mariadb_refuses_connections_when_it_is_stopped(mariadb: MariaDB) -> None:
    mariadb.stop()
    with pytest.raises(pymysql.OperationalError):
        mariadb.execute("SELECT 1")
    mariadb.start()


def test_redis_answers_again_when_it_is_resumed(redis: Redis) -> None:
    with redis.client() as client:
        client.connection_pool.connection_kwargs["socket_timeout"] = 0.1
        redis.pause()
        with pytest.raises(RedisTimeoutError):
            client.ping()
        redis.resume()
        assert client.ping()


def test_redis_has_forgotten_everything_when_it_is_restarted(redis: Redis) -> None:
    with redis.client() as client:
        client.set("a", "b")
        redis.restart()
        assert client.get("a") is None


def test_redis_refuses_connections_when_it_was_killed(redis: Redis) -> None:
    redis.kill()
    with redis.client() as client, pytest.raises(RedisConnectionError):
        client.ping()
    redis.start()


def test_server_ends_when_the_test_run_is_killed(redis: Redis) -> None:
    argv = [sys.executable, "-c", STARTING]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        pid, folder = run.stdout.readline().split()
        os.kill(run.pid, signal.SIGKILL)
        wait_until(lambda: not is_running(int(pid)))
    os.remove(f"{folder}/output")
    os.rmdir(folder)


def test_missing_server_skips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "SERVICES_REQUIRED", False)
    with pytest.raises(pytest.skip.Exception, match="no-such-server is not installed"):
        servers.require("no-such-server")


def test_missing_server_fails_when_services_are_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "SERVICES_REQUIRED", True)
    with pytest.raises(pytest.fail.Exception, match="no-such-server is not installed"):
        servers.require("no-such-server")


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1"])
def test_connection_is_refused_when_it_leaves_this_host(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as connection, pytest.raises(OutsideConnection):
        connection.connect((host, 80))


def test_name_does_not_resolve_when_it_is_not_this_host() -> None:
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("example.com", 80)


def test_environment_has_no_settings_of_ours() -> None:
    assert not [name for name in os.environ if name.startswith("KERNEL_")]
