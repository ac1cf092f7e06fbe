"""What the tables are made of: times, tokens, long texts, ids, and the options of every table."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy import (
    BigInteger,
    DateTime,
    LargeBinary,
    MetaData,
    Select,
    String,
    Text,
    TypeDecorator,
    Update,
)
from sqlalchemy.engine import Dialect as SQLAlchemyDialect
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeEngine

from kernel.db.dialects import DIALECTS, Dialect

Query = TypeVar("Query", bound=Select[Any])
Kind = TypeVar("Kind", bound=TypeEngine[Any])


def by_index(query: Query, table: Any, name: str) -> Query:
    """Have the database use this index of ``table`` where its own choice reads far more rows."""
    for dialect in DIALECTS:
        if (hint := dialect.index_hint(name)) is not None:
            for each in dialect.names:
                query = query.with_hint(table, hint, each)
    return query


def by_key(changed: Update) -> Update:
    """Have the database find the rows of an UPDATE by their primary key, and lock no others."""
    for dialect in DIALECTS:
        if (hint := dialect.index_hint("PRIMARY")) is not None:
            for each in dialect.names:
                changed = changed.with_hint(hint, dialect_name=each)
    return changed


def _by_dialect(choose: Callable[[Dialect], TypeEngine[Any]]) -> dict[str, TypeEngine[Any]]:
    """Return the column type of each dialect by the names that SQLAlchemy has for it."""
    return {name: choose(dialect) for dialect in DIALECTS for name in dialect.names}


def _varied(kind: Kind, choose: Callable[[Dialect], TypeEngine[Any]]) -> Kind:
    """Return ``kind`` with what each dialect has for it."""
    for name, own in _by_dialect(choose).items():
        kind = kind.with_variant(own, name)
    return kind


_MOMENTS = _by_dialect(lambda dialect: dialect.moment())


class UTCDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime with microseconds, stored without a zone."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: SQLAlchemyDialect) -> Any:
        """Choose the column type that keeps microseconds."""
        return dialect.type_descriptor(_MOMENTS.get(dialect.name, DateTime()))

    def process_bind_param(
        self, value: datetime | None, dialect: SQLAlchemyDialect
    ) -> datetime | None:
        """Store UTC; a naive value is a bug and raises ValueError."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("naive datetime: every time here is aware and in UTC")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(
        self, value: datetime | None, dialect: SQLAlchemyDialect
    ) -> datetime | None:
        """Give back what was stored, marked as UTC."""
        return value if value is None else value.replace(tzinfo=UTC)


class Token(TypeDecorator[str]):
    """ASCII text that is compared byte for byte, and that anything may be compared with."""

    impl = String
    cache_ok = True

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.length = length

    def load_dialect_impl(self, dialect: SQLAlchemyDialect) -> Any:
        """Choose the column type whose order is that of the bytes."""
        made = _by_dialect(lambda one: one.token(self.length))
        return dialect.type_descriptor(made.get(dialect.name, String(self.length)))

    def process_bind_param(self, value: str | None, dialect: SQLAlchemyDialect) -> str | None:
        """Store ASCII; anything else is a bug and raises ValueError."""
        if value is None or value.isascii():
            return value
        raise ValueError("a token is ASCII: refuse what a stranger sends before it is stored")

    def coerce_compared_value(self, op: Any, value: Any) -> TypeEngine[Any]:
        """What it is compared with may come from anybody."""
        return _Compared(self.length) if isinstance(value, str) else self


class _Compared(Token):
    """What a token is compared with.

    MariaDB refuses to compare one with other scripts (1267), and PostgreSQL takes no NUL.
    """

    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: SQLAlchemyDialect) -> str | None:
        """Replace what no token is by what no token is either, and sorts behind every one, too."""
        is_word = value is None or (value.isascii() and "\0" not in value)
        return value if is_word else _BEYOND


# DEL is in no token, and is the last character of ASCII.
_BEYOND = "\x7f\x7f"


def token(length: int) -> Token:
    """A short machine-made ASCII word, compared byte for byte and not by the server's collation."""
    return Token(length)


def short_text(length: int) -> String:
    """Text for people of up to ``length`` characters, which may hold what a stranger has sent."""
    return _varied(String(length), lambda dialect: dialect.short_text(length))


def name(length: int) -> String:
    """A name of a person's choice in any script, compared character by character."""
    return _varied(String(length), lambda dialect: dialect.name(length))


def long_text() -> Text:
    """Text without a practical limit."""
    return _varied(Text(), lambda dialect: dialect.long_text())


def long_bytes() -> LargeBinary:
    """Bytes without a practical limit."""
    return _varied(LargeBinary(), lambda dialect: dialect.long_bytes())


def serial() -> BigInteger:
    """A 64-bit number that the database counts up."""
    return _varied(BigInteger(), lambda dialect: dialect.serial())


# What every table is made with, on each database.
OPTIONS: dict[str, Any] = {
    name: value for dialect in DIALECTS for name, value in dialect.table_options.items()
}


class Base(DeclarativeBase):
    """All tables: with each dialect's options, every constraint named."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    __table_args__: Any = OPTIONS


def table(*constraints: Any) -> tuple[Any, ...]:
    """Return ``__table_args__`` with the options every table has."""
    return (*constraints, OPTIONS)
