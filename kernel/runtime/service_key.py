"""The keys with which this installation signs the dashboard's sessions and the links to orders.

All derive from one random secret in a row, which every API process shares without configuration;
the first process that needs it makes it. Each purpose has a key of its own, so that a signature
for one purpose proves nothing for another.
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
# Seconds for which a process uses the secret that it has read. When an operator deletes the row,
# old sessions and links stay valid for this long.
KEEP_SECONDS = 60.0
_SECRET = select(ServiceKey.secret).where(ServiceKey.id == ROW)


class ServiceKeys:
    """Derives keys from the installation's secret; a process reads it again every 60 s."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._lock = threading.Lock()
        self._secret: bytes | None = None
        self._expires = 0.0

    def for_purpose(self, purpose: str) -> bytes:
        """Return the key of ``purpose``: 32 bytes, the same in every process.

        Raises DBAPIError when the database does not answer and this process has not read the
        secret before.
        """
        return hmac.digest(self._read(), purpose.encode(), hashlib.sha256)

    def _read(self) -> bytes:
        """Return the secret. One thread renews it; the others use the old one meanwhile."""
        if self._lock.acquire(blocking=self._secret is None):
            try:
                if time.monotonic() > self._expires or self._secret is None:
                    self._renew()
            finally:
                self._lock.release()
        assert self._secret is not None  # noqa: S101 - renewed, or known before
        return self._secret

    def _renew(self) -> None:
        """Read the secret; keep the old one while the database does not answer."""
        try:
            self._secret = _stored(self._kernel).encode()
        except DBAPIError:
            if self._secret is None:
                raise
        self._expires = time.monotonic() + KEEP_SECONDS


def _stored(kernel: Kernel) -> str:
    """Return the secret in the database; insert one if there is none."""
    with kernel.read() as connection:
        found = _look(connection)
    if found is not None:
        return found
    row = {"id": ROW, "secret": secrets.token_hex(32), "created_at": kernel.clock.now()}
    try:
        with kernel.write() as connection:
            connection.execute(insert(ServiceKey).values(row))
    except IntegrityError:  # another process was faster: its secret is the installation's
        pass
    with kernel.read() as connection:
        stored = _look(connection)
    assert stored is not None  # noqa: S101 - this process or another has committed it
    return stored


def _look(connection: Connection) -> str | None:
    found: str | None = connection.scalar(_SECRET)
    return found
