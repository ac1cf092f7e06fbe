"""Columns that hold secrets: sealed when they are written, opened when they are used.

A column says so by its ``info``. What is written to one comes from `seal`, what is read from one
becomes a `Sealed`. The keyring is that of the connection: `kernel.db.engine` gives it to the
engines of a Kernel, and a connection without one can write no secret at all.
"""

from collections.abc import Callable, Iterable
from typing import Any, NoReturn, Self

from pydantic import SecretStr
from sqlalchemy import Column, Connection, select
from sqlalchemy.orm import Session

from kernel.config.keyring import MARK, Keyring, key_id
from kernel.db.columns import Base
from kernel.errors import KernelError, SecretsLocked

# The ``info`` of a column whose texts are sealed.
SEALED: dict[Any, Any] = {"kernel_sealed": True}
# The execution option of an engine under which its keyring is found.
KEYRING = "kernel_keyring"

Keys = Callable[[], Keyring]


class Sealed:
    """A secret as its row has it. It is opened at its first use, kept, and never printed.

    Two are equal when their rows have the same text.
    """

    __slots__ = ("_clear", "_keys", "_stored")

    def __init__(self, stored: str, keys: Keys) -> None:
        self._stored, self._keys = stored, keys
        self._clear: SecretStr | None = None

    @classmethod
    def of(cls, clear: SecretStr) -> Self:
        """Return a secret that is in no row yet."""
        return cls(clear.get_secret_value(), Keyring)

    def open(self) -> SecretStr:
        """Return the secret. Raises SecretsLocked when no key opens it, or no key is to be had."""
        if self._clear is None:
            try:
                keyring = self._keys()
            except KernelError as error:
                raise SecretsLocked(error.message) from None
            self._clear = keyring.open(self._stored)
        return self._clear

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sealed) and self._stored == other._stored

    def __hash__(self) -> int:
        return hash(self._stored)

    def __repr__(self) -> str:
        return "Sealed(**********)"

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise TypeError("a Sealed is not pickled: it may hold a secret")


def seal(asking: Session | Connection, clear: SecretStr) -> str:
    """Return a secret as a row of the database that is asked is to have it.

    Without a key that is the secret itself, as long as no secret is sealed there; raises
    SecretsLocked otherwise. With a key nothing is asked.
    """
    keyring = keys_of(asking)()
    if keyring.is_empty and (used := key_in_use(asking)) is not None:
        raise SecretsLocked(
            f"secrets are sealed with the key {used}, and {keyring.describe()}: "
            "a new one would be stored in clear"
        )
    return keyring.seal(clear)


def key_in_use(asking: Session | Connection) -> str | None:
    """Return the id of a key that seals a secret of this database; None while all are in clear.

    Secrets of orders are not looked for: they are many, and are never stored without a key.
    """
    for column in sealed_columns():
        if not column.nullable:
            sealed_one = select(column).where(column.startswith(MARK, autoescape=True)).limit(1)
            if (found := asking.scalar(sealed_one)) is not None:
                return key_id(found)
    return None


def sealed(asking: Session | Connection, stored: str) -> Sealed:
    """Return a secret as a row of the database that is asked has it."""
    return Sealed(stored, keys_of(asking))


def keys_of(asking: Session | Connection) -> Keys:
    """Return where the keyring of a connection comes from.

    Raises TypeError for one whose engine was made without: it can neither seal nor open.
    """
    bind = asking.get_bind() if isinstance(asking, Session) else asking
    found: Keys | None = bind.get_execution_options().get(KEYRING)
    if found is None:
        raise TypeError("this connection knows no keyring: its engine is not one of a Kernel's")
    return found


def sealed_columns() -> Iterable[Column[Any]]:
    """Yield the columns whose texts are sealed, of every table that is imported."""
    for table in Base.metadata.sorted_tables:
        yield from (column for column in table.columns if SEALED.items() <= column.info.items())
