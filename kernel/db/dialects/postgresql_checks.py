"""What is asked of a PostgreSQL server before anything starts."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, bindparam
from sqlalchemy import text as sql

from kernel.db.dialects.link import check_link
from kernel.db.dialects.needs import ADDS, CHANGES, Needs
from kernel.errors import ConfigurationError

# What a server reports of itself, unasked, since version 14. A proxy may keep it back.
REPORTED = ("in_hot_standby", "default_transaction_read_only")
OLDEST = 140000
# How a URL asks for a server whose certificate and name are checked.
VERIFIED = "verify-full"
# What keeps connections few, in the order of `_SERVER`; a negative one does not.
LIMITS = ("max_connections", "the user's CONNECTION LIMIT", "the database's CONNECTION LIMIT")

_SERVER = sql(
    "SELECT current_setting('synchronous_commit'), current_setting('fsync'),"
    " current_setting('server_encoding'), current_setting('server_version_num')::int,"
    " current_setting('max_connections')::int"
    " - current_setting('superuser_reserved_connections')::int,"
    " (SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user),"
    " (SELECT datconnlimit FROM pg_database WHERE datname = current_database())"
)
_RIGHTS = sql(
    "SELECT current_user, name, rights"
    " FROM unnest(CAST(:tables AS text[]), CAST(:rights AS text[])) AS wanted (name, rights)"
    " WHERE NOT has_table_privilege(name, rights) ORDER BY name LIMIT 1"
)
# Sequences that count up a column of our tables. One of an IDENTITY column needs no right.
_SEQUENCES = sql(
    "SELECT current_user, sequence.oid::regclass::text, quote_ident(nspname)"
    " FROM pg_class AS sequence JOIN pg_namespace ON pg_namespace.oid = relnamespace"
    " JOIN pg_depend ON objid = sequence.oid AND classid = 'pg_class'::regclass AND deptype = 'a'"
    " WHERE refclassid = 'pg_class'::regclass"
    " AND refobjid IN (SELECT to_regclass(name) FROM unnest(CAST(:tables AS text[])) AS own (name))"
    " AND CASE relkind WHEN 'S' THEN NOT has_sequence_privilege(sequence.oid, 'USAGE, UPDATE') END"
    " ORDER BY 2 LIMIT 1"
)
# A schema that the user may not use is passed over in silence, wherever it stands in the path.
_UNSEEN = sql(
    "SELECT quote_ident(nspname), current_user, has_schema_privilege(pg_namespace.oid, 'USAGE'),"
    " current_setting('search_path') FROM pg_class JOIN pg_namespace"
    " ON pg_namespace.oid = relnamespace WHERE relname = :name AND relkind = 'r'"
    " AND NOT pg_table_is_visible(pg_class.oid) LIMIT 1"
)
_UNLOGGED = sql(
    "SELECT nspname, relname, pg_table_is_visible(pg_class.oid)"
    " FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace"
    " WHERE relpersistence = 'u' AND relkind = 'r' AND relname IN :names ORDER BY relname"
).bindparams(bindparam("names", expanding=True))


def check_server(connection: Connection, needs: Needs) -> Iterator[str]:
    """Yield warnings about a server; ConfigurationError for one that cannot be used."""
    commit, fsync, encoding, version, *limits = connection.execute(_SERVER).one()
    if version < OLDEST:
        raise ConfigurationError(
            f"PostgreSQL {version // 10000} is too old: {OLDEST // 10000} is needed"
        )
    if encoding != "UTF8":
        raise ConfigurationError(
            f"the database is encoded in {encoding}, which cannot hold every character: "
            "make it anew with ENCODING 'UTF8'"
        )
    driver: Any = connection.connection.dbapi_connection
    if silent := [name for name in REPORTED if driver.info.parameter_status(name) is None]:
        yield (
            f"the server does not report {' and '.join(silent)}, so a demoted primary would not "
            "be left: let KERNEL_DATABASE_URL lead to the server itself, or have a proxy pass it on"
        )
    if commit == "off" or fsync == "off":
        name = "fsync" if fsync == "off" else "synchronous_commit"
        yield (
            f"{name} is off: an accepted order can be lost when the server's machine fails; "
            "set it to on unless you can live with that"
        )
    named = zip(LIMITS, limits, strict=True)
    if warning := needs.too_few_connections({name: most for name, most in named if most >= 0}):
        yield warning
    yield from check_link(*_link(driver))


def _link(driver: Any) -> tuple[str, bool, bool]:
    """Return the server's address, whether TLS is spoken, and whether the server was verified."""
    encrypted = bool(driver.pgconn.ssl_in_use)
    mode = driver.info.get_parameters().get("sslmode")
    return driver.info.hostaddr, encrypted, encrypted and mode == VERIFIED


def find_unseen(connection: Connection, table: str) -> str | None:
    """Say where a table stands that is not found by its name, and what to do; None: nowhere."""
    found = connection.execute(_UNSEEN, {"name": table}).one_or_none()
    if found is None:
        return None
    schema, user, may_use, path = found
    if not may_use:
        return (
            f"{table} is in the schema {schema}, which the database user {user} may not use: "
            f"GRANT USAGE ON SCHEMA {schema} TO {user}"
        )
    return (
        f"{table} is in the schema {schema}, and the database user {user} looks through "
        f"{path}: ALTER ROLE {user} SET search_path = {schema}"
    )


def check_tables(connection: Connection, needs: Needs) -> None:
    """Raise ConfigurationError when one of our tables does not outlive a crash."""
    for schema, table, is_visible in connection.execute(_UNLOGGED, {"names": needs.names}):
        if not needs.keeps(schema, table, is_default=is_visible):
            continue
        name = table if is_visible else f"{schema}.{table}"
        raise ConfigurationError(
            f"table {name} is unlogged: its rows are lost when the server crashes. "
            f"Convert it: ALTER TABLE {name} SET LOGGED"
        )


def check_rights(connection: Connection, needs: Needs) -> None:
    """Raise ConfigurationError when the user lacks a right on one of the service's tables.

    Or on a sequence that counts up their ids, which GRANT ... ON TABLES leaves out.
    """
    wanted = [
        (table, right)
        for table in needs.own
        for right in (ADDS if table in needs.added_to else (*ADDS, *CHANGES))
    ]
    tables, rights = (list(one) for one in zip(*wanted, strict=True))
    lacks = connection.execute(_RIGHTS, {"tables": tables, "rights": rights}).one_or_none()
    if lacks is not None:
        user, table, right = lacks
        raise ConfigurationError(
            f"the database user {user} may not {right} {table}: GRANT {right} ON {table} "
            f"TO {user}, in the database of kernel; deploy/databases has all that it needs"
        )
    uncounted = connection.execute(_SEQUENCES, {"tables": list(needs.own)}).one_or_none()
    if uncounted is not None:
        user, sequence, schema = uncounted
        raise ConfigurationError(
            f"the database user {user} may not use the sequence {sequence}, so it can add no row: "
            f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {user}; deploy/databases has all "
            "that it needs"
        )
