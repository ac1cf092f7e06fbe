"""Several that do something in the same moment, and one that ends another's connection."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import Connection

from kernel.runtime.kernel import Kernel


def at_once(*works: Callable[[], Any]) -> list[Any]:
    """Begin all of these together, each in a thread; return what they return, or raise theirs."""
    start = threading.Barrier(len(works))

    def begin(work: Callable[[], Any]) -> Any:
        start.wait()
        return work()

    with ThreadPoolExecutor(len(works)) as threads:
        return list(threads.map(begin, works))


def kill(kernel: Kernel, connection: Connection | int | None) -> None:
    """End a connection, or the one with this number, as a rescue does."""
    if isinstance(connection, Connection):
        connection = kernel.dialect.connection_number(connection)
    assert connection is not None, "it has no number"
    with kernel.write() as own:
        kernel.dialect.kill_connection(own, connection)
