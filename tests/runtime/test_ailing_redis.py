"""What the start says of a Redis that is the right one, and takes nothing now."""

import re
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress

import pytest
import redis

from kernel.config.settings import load
from kernel.errors import ConfigurationError
from kernel.runtime import startup
from kernel.runtime.broker_probe.asking import ask, ask_results
from kernel.runtime.kernel import Kernel
from tests.support.servers import Redis
from tests.support.waiting import wait_until

QUEUE = "orders.tests"


@pytest.fixture
def server() -> Iterator[Redis]:
    with closing(Redis()) as made:
        made.start()
        yield made
        made.kill()  # one that cannot write its data does not end at a word


def told(url: str, **settings: str) -> list[str]:
    return list(ask(load(broker_url=url, result_backend="", **settings), QUEUE))


def fill_the_disk(server: Redis) -> None:
    """Have the server fail to write a snapshot, as it does when its disk is full."""
    (server.folder / "dump.rdb").mkdir()
    with server.client() as client:
        client.config_set("save", "3600 1")
        client.bgsave()
        wait_until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err")


def test_start_warns_when_the_disk_of_the_redis_is_full(
    server: Redis, make_kernel: Callable[..., Kernel], sqlite_url: str
) -> None:
    fill_the_disk(server)
    kernel = make_kernel(sqlite_url, broker_url=server.url(1))
    (said,) = startup.check(kernel)
    assert f"the Redis at 127.0.0.1:{server.port} takes nothing now" in said
    assert "(MISCONF Redis is configured to save RDB snapshots" in said


def test_results_are_warned_about_when_the_disk_of_their_redis_is_full(
    server: Redis, redis: Redis
) -> None:
    fill_the_disk(server)
    (said,) = ask_results(load(broker_url=redis.url(1), result_backend=server.url(2)))
    assert "takes nothing now" in said


def test_start_warns_while_the_redis_runs_a_long_script(server: Redis) -> None:
    def run() -> None:
        with server.client() as client, suppress(redis.ResponseError):
            client.eval("while true do end", 0)

    with server.client() as client:
        client.config_set("lua-time-limit", 1)
        thread = threading.Thread(target=run)
        thread.start()
        try:
            (said,) = wait_until(lambda: told(server.url(1)))
        finally:
            client.script_kill()
            thread.join()
    assert "takes nothing now (BUSY" in said


@contextmanager
def answering(error: str) -> Iterator[str]:
    """A server that answers every command with this error; yields its place."""

    class Conversation(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                while heard := self.request.recv(4096):
                    commands = re.findall(rb"(?:^|\n)(?:\*|PING)", heard)
                    self.request.sendall(f"-{error}\r\n".encode() * len(commands))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Conversation) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    "error",
    [
        "OOM command not allowed when used memory > 'maxmemory'.",
        "NOREPLICAS Not enough good replicas to write.",
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        "upstream failure",
        "ERR a reason that no list has",
        "WRONGTYPE Operation against a key holding the wrong kind of value",
    ],
)
@pytest.mark.parametrize("scheme", ["redis", "sentinel"])
def test_start_warns_of_an_error_that_waiting_may_mend(scheme: str, error: str) -> None:
    with answering(error) as place:
        (said,) = told(f"{scheme}://{place}/1", sentinel_master="here")
    assert f"{place} takes nothing now" in said
    assert error.partition(" ")[2] in said


@pytest.mark.parametrize("error", ["LOADING Redis is loading the dataset in memory"])
def test_start_goes_on_while_the_redis_reads_its_data(error: str) -> None:
    with answering(error) as place:
        assert told(f"redis://{place}/1") == []


@pytest.mark.parametrize(
    "error",
    [
        "ERR DB index is out of range",
        "ERR invalid DB index",
        "ERR SELECT is not allowed in cluster mode",
        "ERR unknown command 'SELECT', with args beginning with: '1' ",
        "MOVED 3999 127.0.0.1:6381",
        "DENIED Redis is running in protected mode because protected mode is enabled",
    ],
)
def test_start_is_refused_for_an_error_that_stays(error: str) -> None:
    with answering(error) as place, pytest.raises(ConfigurationError) as caught:
        told(f"redis://{place}/1")
    assert f"KERNEL_BROKER_URL: {place} refuses us: " in caught.value.message
    assert caught.value.message.endswith("; correct the URL")
