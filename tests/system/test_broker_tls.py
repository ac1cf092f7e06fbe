"""Orders go their way over TLS with a private authority, and through a failover by Sentinels."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import trustme

from tests.support.acl_redis import PASSWORD
from tests.support.stack import Stack
from tests.support.tls_redis import GROUP, SENTINELS_PASSWORD, Sentinels, TlsRedis
from tests.support.waiting import wait_until

LIMITED = {"rate_limit": "100000/minute"}


@pytest.fixture
def tls() -> Iterator[TlsRedis]:
    with closing(TlsRedis(trustme.CA())) as server:
        server.start()
        yield server


@pytest.fixture
def sentinels() -> Iterator[Sentinels]:
    with Sentinels() as made:
        yield made


@pytest.fixture
def encrypted(tmp_path: Path, main_database_url: str, tls: TlsRedis) -> Iterator[Stack]:
    """An installation whose broker takes TLS alone, and kernel's user alone."""
    urls = {"broker_url": tls.url_of("kernel", 1), "result_backend": tls.url_of("kernel", 2)}
    given = {**urls, "broker_ca_file": tls.ca_file, **LIMITED}
    with Stack(tmp_path, main_database_url, tls, **given) as built:
        yield built


@pytest.fixture
def watched(tmp_path: Path, main_database_url: str, sentinels: Sentinels) -> Iterator[Stack]:
    """An installation that knows its broker by Sentinels. Its sweep comes seldom."""
    urls = {"broker_url": sentinels.url(1), "result_backend": sentinels.url(2)}
    own = {"sentinel_master": GROUP, "sentinel_password": SENTINELS_PASSWORD, "sweep_seconds": 2}
    with Stack(tmp_path, main_database_url, sentinels.primary(), **urls, **own, **LIMITED) as built:
        yield built


def test_order_goes_its_way_over_tls(encrypted: Stack, tls: TlsRedis) -> None:
    stack = encrypted
    stack.worker()
    stack.api()
    orders = [stack.submit("create_project", projname="a") for _ in range(25)]
    for one in orders:
        assert stack.finished(one)["state"] == "success"
    assert stack.callback(orders[0]).headers["webhook-id"]
    with tls.client(2) as admin:
        wait_until(lambda: admin.exists(f"celery-task-meta-{orders[-1]}"))
    with tls.client(1) as admin:
        assert admin.keys("LIMITS*"), "requests are counted there"
        assert admin.acl_log() == [], "what it was refused"
    check = stack.start("check", "kernel", "config", "check")
    wait_until(lambda: check.returncode is not None, 60)
    assert check.returncode == 0, stack.log()
    assert PASSWORD not in stack.log()


def test_no_order_is_lost_when_the_primary_dies(watched: Stack, sentinels: Sentinels) -> None:
    stack, before = watched, sentinels.primary()
    stack.worker()
    stack.api()
    first = [stack.submit("create_project", projname="a") for _ in range(10)]
    for one in first:
        assert stack.finished(one)["state"] == "success"
    with before.client(2) as admin:
        wait_until(lambda: admin.exists(f"celery-task-meta-{first[-1]}"))
    sentinels.sentinels[0].kill()
    before.kill()
    during = [stack.submit("create_project", projname="a") for _ in range(10)]
    wait_until(lambda: sentinels.primary() is not before, 30, "another primary")
    after = [stack.submit("create_project", projname="a") for _ in range(10)]
    for one in during + after:
        assert stack.finished(one)["state"] == "success"
    told = [json.loads(one.body)["data"]["order_id"] for one in stack.receiver.requests]
    wait_until(
        lambda: (
            {*first, *during, *after}
            <= {json.loads(one.body)["data"]["order_id"] for one in list(stack.receiver.requests)}
        ),
        30,
        f"callbacks, {len(told)}",
    )
    assert_workers_hear_the_new_primary(stack, sentinels)
    assert PASSWORD not in stack.log()
    assert SENTINELS_PASSWORD not in stack.log()


def assert_workers_hear_the_new_primary(stack: Stack, sentinels: Sentinels) -> None:
    """A consumer waits there, a hint is heard at once, results and counters are kept there."""
    with sentinels.primary().client(1) as admin:
        wait_until(lambda: "brpop" in {one["cmd"] for one in admin.client_list()}, 30, "a consumer")
        admin.lpush(stack.queue, b"\xff no message")
        wait_until(lambda: "dropped what is no message" in stack.log(), 20, "what it drops")
        last = stack.submit("create_project", projname="last")
        stack.finished(last)
        assert admin.keys("LIMITS*"), "requests are counted there"
    with sentinels.primary().client(2) as admin:
        wait_until(lambda: admin.exists(f"celery-task-meta-{last}"), 20, "a result")
