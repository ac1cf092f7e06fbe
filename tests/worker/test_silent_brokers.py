"""The loop asks a broker that does not answer: it goes on soon, with either kind."""

import socket
import time
from collections.abc import Callable, Iterator

import pytest

from kernel.runtime.kernel import Kernel
from kernel.worker.broker import Broker


@pytest.fixture(params=["refuses", "says nothing"])
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    """Where a broker should be."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        if request.param == "refuses":
            listener.close()
            yield _free()
        else:
            yield listener.getsockname()[1]


def _free() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


@pytest.mark.parametrize("url", ["redis://127.0.0.1:{}/0", "amqp://guest:guest@127.0.0.1:{}//"])
def test_backlog_is_unknown_and_soon(
    make_kernel: Callable[..., Kernel], sqlite_url: str, port: int, url: str
) -> None:
    kernel = make_kernel(sqlite_url, broker_url=url.format(port), result_backend="")
    broker = Broker(kernel)
    for _ in range(2):
        began = time.monotonic()
        assert broker.backlog() is None
        assert time.monotonic() - began < 2
