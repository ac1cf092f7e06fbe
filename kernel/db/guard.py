"""What guards a handler's transaction: no COMMIT, no ROLLBACK, no DDL; no loss of it unnoticed."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import Session

from kernel.db.errors import is_passing

GUARD = "kernel_guard"

# Statements that end the transaction, openly or behind the handler's back.
COMMITTING = re.compile(
    r"\s*(?:/\*.*?\*/\s*)*(?:ALTER|ANALYZE|BEGIN|COMMIT|CREATE(?!\s+TEMPORARY)|DROP(?!\s+TEMPORARY)"
    r"|END|FLUSH|GRANT|LOCK|OPTIMIZE|RENAME|REPAIR|REVOKE|ROLLBACK(?!\s+TO)|SET\s+.*AUTOCOMMIT"
    r"|START|TRUNCATE|UNLOCK|VACUUM|XA)\b",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(slots=True)
class Guard:
    """What happened to a handler's transaction, noted by the engine's events.

    ``broken`` is the passing database error that cost the transaction; ``spoiled`` says that
    the handler (or the ORM for it) rolled back. ``sealed`` is lifted while the kernel commits.
    """

    sealed: bool = True
    broken: BaseException | None = None
    spoiled: bool = False


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


def listen(engine: Engine) -> None:
    """Have the connections of ``engine`` obey the guard in their ``info``, where there is one."""
    event.listen(engine, "before_cursor_execute", _refuse_committing)
    event.listen(engine, "commit", _refuse_commit)
    event.listen(engine, "rollback", _note_rollback)
    event.listen(engine, "handle_error", _note_passing_error)


def _refuse_committing(connection: Connection, _cursor: Any, statement: str, *_more: Any) -> None:
    guard = connection.info.get(GUARD)
    if guard is not None and guard.sealed and COMMITTING.match(statement):
        word = statement.split(None, 1)[0].upper()
        raise InvalidRequestError(f"a handler may not say {word}: it would end the transaction")


def _refuse_commit(connection: Connection) -> None:
    guard = connection.info.get(GUARD)
    if guard is not None and guard.sealed:
        raise InvalidRequestError("a handler may not commit; run.checkpoint() saves what is done")


def _note_rollback(connection: Connection) -> None:
    guard = None if connection.invalidated else connection.info.get(GUARD)
    if guard is not None and guard.sealed:
        guard.spoiled = True


def _note_passing_error(context: ExceptionContext) -> None:
    connection = context.connection
    if connection is None or connection.invalidated:
        return
    guard = connection.info.get(GUARD)
    if guard is not None and (context.is_disconnect or is_passing(context.original_exception)):
        guard.broken = context.original_exception
