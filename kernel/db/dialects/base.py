"""What every database is asked for. One class per database answers; no other file knows which.

A dialect holds no state of a process: what it remembers of a connection stands in that
connection's ``info``.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from sqlalchemy import (
    URL,
    BigInteger,
    Connection,
    DateTime,
    Engine,
    Insert,
    LargeBinary,
    String,
    Table,
    Text,
)
from sqlalchemy.types import TypeEngine

from kernel.db.dialects.needs import Needs

# What becomes of a row, by the names of its columns, when another was to be inserted.
Change = Callable[[Any], Mapping[str, Any]]


class Dialect(ABC):
    """One kind of database. What is not abstract fits one that speaks standard SQL.

    ``names``: what SQLAlchemy calls it. ``driver_errors``: the root of its driver's exceptions.
    ``is_remote``: a server is asked over a connection. A statement costs a round trip there, and a
    connection can be lost while it is idle; single statements get an engine that needs no COMMIT.
    ``clock``: the query for the time in UTC, answered as a datetime or as ISO text.
    ``table_options``: arguments of every ``Table``, named as SQLAlchemy wants them.
    ``insert``: its class of an INSERT that knows ON CONFLICT.
    ``keeping``: what ends an INSERT that leaves rows alone which are there, by any ``{column}``.
    ``lock_wait_seconds``: how long a statement waits for another transaction's lock.
    ``idle_transaction_seconds``: a server ends a short transaction, with its locks, after silence.
    """

    names: ClassVar[tuple[str, ...]]
    driver_errors: ClassVar[tuple[type[Exception], ...]]
    is_remote: ClassVar[bool]
    clock: ClassVar[str]
    table_options: ClassVar[Mapping[str, Any]] = {}
    insert: ClassVar[type[Any]]
    keeping: ClassVar[str] = " ON CONFLICT DO NOTHING"
    lock_wait_seconds: ClassVar[float] = 5
    idle_transaction_seconds: ClassVar[float] = 10

    # ---- Connecting ---------------------------------------------------------------------------

    def complete(self, url: URL) -> URL:
        """Return ``url`` with what the kernel relies on and the operator need not write."""
        return url

    def trust(self, url: URL, ca_file: Path) -> URL:
        """Return ``url`` such that connections are encrypted, and the server is verified.

        ``ca_file``: the authorities, in PEM form, that sign its certificate, in which the host's
        name has to stand. What ``url`` says itself of TLS stays.
        """
        return url

    def file_of(self, url: URL) -> Path | None:
        """Return the file that is the database at ``url``; None for one on a server."""
        return None

    @abstractmethod
    def connect_args(self, read_timeout: int | None) -> dict[str, Any]:
        """Return the driver's arguments for a new connection.

        An address that swallows packets, and a server that accepts and says nothing, are given up
        after a few seconds. ``read_timeout``: what `answer_within` is called with afterwards.
        """

    @abstractmethod
    def prepare(self, connection: Any, *, brief: bool) -> None:
        """Set up a driver's new connection: strict, UTF-8, READ COMMITTED or better.

        ``brief``: as `idle_transaction_seconds` says. Raises the driver's errors.
        """

    def answer_within(self, connection: Any, seconds: float | None) -> None:  # noqa: B027 - optional
        """Have the driver's ``connection`` fail when the server is silent for ``seconds``.

        From its next statement on; None: for ever. See `kernel.config.keep_alive` as well.
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

    def blames_statement(self, error: BaseException) -> bool:
        """Tell whether ``error`` does so by its code, although its class (PEP 249) does not."""
        return False

    def may_be_unfit(self, error: BaseException) -> bool:
        """Tell whether it is worth asking, after ``error``, if the server can serve at all."""
        return False

    def is_unfit(self, connection: Any, error: BaseException | None = None) -> bool:
        """Ask the driver's ``connection`` whether its server takes no writes. Raises its errors.

        True also when ``error`` says that the connection itself is of no use any more.
        """
        return False

    @abstractmethod
    def is_missing_table(self, error: BaseException) -> bool:
        """Tell whether ``error`` says that a table does not exist."""

    def unseen(self, connection: Connection, table: str) -> str | None:
        """Say what to do to have a table found that is there; None: there is none."""
        return None

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
    # Whether comments nest, and no comment holds words that are run; see `sort_statement`.
    nests_comments: ClassVar[bool] = False

    def deny_transactions(self, connection: Any, record: Any) -> None:  # noqa: B027 - optional
        """Set up a new connection so that a handler cannot end its transaction, where possible."""

    def before_first_write(self, connection: Connection) -> None:  # noqa: B027 - optional
        """Say what `holds_transaction` needs later, before a transaction has something to lose."""

    @abstractmethod
    def holds_transaction(self, connection: Connection) -> bool:
        """Tell whether the transaction is still open, after an error of a statement in it.

        Asked on the driver's own cursor. Raises the driver's errors.
        """

    def has_ended(self, cursor: Any, *, is_savepoint: bool) -> bool:
        """Tell whether the server says that the driver's ``cursor`` has ended a transaction.

        ``is_savepoint``: its statement is about a savepoint, as far as its words tell.
        """
        return False

    def can_commit(self, connection: Connection) -> bool:
        """Tell whether COMMIT would store the transaction; False: it would roll back in silence.

        Asks no server: every COMMIT waits for this.
        """
        return True

    # ---- The transaction of a guarded run ------------------------------------------------------

    def connect(self, arguments: Mapping[str, Any]) -> Any:
        """Return a driver's new connection; None leaves it to SQLAlchemy."""
        return None

    def begin_guarded(self, connection: Connection, name: str) -> None:  # noqa: B027 - optional
        """Begin a transaction that the server lets no statement end but the kernel's.

        Raises the driver's errors. Nothing has to be said where no statement can end one.
        """

    def allow_commit(self, connection: Connection) -> None:  # noqa: B027 - optional
        """Have the next commit on ``connection`` end the transaction that is guarded.

        Raises the driver's errors when there is none: it was ended below SQLAlchemy.
        """

    def refuses_enders(self, connection: Connection) -> bool:
        """Tell whether the server refuses, in a guarded transaction, all that would end it."""
        return False

    def is_refused_ender(self, error: BaseException) -> bool:
        """Tell whether the driver's ``error`` says that a statement would have ended it."""
        return False

    def check_guarded(self, engine: Engine) -> None:  # noqa: B027 - optional
        """Raise ConfigurationError where no run can be guarded, and the database's errors."""

    # ---- Tables and queries -------------------------------------------------------------------

    def upsert(self, table: Table, change: Change) -> Insert:
        """Return an INSERT that changes the row of the same primary key where there is one.

        ``change`` makes the new values of columns from those that would be inserted. Either way
        the row is locked until the transaction's end.
        """
        new = self.insert(table)
        key, changed = list(table.primary_key), dict(change(new.excluded))
        made: Insert = new.on_conflict_do_update(index_elements=key, set_=changed)
        return made

    @abstractmethod
    def now_plus(self, micros: str) -> str:
        """Return SQL of the time in UTC at the statement, as the column type of `moment` keeps it.

        ``micros``: SQL of the number of microseconds to add to it, which may be negative.
        """

    def moment(self) -> TypeEngine[Any]:
        """Return the column type of a date and time without a zone that keeps microseconds."""
        return DateTime()

    def token(self, length: int) -> TypeEngine[Any]:
        """Return the column type of ASCII text that is compared byte for byte."""
        return String(length)

    def short_text(self, length: int) -> TypeEngine[Any]:
        """Return the column type of text for people, which may hold what a stranger has sent."""
        return String(length)

    def name(self, length: int) -> TypeEngine[Any]:
        """Return the column type of a text that is compared and ordered by its code points."""
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

    # ---- Copying from another database ----------------------------------------------------------

    def cannot_hold(self, value: str, length: int | None) -> str | None:
        """Say why a text does not fit into a column of ``length`` characters; None: it fits."""
        too_long = length is not None and len(value) > length
        return f"{len(value)} characters where {length} fit" if too_long else None

    def count_on(self, connection: Connection, table: Table) -> None:  # noqa: B027 - optional
        """Have `serial` of ``table`` count on above the highest id, after rows were given ids.

        Raises DBAPIError. Nothing has to be said where an INSERT moves the count by itself.
        """

    def overwrite_deleted(self, connection: Connection) -> None:  # noqa: B027 - optional
        """Have this connection overwrite on the disk what it replaces: a secret in clear."""

    def forget_log(self, engine: Engine) -> None:  # noqa: B027 - optional
        """Empty a log that has kept the old texts of rows, where that is this database's file."""

    # ---- The start ----------------------------------------------------------------------------

    def check(self, engine: Engine, needs: Needs) -> Iterator[str]:
        """Ask a session of ``engine`` whether rows are safe here; yield warnings for the log.

        Raises ConfigurationError, which names the mend, for what would lose data, and the
        database's errors.
        """
        yield from ()
