"""Several that do something in the same moment, and one that ends another's connection."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

from sqlalchemy import Connection, insert, text, update
from sqlalchemy.orm import Session

from kernel.builtin import projects
from kernel.runtime.kernel import Kernel
from tests.support.waiting import wait_until


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


def touch(session: Session, name: str) -> None:
    """Lock a row by changing it."""
    session.execute(
        update(projects).where(projects.c.projname == name).values(prodesc=projects.c.prodesc + ".")
    )


class Rival:
    """A transaction that holds `second` and has written so much that the server spares it."""

    def __init__(self, kernel: Kernel) -> None:
        self.session = Session(kernel.engine)
        values = {"prodesc": "", "projctime": kernel.clock.now()}
        with kernel.write_session() as session:
            for name in ("first", "second"):
                session.execute(insert(projects).values(projname=name, **values))
        rows = [{"projname": f"ballast {n}", **values} for n in range(200)]
        self.session.execute(insert(projects), rows)
        touch(self.session, "second")

    def __enter__(self) -> Self:
        return self

    def wants(self, name: str) -> None:
        """Begin to wait for a row, and return once the server knows it."""
        self.thread = threading.Thread(target=touch, args=(self.session, name))
        self.thread.start()
        waiting = "SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"
        with Session(self.session.get_bind()) as other:
            wait_until(lambda: other.scalar(text(waiting)) == 1)

    def __exit__(self, *error: object) -> None:
        self.thread.join()
        self.session.rollback()
        self.session.close()
