"""What this installation signs with: sessions of the dashboard, links to orders.

One random secret in a row, which every API process shares without configuration. Whoever needs it
first makes it. A purpose gets a key of its own, so that what was signed for one proves nothing
for another.
"""

import hashlib
import hmac
import secrets
import threading
import time

from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import DBAPIError, IntegrityError

from kernel.db.tables.service import ServiceKey
from kernel.runtime.kernel import Kernel

ROW = 1
# How long a process goes on with what it has read: so long do old sessions and links live on when
# somebody deletes the row, and no request asks for it in between.
KEEP_SECONDS = 60.0
_SECRET = select(ServiceKey.secret).where(ServiceKey.id == ROW)


class ServiceKeys:
    """The installation's secret, as one process has read it last."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._lock = threading.Lock()
        self._secret: bytes | None = None
        self._expires = 0.0

    def for_purpose(self, purpose: str) -> bytes:
        """Return the key of ``purpose``: 32 bytes, the same in every process.

        Raises DBAPIError when the database does not answer and this process has never read it.
        """
        return hmac.digest(self._read(), purpose.encode(), hashlib.sha256)

    def _read(self) -> bytes:
        """Return the secret. One thread asks; the others go on with what was known before."""
        if self._lock.acquire(blocking=self._secret is None):
            try:
                if time.monotonic() > self._expires or self._secret is None:
                    self._renew()
            finally:
                self._lock.release()
        assert self._secret is not None  # noqa: S101 - renewed, or known before
        return self._secret

    def _renew(self) -> None:
        """Read the secret; what was known before serves while the database is away."""
        try:
            self._secret = _stored(self._kernel).encode()
        except DBAPIError:
            if self._secret is None:
                raise
        self._expires = time.monotonic() + KEEP_SECONDS


def _stored(kernel: Kernel) -> str:
    """Return the secret in the database; put one there if there is none."""
    with kernel.read() as connection:
        found = _look(connection)
    if found is not None:
        return found
    row = {"id": ROW, "secret": secrets.token_hex(32), "created_at": kernel.clock.now()}
    try:
        with kernel.write() as connection:
            connection.execute(insert(ServiceKey).values(row))
    except IntegrityError:  # another process was faster: its secret is everybody's
        pass
    with kernel.read() as connection:
        stored = _look(connection)
    assert stored is not None  # noqa: S101 - one of us has committed it
    return stored


def _look(connection: Connection) -> str | None:
    found: str | None = connection.scalar(_SECRET)
    return found
