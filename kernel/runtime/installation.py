"""The name of this installation: what its queue is called on a broker that others use as well.

A random word in a row, which every process shares without configuration. The process that needs
it first makes it.
"""

import secrets

from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import IntegrityError

from kernel.db.tables.service import Installation
from kernel.runtime.kernel import Kernel

ROW = 1
BYTES = 4
QUEUE = "orders."


class Name:
    """The installation's name, as this process has read it. Get it by ``kernel.one(Name)``."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._read: str | None = None

    def read(self) -> str:
        """Return the name: eight hexadecimal digits. Raises `DATABASE_ERRORS` until it is known."""
        if self._read is None:
            self._read = _stored_name(self._kernel)
        return self._read

    def queue(self) -> str:
        """Return the name of the queue of hints. Raises as `read`."""
        return QUEUE + self.read()

    def made_queue(self) -> str | None:
        """Return what `queue` does; None until a process has made the name. Raises as `read`."""
        with self._kernel.read() as connection:
            found = _look(connection)
        return None if found is None else QUEUE + found


def _stored_name(kernel: Kernel) -> str:
    with kernel.read() as connection:
        found = _look(connection)
    if found is not None:
        return found
    values = {"id": ROW, "name": secrets.token_hex(BYTES), "created_at": kernel.clock.now()}
    try:
        with kernel.write() as connection:
            connection.execute(insert(Installation).values(values))
    except IntegrityError:  # another process was faster: all processes use its name
        pass
    with kernel.read() as connection:
        stored = _look(connection)
    assert stored is not None  # noqa: S101 - one of us has committed it
    return stored


def _look(connection: Connection) -> str | None:
    found: str | None = connection.scalar(select(Installation.name).where(Installation.id == ROW))
    return found
