"""What guards a handler's transaction: no COMMIT, no ROLLBACK, no DDL; no loss of it unnoticed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import Session

from kernel.db.dialects import Dialect
from kernel.db.errors import DRIVER_ERRORS, blames_statement, is_passing
from kernel.db.statements.sorting import Kind, Sorted, sort_statement

GUARD = "kernel_guard"
MARKS = "kernel_run_marks"
SPOILED = (
    "a statement has failed outside of run.savepoint(): on this database that spoils the "
    "transaction, and nothing of it can be committed"
)

# The savepoint around a statement of which only the server knows what it does.
SAVEPOINT = "kernel_guard"


@dataclass(slots=True)
class Guard:
    """What happened to a handler's transaction, noted by the engine's events.

    ``broken`` is the database error that cost the transaction; ``spoiled`` says that the handler
    (or the ORM for it) rolled back. ``ended`` is the word of a statement that ended the transaction
    behind the handler's back. ``sealed`` is lifted while the kernel commits. ``mark``: the order's
    id and the number of the run, for `kernel_run_marks`; None for a session without an order.
    """

    sealed: bool = True
    broken: BaseException | None = None
    spoiled: bool = False
    ended: str | None = None
    mark: tuple[str, int] | None = None
    # A write or a locking read has succeeded since the last COMMIT: there is something to lose.
    holds: bool = False
    # The name of the run's transaction when the server is to guard it; None for a plain one.
    name: str | None = None
    # The word of the statement that is being watched now.
    watched: str | None = None
    # The run is of a handler whose orders share a commit: what could end the transaction unseen is
    # refused, for it would commit what others have written.
    together: bool = False
    # The savepoint behind which it writes while others share its transaction.
    savepoint: str | None = None
    # A statement may have changed the session: a variable, a temporary table, a lock of its own.
    # No other order is to find that there.
    lasts: bool = False
    # COMMIT was refused because of what it would store, by a constraint that is looked at then.
    refused: bool = False
    # The process that the connection is of.
    pid: int = field(default_factory=os.getpid)

    @property
    def told(self) -> str:
        """What is said of the statement that ended the transaction, or would have."""
        if self.name is None:
            return f"{self.ended} has ended the run's transaction"
        return f"{self.ended} would have ended the run's transaction; the server refused it"


@contextmanager
def unsealed(guard: Guard | None) -> Iterator[None]:
    """Let the kernel itself begin, commit or roll back on a handler's connection."""
    if guard is None:
        yield
        return
    before, guard.sealed = guard.sealed, False
    try:
        yield
    finally:
        guard.sealed = before


class RunSession(Session):
    """The session a handler works in. Its end belongs to the kernel."""

    def commit(self) -> None:
        """Refuse: the outcome and the callback commit together with the work."""
        raise InvalidRequestError("a handler may not commit; run.checkpoint() saves what is done")

    def rollback(self) -> None:
        """Refuse: raise Reject or Retry, or use run.savepoint()."""
        raise InvalidRequestError("a handler may not roll back; use run.savepoint(), or raise")

    def close(self) -> None:
        """Refuse: the session closes when the run ends."""
        raise InvalidRequestError("a handler may not close the run's session")


def listen(engine: Engine, dialect: Dialect) -> None:
    """Have the connections of ``engine`` obey the guard in their ``info``, where there is one."""
    watch = Watch(dialect)
    event.listen(engine, "connect", dialect.deny_transactions)
    event.listen(engine, "reset", _forget)
    event.listen(engine, "before_cursor_execute", watch.before)
    event.listen(engine, "after_cursor_execute", watch.after)
    event.listen(engine, "do_connect", lambda _d, _r, _args, given: dialect.connect(given))
    event.listen(engine, "begin", watch.begun)
    event.listen(engine, "commit", watch.commits)
    event.listen(engine, "rollback", _note_rollback)
    event.listen(engine, "handle_error", watch.failed)


