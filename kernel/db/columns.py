"""What the tables are made of: times, tokens, long texts, ids, and the options of every table."""

import re
import secrets
from datetime import UTC, datetime, timedelta
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


# Ids of rows. What looks otherwise is unknown without a question to the database, which would
# find "id " for "id" and trip over characters its columns cannot hold.
ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


def new_id(now: datetime) -> str:
    """Make a UUIDv7 (RFC 9562, section 5.7) for the moment ``now``, as text.

    The twelve bits after the version carry the fraction of the millisecond (section 6.2,
    method 3), so ids made by one process sort by time and pages can be cut by id.
    """
    return _text(_number(now) | secrets.randbits(62))


def first_id(moment: datetime) -> str:
    """Return the lowest UUIDv7 of ``moment``, to the microsecond; no id made later is below it.

    So times are ranges of ids, which stand in indexes. For moments before 1970 that of 1970.
    """
    return _text(_number(moment))


def _number(moment: datetime) -> int:
    """Return the time, version and variant of an id, as the 128 bits of a UUID."""
    millis, micros = divmod(max(0, int(moment.timestamp() * 1_000_000)), 1000)
    return millis << 80 | 0x7 << 76 | (micros * 4096 // 1000) << 64 | 0b10 << 62


def _text(number: int) -> str:
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def time_of(id: str) -> datetime:
    """Return the moment for which `new_id` made an id, to the microsecond."""
    digits = id.replace("-", "")
    micros = int(digits[:12], 16) * 1000 - (-int(digits[13:16], 16) * 1000 // 4096)
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=micros)
