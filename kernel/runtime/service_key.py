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

from pydantic import SecretStr
from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import IntegrityError

from kernel.db.errors import DATABASE_ERRORS
from kernel.db.tables.sealed import Sealed, seal, sealed
from kernel.db.tables.service import ServiceKey
from kernel.errors import SecretsLocked
from kernel.runtime.kernel import Kernel
from kernel.runtime.single_flight import SingleFlightCache

ROW = 1
# The key of fingerprints: no process keeps it, and deleting it would turn repeats into conflicts.
FINGERPRINTS = 2
# A process reads the secret again after this time. So deleting the row ends sessions and links
# within it, and requests in between cost no query.
KEEP_SECONDS = 60.0


class ServiceKeys:
    """The installation's secret, as one process has read it last.

    ``clock``: monotonic seconds.
    """

    def __init__(self, kernel: Kernel, clock: Callable[[], float] = time.monotonic) -> None:
        # While the database is away, what was read before serves on.
        self._secrets = SingleFlightCache[SecretStr](
            KEEP_SECONDS, survives=(*DATABASE_ERRORS, SecretsLocked), clock=clock
        )
        self._read = partial(stored_key, kernel, ROW)

    def for_purpose(self, purpose: str) -> bytes:
        """Return the key of ``purpose``: 32 bytes, the same in every process.

        Raises `DATABASE_ERRORS` when the database does not answer, and SecretsLocked when no key
        opens the secret, if this process has not read it before.
        """
        secret = self._secrets.get(self._read).get_secret_value()
        return hmac.digest(secret.encode(), purpose.encode(), hashlib.sha256)


def stored_key(kernel: Kernel, row: int) -> SecretStr:
    """Return the secret in this row of the database; put one there if there is none.

    Raises SecretsLocked when no key opens it, or when others are sealed and there is no key.
    """
    with kernel.read() as connection:
        found = _look(connection, row)
    if found is not None:
        return found.open()
    _ = kernel.keyring  # no connection waits for a program that answers with the keys
    with kernel.read() as connection:
        secret = seal(connection, SecretStr(secrets.token_hex(32)))
    values = {"id": row, "secret": secret, "created_at": kernel.clock.now()}
    try:
        with kernel.write() as connection:
            connection.execute(insert(ServiceKey).values(values))
    except IntegrityError:  # another process was faster: all processes use its secret
        pass
    with kernel.read() as connection:
        stored = _look(connection, row)
    assert stored is not None  # noqa: S101 - one of us has committed it
    return stored.open()


def _look(connection: Connection, row: int) -> Sealed | None:
    found: str | None = connection.scalar(select(ServiceKey.secret).where(ServiceKey.id == row))
    return None if found is None else sealed(connection, found)