class Watch:
    """Looks at each statement of a handler before and after it is run.

    A statement that can end the transaction by an error at the most goes bare. A known ender is
    refused. Any other goes between SAVEPOINT and RELEASE, with a mark written before it: when
    the statement commits, so does the mark, and the end of the run finds it, also after a
    kill -9.
    """

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect

    def begun(self, connection: Connection) -> None:
        """Begin the transaction of a guarded run aloud."""
        guard = connection.info.get(GUARD)
        if guard is None or guard.name is None:
            return
        try:
            self._dialect.begin_guarded(connection, guard.name)
        except DRIVER_ERRORS as error:  # no event tells of it
            guard.broken = error
            raise

    def commits(self, connection: Connection) -> None:
        """Refuse a handler's commit, and one that the server would answer with a ROLLBACK.

        The kernel's own may end a guarded transaction.
        """
        if _sealed(connection) is not None:
            raise InvalidRequestError(
                "a handler may not commit; run.checkpoint() saves what is done"
            )
        guard = connection.info.get(GUARD)
        if guard is not None and guard.name is not None:
            self._dialect.allow_commit(connection)
        if not connection.invalidated and not self._dialect.can_commit(connection):
            raise InvalidRequestError(SPOILED)

    def before(self, connection: Connection, _cursor: Any, statement: str, *_more: Any) -> None:
        """Refuse a statement, or begin to watch it."""
        guard = _sealed(connection)
        if guard is None:
            return
        if guard.ended is not None:
            raise InvalidRequestError(guard.told)
        if guard.pid != os.getpid():
            raise InvalidRequestError(
                "a process that a handler has forked may not use the run's connection"
            )
        found = self._sort(statement)
        if found.kind is Kind.ENDS:
            raise InvalidRequestError(
                f"a handler may not say {found.word}: it would end the transaction"
            )
        is_watched = found.kind is Kind.UNKNOWN and self._may_end_unseen(connection, guard)
        if is_watched and guard.together:
            raise InvalidRequestError(
                f"a handler with together=True may not say {found.word}: it could end the "
                "transaction that its orders share"
            )
        guard.lasts = guard.lasts or found.lasts or (guard.together and found.fades)
        if (found.locks or found.calls) and not guard.holds:
            self._dialect.before_first_write(connection)
        if is_watched:
            try:
                _say(connection, f"SAVEPOINT {SAVEPOINT}")
                _mark(connection, guard, "INSERT INTO {marks} (order_id, run) VALUES (%s, %s)")
            except DRIVER_ERRORS as error:  # no event tells of an error on the driver's own cursor
                guard.broken = error
                raise
            guard.watched = found.word

    def after(self, connection: Connection, cursor: Any, statement: str, *_more: Any) -> None:
        """Note what there is to lose, and whether a watched statement ended the transaction."""
        guard = _sealed(connection)
        if guard is None:
            return
        found = self._sort(statement)
        guard.holds = guard.holds or found.locks
        if found.calls and not guard.holds:  # a stored function may have written
            guard.holds = self._holds_transaction(connection)
        if guard.watched is not None:
            self._look_after(connection, guard)
        elif self._dialect.has_ended(cursor, is_savepoint=found.kind is Kind.SAVEPOINT):
            guard.ended = found.word

    def failed(self, context: ExceptionContext) -> None:
        """Ask after an error whether the transaction is still there; a list could have a hole."""
        connection = context.connection
        if connection is None or connection.invalidated:
            return
        guard = connection.info.get(GUARD)
        if guard is None:
            return
        error = context.original_exception
        if context.is_disconnect or is_passing(error):
            guard.broken, guard.watched = error, None
        elif guard.watched is not None:
            self._look_after(connection, guard)
        elif guard.name is not None and self._is_refused_ender(connection, error):
            guard.ended = self._sort(context.statement or "").word
        elif guard.holds and not self._holds_transaction(connection):
            guard.broken = error
            guard.refused = context.statement is None and blames_statement(error)

    def _sort(self, statement: str) -> Sorted:
        return sort_statement(statement, nests_comments=self._dialect.nests_comments)

    def _look_after(self, connection: Connection, guard: Guard) -> None:
        """Release the savepoint: the server says whether the transaction is another one now."""
        word, guard.watched = guard.watched, None
        try:
            _say(connection, f"RELEASE SAVEPOINT {SAVEPOINT}")
        except DRIVER_ERRORS as error:
            if is_passing(error):  # the connection is lost: a mark tells if anything was committed
                guard.broken = error
            else:
                guard.ended = word
        else:
            _mark(connection, guard, "DELETE FROM {marks} WHERE order_id = %s AND run = %s")

    def _may_end_unseen(self, connection: Connection, guard: Guard) -> bool:
        if not self._dialect.can_end_unseen:
            return False
        return guard.name is None or not self._dialect.refuses_enders(connection)

    def _is_refused_ender(self, connection: Connection, error: BaseException) -> bool:
        return self._dialect.is_refused_ender(error) and self._holds_transaction(connection)

    def _holds_transaction(self, connection: Connection) -> bool:
        try:
            return self._dialect.holds_transaction(connection)
        except DRIVER_ERRORS:  # who cannot answer has lost it
            return False


def _forget(_connection: Any, record: Any, _state: Any) -> None:
    """Take the guard off a connection that goes back to the pool, before it is rolled back.

    A handler may give it back while its run goes on, and another thread takes it then.
    """
    record.info.pop(GUARD, None)


def _sealed(connection: Connection) -> Guard | None:
    guard: Guard | None = connection.info.get(GUARD)
    return guard if guard is not None and guard.sealed else None


def _say(connection: Connection, statement: str, values: tuple[Any, ...] = ()) -> None:
    """Run a statement on the driver's own cursor: no event hears it."""
    cursor = connection.connection.cursor()
    try:
        cursor.execute(statement, values)
    finally:
        cursor.close()


def _mark(connection: Connection, guard: Guard, statement: str) -> None:
    if guard.mark is not None:
        _say(connection, statement.format(marks=MARKS), guard.mark)


def _note_rollback(connection: Connection) -> None:
    guard = None if connection.invalidated else connection.info.get(GUARD)
    if guard is not None and guard.sealed:
        guard.spoiled = True
