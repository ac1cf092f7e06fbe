"""What every database is asked for. One class per database answers; no other file knows which.

A dialect holds no state of a process: what it remembers of a connection stands in that
connection's ``info``.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import Any, ClassVar

from sqlalchemy import URL, BigInteger, Connection, DateTime, Engine, LargeBinary, String, Text
from sqlalchemy.types import TypeEngine


class Dialect(ABC):
    """One kind of database. What is not abstract fits one that speaks standard SQL.

    ``names``: what SQLAlchemy calls it. ``driver_errors``: the root of its driver's exceptions.
    ``is_remote``: a server is asked over a connection. A statement costs a round trip there, and a
    connection can be lost while it is idle; single statements get an engine that needs no COMMIT.
    ``clock``: the query for the time in UTC, answered as a datetime or as ISO text.
    ``table_options``: arguments of every ``Table``, named as SQLAlchemy wants them.
    ``lock_wait_seconds``: how long a statement waits for another transaction's lock.
    ``idle_transaction_seconds``: a server ends a short transaction that is silent for longer; a
    frozen process would keep its row locks otherwise.
    """

    names: ClassVar[tuple[str, ...]]
    driver_errors: ClassVar[tuple[type[Exception], ...]]
    is_remote: ClassVar[bool]
    clock: ClassVar[str]
    table_options: ClassVar[Mapping[str, Any]] = {}
    lock_wait_seconds: ClassVar[float] = 5
    idle_transaction_seconds: ClassVar[float] = 10

    # ---- Connecting ---------------------------------------------------------------------------

    def complete(self, url: URL) -> URL:
        """Return ``url`` with what the kernel relies on and the operator need not write."""
        return url

    def file_of(self, url: URL) -> Path | None:
        """Return the file that is the database at ``url``; None for one on a server."""
        return None

    @abstractmethod
    def connect_args(self, read_timeout: int) -> dict[str, Any]:
        """Return the driver's arguments; it waits ``read_timeout`` seconds for a silent server."""

    @abstractmethod
    def prepare(self, connection: Any, *, brief: bool) -> None:
        """Set up a driver's new connection: strict, UTF-8, READ COMMITTED or better.

        ``brief``: the server ends a transaction in which nothing is said for
        `idle_transaction_seconds`. Raises the driver's errors.
        """

    @abstractmethod
    def begin(self, connection: Connection, *, read_only: bool) -> None:
        """Begin a transaction, unless the first statement does; raises DBAPIError.

        One that is ``read_only`` does not wait for a writer.
        """

    # ---- What an error means ------------------------------------------------------------------

    @abstractmethod
    def is_passing(self, error: BaseException) -> bool:
        """Tell whether the driver's ``error`` cost the transaction but a later one may succeed."""

    @abstractmethod
    def is_contention(self, error: BaseException) -> bool:
        """Tell whether ``error`` is passing and comes from a database that is there: a rival."""

    def is_interruption(self, error: BaseException) -> bool:
        """Tell whether ``error`` is passing and the database ended this one statement."""
        return False

    def may_be_unfit(self, error: BaseException) -> bool:
        """Tell whether it is worth asking, after ``error``, if the server can serve at all."""
        return False

    def is_unfit(self, connection: Connection) -> bool:
        """Ask on ``connection`` whether the server takes no writes. Raises the driver's errors."""
        return False

    @abstractmethod
    def is_missing_table(self, error: BaseException) -> bool:
        """Tell whether ``error`` says that a table does not exist."""

    # ---- The connection of a run --------------------------------------------------------------

    @abstractmethod
    def connection_number(self, connection: Connection) -> int | None:
        """Return the server's number of ``connection``; None where it cannot be killed by one."""

    @abstractmethod
    def kill_connection(self, connection: Connection, number: int) -> None:
        """End the connection with this number, and its transaction: its locks are free then.

        Raises DBAPIError, also when there is no such connection any more.
        """

    @abstractmethod
    def limit_silence(self, connection: Connection, seconds: int) -> None:
        """Have the server drop ``connection`` when its client is silent for ``seconds``.

        Asks the server only when the limit changes. Raises the driver's errors.
        """

    # Whether a statement exists that ends a transaction without a word of its own for it: a
    # procedure, a block, a statement made at run time.
    can_end_unseen: ClassVar[bool] = True

    def deny_transactions(self, connection: Any, record: Any) -> None:  # noqa: B027 - optional
        """Set up a new connection so that a handler cannot end its transaction, where possible."""

    def before_first_write(self, connection: Connection) -> None:  # noqa: B027 - optional
        """Say what `holds_transaction` needs later, before a transaction has something to lose."""

    @abstractmethod
    def holds_transaction(self, connection: Connection) -> bool:
        """Tell whether the transaction is still open, after an error of a statement in it.

        Asked on the driver's own cursor. Raises the driver's errors.
        """

    # ---- Tables and queries -------------------------------------------------------------------

    def moment(self) -> TypeEngine[Any]:
        """Return the column type of a date and time without a zone that keeps microseconds."""
        return DateTime()

    def token(self, length: int) -> TypeEngine[Any]:
        """Return the column type of ASCII text that is compared byte for byte."""
        return String(length)

    def long_text(self) -> TypeEngine[Any]:
        """Return the column type of text of at least 4 GB."""
        return Text()

    def long_bytes(self) -> TypeEngine[Any]:
        """Return the column type of bytes of at least 4 GB."""
        return LargeBinary()

    def serial(self) -> TypeEngine[Any]:
        """Return the type of a 64-bit primary key that the database counts up."""
        return BigInteger()

    def index_hint(self, index: str) -> str | None:
        """Return what a table's name is followed by to have ``index`` used; None: nothing."""
        return None

    # ---- The start ----------------------------------------------------------------------------

    def check(self, engine: Engine, tables: Set[str]) -> Iterator[str]:
        """Ask a session of ``engine`` whether rows are safe here; yield warnings for the log.

        ``tables``: the names of those whose rows are ours to keep. Raises ConfigurationError,
        which names the mend, for what would lose data, and the database's errors.
        """
        yield from ()
