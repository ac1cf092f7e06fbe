"""Idle connections that a firewall has forgotten: found in a second, and only once."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Engine, make_url, text
from sqlalchemy.exc import OperationalError

from kernel.builtin import handlers
from kernel.config.keep_alive import KEEP_ALIVE
from kernel.config.settings import load
from kernel.db.engine import PONG_SECONDS, Idle, make_engine
from kernel.orders.submit import submit
from kernel.runtime.kernel import Kernel
from kernel.testing import FakeTransport
from tests.support.factories import ANYBODY, request
from tests.support.lossy_proxy import LossyProxy
from tests.support.servers import MariaDB

MakeKernel = Callable[..., Kernel]
# What a ticketing system waits for the answer to a submit.
PATIENCE_SECONDS = 2.0
# COM_PING, as MySQL's protocol has it.
PING = b"\x01\x00\x00\x00\x0e"


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[socket.socket]:
    """The sockets that are opened, the driver's and the proxy's."""
    sockets: list[socket.socket] = []
    connect = socket.create_connection

    def noting(*args: Any, **options: Any) -> socket.socket:
        sockets.append(connect(*args, **options))
        return sockets[-1]

    monkeypatch.setattr(socket, "create_connection", noting)
    return sockets


@dataclass
class Firewall:
    """A database behind a proxy that forgets connections."""

    proxy: LossyProxy
    url: str


@pytest.fixture
def firewall(mariadb: MariaDB, mariadb_rows_url: str) -> Iterator[Firewall]:
    with LossyProxy(mariadb.port) as proxy:
        url = make_url(mariadb_rows_url).set(port=proxy.port)
        yield Firewall(proxy, url.render_as_string(hide_password=False))


@pytest.fixture
def pools(firewall: Firewall) -> Iterator[tuple[Engine, Engine]]:
    """Two pools of a process, whose connections are pinged after any idle time."""
    idle = Idle(ping_after=0.0)
    both = [make_engine(firewall.url, 10, idle=idle) for _ in range(2)]
    yield both[0], both[1]
    for engine in both:
        engine.dispose()


def use(engine: Engine, connections: int = 1) -> None:
    """Use this many connections at once, and give them back."""
    with ExitStack() as stack:
        for one in [stack.enter_context(engine.connect()) for _ in range(connections)]:
            one.scalar(text("SELECT 1"))


def seconds(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def test_submit_is_answered_in_time_when_a_firewall_forgot_the_idle_connections(
    make_kernel: MakeKernel, mariadb_rows_url: str, firewall: Firewall
) -> None:
    make_kernel(mariadb_rows_url)
    settings = load(database_url=firewall.url, result_backend="")
    kernel = Kernel(settings, handlers, FakeTransport(), read_timeout=10)
    with closing(kernel):
        submit(kernel, ANYBODY, request())
        firewall.proxy.forget()
        time.sleep(1.1)  # a connection that was idle for so long is pinged
        assert seconds(lambda: submit(kernel, ANYBODY, request())) < PATIENCE_SECONDS - 0.5
    assert firewall.proxy.vanished, "no forgotten connection was used"


def test_connections_idle_for_longer_are_not_asked_when_one_is_lost(
    pools: tuple[Engine, Engine], firewall: Firewall
) -> None:
    for engine in pools:
        use(engine, connections=5)
    use(pools[1])  # it is the one that was idle for the shortest time
    firewall.proxy.forget()
    assert seconds(lambda: use(pools[1])) >= PONG_SECONDS
    for engine in pools:
        use(engine, connections=5)
    assert firewall.proxy.vanished.count(PING) == 1


def test_connections_are_kept_when_one_was_ended_by_the_server(
    pools: tuple[Engine, Engine], mariadb: MariaDB
) -> None:
    use(pools[1])
    before = number(pools[1])
    mariadb.execute(f"KILL {number(pools[0])}")
    use(pools[0])
    assert number(pools[1]) == before


def test_statement_may_take_longer_than_a_ping_when_the_connection_was_idle(
    pools: tuple[Engine, Engine],
) -> None:
    use(pools[0])
    with pools[0].connect() as connection:
        slept = connection.scalar(text(f"SELECT SLEEP({PONG_SECONDS + 0.3})"))
    assert slept == 0


def test_server_that_accepts_and_says_nothing_is_given_up_when_connecting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        engine = make_engine(f"mysql+pymysql://root@127.0.0.1:{silent.getsockname()[1]}/x", None)
        with pytest.raises(OperationalError):
            engine.connect()


def test_sockets_are_kept_alive_and_give_up_what_is_not_acknowledged(
    pools: tuple[Engine, Engine], firewall: Firewall, opened: list[socket.socket]
) -> None:
    use(pools[0])
    (mine,) = (one for one in opened if one.getpeername()[1] == firewall.proxy.port)
    found = {
        option: mine.getsockopt(socket.IPPROTO_TCP, option)
        for option in [socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_USER_TIMEOUT]
    }
    assert found.items() <= KEEP_ALIVE.items()
    assert mine.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def number(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.scalar(text("SELECT CONNECTION_ID()")) or 0)
