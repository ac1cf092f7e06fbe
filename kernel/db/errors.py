"""What an error of the database means. The one place that is asked whether the database is away.

Takes SQLAlchemy's errors as well as the driver's own, which arise where SQLAlchemy does not look:
while the pool sets up a connection or gets one back.
"""

from typing import Any

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from kernel.db.dialects import DIALECTS, dialect_of_error
from kernel.db.dialects.mends import explain

# The roots of what the drivers raise themselves. Any: mypy refuses a tuple of unknown length where
# it stands among others behind `except`.
DRIVER_ERRORS: Any = tuple(kind for dialect in DIALECTS for kind in dialect.driver_errors)
# All that a question to the database may raise, a bug in its statement included.
DATABASE_ERRORS: tuple[type[Exception], ...] = (DBAPIError, PoolTimeout, *DRIVER_ERRORS)
# The classes of every driver (PEP 249) that say that a statement or a value is wrong. The others
# are "not necessarily under the control of the programmer".
BLAMING = {"DataError", "IntegrityError", "NotSupportedError", "ProgrammingError"}


def is_passing(error: BaseException | None) -> bool:
    """Tell whether the database is away or busy for the moment: the same work may succeed later.

    If not, the error is the statement's fault, or none of the database's. After a passing error
    the transaction is gone. True also when the connection was lost or the pool had none to give.
    """
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or is_passing(error.orig)
    dialect = dialect_of_error(error)
    return isinstance(error, PoolTimeout) or (
        error is not None and dialect is not None and dialect.is_passing(error)
    )


def blames_statement(error: BaseException) -> bool:
    """Tell whether an error says that a statement, or one of its values, is wrong.

    By the class that its driver gives it (PEP 249), not by a list of numbers: of every other error
    the same work may succeed later, also of one that no list has.
    """
    cause = driver_error(error) or error
    if BLAMING & {kind.__name__ for kind in type(cause).__mro__}:
        return True
    dialect = dialect_of_error(cause)
    return dialect is not None and dialect.blames_statement(cause)


def is_contention(error: BaseException | None) -> bool:
    """Tell whether a passing error came from a database that is there: a rival was first."""
    if isinstance(error, DBAPIError):
        return not error.connection_invalidated and is_contention(error.orig)
    dialect = dialect_of_error(error)
    return error is not None and dialect is not None and dialect.is_contention(error)


def is_interruption(error: BaseException | None) -> bool:
    """Tell whether a database that is there ended a statement: a time limit, or KILL QUERY."""
    if isinstance(error, DBAPIError):
        return not error.connection_invalidated and is_interruption(error.orig)
    dialect = dialect_of_error(error)
    return error is not None and dialect is not None and dialect.is_interruption(error)


def is_outage(error: BaseException | None) -> bool:
    """Tell whether the database is away.

    A lost deadlock, a lock that was waited for, a statement that is refused and one that took too
    long are answers of a database that is there.
    """
    return is_passing(error) and not (is_contention(error) or is_interruption(error))


def is_missing_table(error: BaseException | None) -> bool:
    """Tell whether an error says that a table does not exist: the database was never migrated."""
    cause = driver_error(error)
    dialect = dialect_of_error(cause)
    return cause is not None and dialect is not None and dialect.is_missing_table(cause)


def explained(error: BaseException) -> str:
    """Return what an error of the database means for people, in one line."""
    return explain(driver_error(error) or error)


def driver_error(error: BaseException | None) -> BaseException | None:
    """Return the driver's error inside SQLAlchemy's, for people; any other error as it is."""
    return getattr(error, "orig", None) or error
