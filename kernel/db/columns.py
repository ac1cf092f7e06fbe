"""What the tables are made of: times, tokens, long texts, ids, and the options of every table."""

from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy import (
    BigInteger,
    DateTime,
    Dialect,
    Integer,
    LargeBinary,
    MetaData,
    Select,
    String,
    Text,
    TypeDecorator,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import DeclarativeBase

Query = TypeVar("Query", bound=Select[Any])


def by_index(query: Query, table: Any, name: str) -> Query:
    """Have MariaDB and MySQL take this index of ``table``: where theirs would read far more.

    SQLite chooses by itself.
    """
    for dialect in ("mysql", "mariadb"):
        query = query.with_hint(table, f"FORCE INDEX ({name})", dialect)
    return query


class UTCDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime with microseconds, stored without a zone.

    MariaDB's plain DATETIME drops fractions, so the column says DATETIME(6) there.
    """

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """Choose the column type that keeps microseconds."""
        if dialect.name in {"mysql", "mariadb"}:
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(DateTime())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Store UTC; a naive value is a bug and raises ValueError."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("naive datetime: every time here is aware and in UTC")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give back what was stored, marked as UTC."""
        return value if value is None else value.replace(tzinfo=UTC)


def token(length: int) -> String:
    """A short machine-made ASCII word: compared byte for byte, whatever the server's collation."""
    kind = mysql.VARCHAR(length, charset="ascii", collation="ascii_bin")
    return String(length).with_variant(kind, "mysql", "mariadb")


def long_text() -> Text:
    """Text without a practical limit (LONGTEXT)."""
    return Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")


def long_bytes() -> LargeBinary:
    """Bytes without a practical limit (LONGBLOB)."""
    return LargeBinary().with_variant(mysql.LONGBLOB(), "mysql", "mariadb")


def serial() -> BigInteger:
    """A 64-bit number that the database counts up, on SQLite too."""
    return BigInteger().with_variant(Integer, "sqlite")


OPTIONS: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
}


class Base(DeclarativeBase):
    """All tables: InnoDB and utf8mb4 said aloud, every constraint named."""

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
