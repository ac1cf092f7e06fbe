"""deploy/redis.conf: the whole way of an order needs no more rights than those; they are few."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis
from celery import Celery
from redis.exceptions import NoPermissionError

from tests.support.acl_redis import PASSWORD, AclRedis
from tests.support.deployment import DEPLOY, ROOT, services
from tests.support.stack import Stack
from tests.support.waiting import wait_until

MORE = {"rate_limit": "1000/minute", "worker_processes": 2}
RESULT = {"status": "SUCCESS", "result": {"n": 1}, "task_id": "1"}
PROJECTS = [{"projname": "a"}] * 30
FORBIDDEN = (
    "FLUSHALL",
    "FLUSHDB",
    "KEYS *",
    "SCAN 0",
    "CONFIG GET requirepass",
    "CONFIG SET maxmemory 1",
    "SHUTDOWN NOSAVE",
    "MONITOR",
    "CLIENT LIST",
    "CLIENT KILL TYPE normal",
    "CLIENT PAUSE 1",
    "ACL LIST",
    "REPLICAOF 127.0.0.1 1",
    "GET anything",
    "DEL orders",
    "LRANGE orders 0 -1",
    "PSUBSCRIBE *",
    "MODULE LIST",
    "SAVE",
)


@pytest.fixture
def broker() -> Iterator[AclRedis]:
    """A Redis with the file that is shipped."""
    with closing(AclRedis()) as server:
        server.start()
        yield server


@pytest.fixture
def guarded_stack(tmp_path: Path, main_database_url: str, broker: AclRedis) -> Iterator[Stack]:
    """An installation that knows kernel's user of the broker, and no other."""
    urls = {"broker_url": broker.url_of("kernel", 1), "result_backend": broker.url_of("kernel", 2)}
    with Stack(tmp_path, main_database_url, broker, **urls, **MORE) as built:
        yield built


def test_order_goes_its_way_with_the_rights_that_are_shipped(
    guarded_stack: Stack, broker: AclRedis
) -> None:
    stack = guarded_stack
    stack.worker()
    stack.start("dispatcher", "kernel", "dispatcher")
    stack.api()
    imported = stack.submit("import_projects", projects=PROJECTS)
    orders = [stack.submit("create_project", projname="a") for _ in range(25)]
    assert stack.callback(imported).headers["webhook-id"]
    for one in orders:
        assert stack.finished(one)["state"] == "success"
    with broker.client(2) as admin:
        wait_until(lambda: admin.exists(f"celery-task-meta-{imported}"))
    with broker.client(1) as admin:
        assert admin.keys("LIMITS*"), "requests are counted there"
        assert admin.acl_log() == [], "what it was refused"
    check = stack.start("check", "kernel", "config", "check")
    wait_until(lambda: check.returncode is not None)
    assert check.returncode == 0, stack.log()


@pytest.mark.parametrize("command", FORBIDDEN)
def test_user_of_kernel_may_do_nothing_else(broker: AclRedis, command: str) -> None:
    with broker.client_of("kernel") as client, pytest.raises(NoPermissionError):
        client.execute_command(*command.split())


def test_broker_is_empty_when_it_was_restarted(broker: AclRedis) -> None:
    """What docs/operations.md says to do after a restore: no user of the file may FLUSHDB."""
    for number, key in ((1, "orders.queue"), (2, "celery-task-meta-1")):
        with broker.client_of("kernel", number) as client:
            client.set(key, "x")
    broker.stop()
    broker.start()
    for number in (1, 2):
        with broker.client(number) as admin:
            assert admin.dbsize() == 0
    steps = (ROOT / "docs" / "operations.md").read_text()
    assert "docker compose restart redis" in steps
    assert "redis-cli" not in steps


def test_message_of_more_than_a_megabyte_is_refused(broker: AclRedis) -> None:
    with broker.client_of("kernel") as client:
        client.lpush("orders.x", b"x" * 300_000)
        with pytest.raises(redis.RedisError):
            client.lpush("orders.x", b"x" * 2_000_000)
        assert client.llen("orders.x") == 1


def test_stranger_is_refused_without_a_password(broker: AclRedis) -> None:
    with (
        redis.Redis(port=broker.port, socket_timeout=5) as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()


def test_client_of_the_original_reads_results_and_nothing_else(broker: AclRedis) -> None:
    with broker.client_of("kernel", 2) as client:
        client.set("celery-task-meta-1", json.dumps(RESULT))
    with Celery(backend=broker.url_of("results", 2), set_as_current=False) as app:
        assert app.AsyncResult("1").get(timeout=5) == {"n": 1}
        assert app.AsyncResult("2").state == "PENDING"
    with broker.client_of("results", 2) as client:
        for refused in (("SET", "celery-task-meta-1", "x"), ("GET", "orders.1"), ("FLUSHDB",)):
            with pytest.raises(NoPermissionError):
                client.execute_command(*refused)


def test_compose_starts_its_redis_with_the_password_in_no_command_line(broker: AclRedis) -> None:
    """The shell of compose.yaml, with Compose's `$$`, and a server that takes what it writes."""
    service = services()["redis"]
    shell, option, script = service["command"]
    made = broker.folder / "made.conf"
    script = script.replace("$$", "$").replace("/etc/kernel", str(DEPLOY))
    script = script.replace("/data/redis.conf", str(made))
    assert script.rstrip().endswith(f"exec redis-server {made}")
    script = script.replace(f"exec redis-server {made}", "true")
    (name,) = service["environment"]
    env = {name: PASSWORD, "PATH": os.environ["PATH"]}
    subprocess.run([shell, option, script], env=env, check=True)
    assert made.stat().st_mode & 0o777 == 0o600
    text = (DEPLOY / "redis.conf").read_text()
    assert made.read_text() == text.replace(">PASSWORD ", f">{PASSWORD} ")
    assert service["healthcheck"]["test"] == ["CMD", "redis-cli", "--user", "kernel", "ping"]
