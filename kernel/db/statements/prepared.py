"""Statements of the hot paths: compiled once, then run by the driver itself.

SQLAlchemy spends more on a small statement than driver and database together: it looks its text
up, arranges the values and makes a result of an UPDATE that has none. Here the text is made once
per dialect. What SQLAlchemy promises of a connection holds all the same: its events hear the
statement, and an error is wrapped, told to `handle_error`, and ends a connection that is lost.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import CompoundSelect, Connection, Dialect, Insert, Select, Update

from kernel.db.statements.many_rows import ManyRows

# No public API runs a text on the driver's cursor and treats its errors as SQLAlchemy does.
for _name in ("_handle_dbapi_exception", "dispatch"):
    if not hasattr(Connection, _name):
        raise ImportError(f"sqlalchemy.Connection.{_name} is gone: errors would not be noticed")

Statement = Insert | Update | Select[Any] | CompoundSelect[Any]
Values = Mapping[str, Any]
_VALUES = " VALUES "
# A value that has a name in the text, as drivers of servers write it.
_NAMED = re.compile(r"%\((\w+)\)s")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Form:
    """A statement as one dialect says it: its text, and how values become what its driver takes.

    ``order``: names in the order of the text's question marks; None where it has names itself.
    ``readers``: how what it returns becomes values again, by the place in the row.
    ``rows``: what stands for the values of an INSERT whose rows are one JSON text; see `ManyRows`.
    """

    sql: str
    given: dict[str, Any]
    writers: tuple[tuple[str, Callable[[Any], Any]], ...]
    readers: tuple[tuple[int, Callable[[Any], Any]], ...]
    order: tuple[str, ...] | None
    rows: str

    def bind(self, values: Values) -> Any:
        bound = {**self.given, **values}
        for name, write in self.writers:
            bound[name] = write(bound[name])
        return bound if self.order is None else tuple(bound[name] for name in self.order)

    def together(self, rows: Sequence[Values]) -> tuple[str, Any]:
        """Return a plain INSERT's text with as many rows as there are, and its values in turn."""
        head, _, row = self.sql.partition(_VALUES)
        bound = (self.bind(one) for one in rows)
        if self.rows:
            objects = [{name: one[name] for name in self.given} for one in bound]
            return f"{head} {self.rows}", (_as_json(objects),)
        order = _NAMED.findall(row) if self.order is None else self.order
        if self.order is None:  # the driver takes values without names as well, and faster
            values = tuple(one[name] for one in bound for name in order)
        else:
            values = tuple(value for one in bound for value in one)
        return head + _VALUES + ", ".join([_NAMED.sub("%s", row)] * len(rows)), values


class Prepared:
    """A statement whose values are all bound by name, none of them a list.

    ``columns``: of a plain INSERT those that are given; the others get their defaults.
    """

    def __init__(self, statement: Statement, columns: Sequence[str] | None = None) -> None:
        self.statement = statement
        self._columns = columns
        self._forms: dict[str, _Form] = {}

    def execute(self, connection: Connection, values: Values) -> int:
        """Run it in the transaction of ``connection``; return how many rows it matched.

        Begins one where there is none, as SQLAlchemy does. Raises its DBAPIError, and ValueError
        or KeyError, before anything is said, for values that do not fit.
        """
        form = self._form(connection.dialect)
        return _run(connection, form.sql, form.bind(values), _matched)

    def execute_many(self, connection: Connection, rows: Sequence[Values]) -> int:
        """Run it like `execute` for each of ``rows``, in as few statements as the driver can."""
        form = self._form(connection.dialect)
        return _run(connection, form.sql, [form.bind(row) for row in rows], _matched)

    def insert_rows(self, connection: Connection, rows: Sequence[Values], behind: str = "") -> int:
        """Run a plain INSERT for all of ``rows`` with one statement, which ends with ``behind``."""
        text, bound = self._form(connection.dialect).together(rows)
        return _run(connection, text + behind, bound, _matched)

    def rows(self, connection: Connection, values: Values) -> list[list[Any]]:
        """Run a SELECT like `execute`; return its rows, times in UTC as the columns say."""
        form = self._form(connection.dialect)
        found = _run(connection, form.sql, form.bind(values), _rows)
        for row in found:
            for place, read in form.readers:
                row[place] = read(row[place])
        return found

    def _form(self, dialect: Dialect) -> _Form:
        found = self._forms.get(dialect.name)
        if found is None:
            found = self._forms[dialect.name] = _compile(self.statement, self._columns, dialect)
        return found


def _compile(statement: Statement, columns: Sequence[str] | None, dialect: Dialect) -> _Form:
    compiled: Any = statement.compile(dialect=dialect, column_keys=columns)
    given = dict(compiled.params)
    for column in compiled.insert_prefetch:
        given[column.key] = column.default.arg
    selected = () if isinstance(statement, Insert | Update) else statement.selected_columns
    writers = [
        (name, bound.type.dialect_impl(dialect).bind_processor(dialect))
        for bound, name in compiled.bind_names.items()
    ]
    readers = [
        (place, column.type.dialect_impl(dialect).result_processor(dialect, None))
        for place, column in enumerate(selected)
    ]
    types = {name: bound.type for bound, name in compiled.bind_names.items()}
    row = str(compiled).partition(_VALUES)[2] if isinstance(statement, Insert) else ""
    return _Form(
        str(compiled),
        given,
        tuple((name, write) for name, write in writers if write is not None),
        tuple((place, read) for place, read in readers if read is not None),
        tuple(compiled.positiontup) if compiled.positional else None,
        str(ManyRows(row, types).compile(dialect=dialect)) if row else "",
    )


def _as_json(rows: Sequence[Values]) -> str:
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":"), default=_as_text)


def _as_text(value: Any) -> str:
    """Write what JSON has no form for, as PostgreSQL reads it: a time, or a driver's bytes."""
    if isinstance(value, datetime):
        return value.isoformat()
    return f"\\x{bytes(value.obj).hex()}"


def say(connection: Connection, statement: str) -> None:
    """Run a text without values, such as one about a savepoint, as `Prepared.execute` does."""
    _run(connection, statement, (), _matched)


def _run(connection: Connection, sql: str, bound: Any, read: Callable[[Any], T]) -> T:
    many = isinstance(bound, list)
    if not connection.in_transaction():
        connection.begin()
    cursor = connection.connection.cursor()
    try:
        for hear in connection.dispatch.before_cursor_execute:
            sql, bound = hear(connection, cursor, sql, bound, None, many)
        (cursor.executemany if many else cursor.execute)(sql, bound)
        for hear in connection.dispatch.after_cursor_execute:
            hear(connection, cursor, sql, bound, None, many)
        answer = read(cursor)
        cursor.close()
    except BaseException as error:  # noqa: BLE001 - raised again, as what SQLAlchemy makes of it
        connection._handle_dbapi_exception(error, sql, bound, cursor, None)
    return answer


def _matched(cursor: Any) -> int:
    matched: int = cursor.rowcount
    return matched


def _rows(cursor: Any) -> list[list[Any]]:
    return [list(row) for row in cursor.fetchall()]
