"""The keys with which this installation signs the dashboard's sessions and the links to orders.

One random secret in a row, which every API process shares without configuration. The process that
needs it first makes it. Each purpose gets a key of its own, so that a signature made for one proves
nothing for another.
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from functools import partial

from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import IntegrityError

from kernel.db.errors import DATABASE_ERRORS
from kernel.db.tables.service import ServiceKey
from kernel.runtime.kernel import Kernel
from kernel.runtime.single_flight import SingleFlightCache

ROW = 1
# A process reads the secret again after this time. So deleting the row ends sessions and links
# within it, and requests in between cost no query.
KEEP_SECONDS = 60.0
_SECRET = select(ServiceKey.secret).where(ServiceKey.id == ROW)


class ServiceKeys:
    """The installation's secret, as one process has read it last.

    ``clock``: monotonic seconds.
    """

    def __init__(self, kernel: Kernel, clock: Callable[[], float] = time.monotonic) -> None:
        # While the database is away, what was read before serves on.
        self._secrets = SingleFlightCache[bytes](
            KEEP_SECONDS, survives=DATABASE_ERRORS, clock=clock
        )
        self._read = partial(_stored, kernel)

    def for_purpose(self, purpose: str) -> bytes:
        """Return the key of ``purpose``: 32 bytes, the same in every process.

        Raises `DATABASE_ERRORS` when the database does not answer and this process has not read the
        secret before.
        """
        return hmac.digest(self._secrets.get(self._read), purpose.encode(), hashlib.sha256)


def _stored(kernel: Kernel) -> bytes:
    """Return the secret in the database; put one there if there is none."""
    with kernel.read() as connection:
        found = _look(connection)
    if found is not None:
        return found.encode()
    row = {"id": ROW, "secret": secrets.token_hex(32), "created_at": kernel.clock.now()}
    try:
        with kernel.write() as connection:
            connection.execute(insert(ServiceKey).values(row))
    except IntegrityError:  # another process was faster: all processes use its secret
        pass
    with kernel.read() as connection:
        stored = _look(connection)
    assert stored is not None  # noqa: S101 - one of us has committed it
    return stored.encode()


def _look(connection: Connection) -> str | None:
    found: str | None = connection.scalar(_SECRET)
    return found
