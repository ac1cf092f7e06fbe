"""Two installations on one Redis: each hears its own hints, and neither the other's."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from redis import Redis as Client

from tests.support.servers import Redis
from tests.support.stack import Stack

# With sweeps this far apart only a hint lets an order begin in time.
RARELY = 600
EACH = 40


@pytest.fixture
def neighbours(
    tmp_path: Path, main_database_url: str, sqlite_url: str, redis: Redis
) -> Iterator[tuple[Stack, Stack]]:
    """An installation on the database of the tests, and one on a file, in one Redis database."""
    folders = [tmp_path / name for name in ("one", "other")]
    for folder in folders:
        folder.mkdir()
    settings = {"sweep_seconds": RARELY, "lease_seconds": 5}
    with (
        Stack(folders[0], main_database_url, redis, **settings) as one,
        Stack(folders[1], sqlite_url, redis, **settings) as other,
    ):
        yield one, other


def submit_many(stack: Stack) -> list[str]:
    with ThreadPoolExecutor(8) as clients:
        names = [f"p{n}" for n in range(EACH)]
        return list(clients.map(lambda n: stack.submit("create_project", projname=n), names))


@pytest.mark.slow
def test_each_order_begins_by_its_hint_when_another_installation_uses_the_redis(
    neighbours: tuple[Stack, Stack], redis: Redis
) -> None:
    for stack in neighbours:
        stack.api()
        stack.worker()
    made = [(stack, submit_many(stack)) for stack in neighbours]
    for stack, order_ids in made:
        assert [stack.finished(one)["state"] for one in order_ids] == ["success"] * EACH
        assert "are of no order" not in stack.log()
    one, other = neighbours
    assert one.queue != other.queue
    with redis.client(1) as client:
        assert bound(client) == {one.queue, other.queue}


def bound(client: Client) -> set[str]:
    """The queues that workers have declared."""
    found = (key.decode() for key in client.scan_iter("_kombu.binding.*"))
    return {name.removeprefix("_kombu.binding.") for name in found}


@pytest.mark.slow
def test_worker_waits_for_a_database_that_is_away_when_it_starts(stack: Stack) -> None:
    there = stack.settings["database_url"]
    stack.settings["database_url"] = "mysql+pymysql://root@127.0.0.1:1/kernel"
    argv = ("celery", "-A", "kernel.views.api", "worker")
    try:
        child = stack.start("worker", *argv, ready=lambda: "waiting for it" in stack.log())
        assert "waiting for it" in stack.log()
    finally:
        stack.settings["database_url"] = there
    child.kill()
