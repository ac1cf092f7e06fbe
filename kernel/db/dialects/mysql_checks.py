"""What is asked of a MariaDB or MySQL server before anything starts."""

from collections.abc import Iterator, Mapping

from sqlalchemy import Connection, bindparam, text
from sqlalchemy.exc import DBAPIError

from kernel.db.dialects.needs import ADDS, CHANGES, Needs
from kernel.errors import ConfigurationError

# "Command denied", of a table, a column or a database.
REFUSED = (1142, 1143, 1044)
STRICT = {"STRICT_ALL_TABLES", "STRICT_TRANS_TABLES"}
CONVERT = "CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"

_SETTINGS = text(
    "SHOW VARIABLES WHERE Variable_name IN ('sql_mode', 'character_set_client',"
    " 'character_set_connection', 'innodb_flush_log_at_trx_commit', 'log_bin', 'binlog_format',"
    " 'max_allowed_packet', 'max_connections', 'max_user_connections')"
)
# One schema at a time: with more of them, or none, MariaDB opens every table of the server.
_TABLES = text(
    "SELECT table_name, engine FROM information_schema.tables"
    " WHERE table_schema = COALESCE(:schema, DATABASE()) AND table_type = 'BASE TABLE'"
    " ORDER BY table_name"
)
_COLUMNS = text(
    "SELECT table_name, MIN(character_set_name IN ('utf8mb4', 'ascii'))"
    " FROM information_schema.columns WHERE table_schema = COALESCE(:schema, DATABASE())"
    " AND (character_set_name NOT IN ('utf8mb4', 'ascii') AND table_name IN :tables"
    " OR collation_name NOT LIKE '%\\_bin' AND table_name IN :own)"
    " GROUP BY table_name ORDER BY table_name"
).bindparams(bindparam("tables", expanding=True), bindparam("own", expanding=True))
# Who we are, and how many of the four rights we have on all of the database or the server. Rights
# on single tables, and those of roles, are not counted.
_RIGHTS = text(
    "SELECT user, (SELECT COUNT(DISTINCT privilege_type) FROM information_schema.user_privileges"
    " WHERE grantee = user AND privilege_type IN :rights) AS everywhere,"
    " (SELECT COUNT(DISTINCT privilege_type) FROM information_schema.schema_privileges"
    " WHERE grantee = user AND privilege_type IN :rights AND table_schema = DATABASE()) AS here"
    " FROM (SELECT CONCAT(QUOTE(SUBSTRING_INDEX(CURRENT_USER(), '@', 1)), '@',"
    " QUOTE(SUBSTRING_INDEX(CURRENT_USER(), '@', -1))) AS user) AS me"
).bindparams(bindparam("rights", expanding=True))
# Each needs a right, and finds no row.
_TRIES = {
    "SELECT": "SELECT 1 FROM {table} WHERE 1 = 0",
    "INSERT": "INSERT INTO {table} SELECT * FROM {table} WHERE 1 = 0",
    "UPDATE": "UPDATE {table} SET `{column}` = `{column}` WHERE 1 = 0",
    "DELETE": "DELETE FROM {table} WHERE 1 = 0",
}


def check_session(connection: Connection, needs: Needs) -> Iterator[str]:
    """Yield warnings about a new session; ConfigurationError for one that would lose data."""
    there = {str(name).lower(): value for name, value in connection.execute(_SETTINGS)}
    if not STRICT & set(there["sql_mode"].split(",")):
        raise ConfigurationError(
            "the database session is not strict, so it would cut long values in silence: "
            "let KERNEL_DATABASE_URL lead to the server itself, not to a proxy that resets sql_mode"
        )
    client = there["character_set_client"]
    if (client, there["character_set_connection"]) != ("utf8mb4", "utf8mb4"):
        raise ConfigurationError(
            f"the database session speaks {client}, which cannot say every character: "
            "take charset out of KERNEL_DATABASE_URL, or write charset=utf8mb4"
        )
    flush = there["innodb_flush_log_at_trx_commit"]
    if flush != "1":
        yield (
            f"innodb_flush_log_at_trx_commit is {flush}: an accepted order can be lost when the "
            "server's machine fails; set it to 1 unless you can live with that"
        )
    yield from _check_statements(there, needs)
    limits = {name: int(there[name]) for name in ("max_connections", "max_user_connections")}
    if warning := needs.too_few_connections({name: most for name, most in limits.items() if most}):
        yield warning


def _check_statements(there: Mapping[str, str], needs: Needs) -> Iterator[str]:
    """Refuse a server that takes none, or no long ones."""
    if (there.get("log_bin"), there.get("binlog_format")) == ("ON", "STATEMENT"):
        raise ConfigurationError(
            "the server writes a binary log of statements, and refuses those of a transaction that "
            "is READ COMMITTED: SET GLOBAL binlog_format = 'ROW', and in my.cnf, below [mysqld], "
            "binlog_format = ROW"
        )
    packet = int(there["max_allowed_packet"])
    longest = "max_allowed_packet is {packet}, and {what} can make a statement of {bytes} bytes"
    mend = "SET GLOBAL max_allowed_packet = {bytes}, and the same in my.cnf, or lower {setting}"
    if packet < needs.order_bytes:
        facts = {"packet": packet, "what": "an order", "bytes": needs.order_bytes}
        raise ConfigurationError(
            f"{longest}: {mend}".format(**facts, setting="KERNEL_MAX_BODY_BYTES")
        )
    if packet < needs.batch_bytes:
        facts = {"packet": packet, "what": "a batch", "bytes": needs.batch_bytes}
        yield f"{longest}: {mend}".format(**facts, setting="KERNEL_MAX_BATCH_BYTES")


def check_tables(connection: Connection, needs: Needs) -> Iterator[str]:
    """Yield warnings about foreign tables; ConfigurationError for one of ours that is unfit, or on
    which the user lacks a right.
    """
    for schema in (None, *needs.schemas):
        yield from _check_engines(connection, needs, schema)
        _check_columns(connection, needs, schema)
    _check_rights(connection, needs)


def _check_engines(connection: Connection, needs: Needs, schema: str | None) -> Iterator[str]:
    """Yield a warning about each other table of the connection's schema that cannot roll back."""
    for table, engine in connection.execute(_TABLES, {"schema": schema}):
        is_kept = (schema, table) in needs.tables
        if engine == "InnoDB" or not (is_kept or schema is None):
            continue
        name = _named(schema, table)
        mend = f"ALTER TABLE {name} ENGINE=InnoDB"
        if is_kept:
            raise ConfigurationError(
                f"table {name} is {engine}, which cannot roll back: a handler's writes would stay "
                f"when its run fails. Convert it: {mend}"
            )
        yield f"table {name} is {engine}, which cannot roll back; if a handler writes to it: {mend}"


def _check_columns(connection: Connection, needs: Needs, schema: str | None) -> None:
    own = sorted(needs.own) if schema is None else []
    asked = {"schema": schema, "tables": needs.names, "own": own}
    for table, holds_all in connection.execute(_COLUMNS, asked):
        if (schema, table) not in needs.tables:
            continue
        name = _named(schema, table)
        what = (
            "are compared without regard to case, so that two keys can be one"
            if holds_all
            else "are not utf8mb4 and refuse or change some characters"
        )
        raise ConfigurationError(
            f"table {name} has columns that {what}. Convert it: ALTER TABLE {name} {CONVERT}"
        )


def _named(schema: str | None, table: str) -> str:
    return table if schema is None else f"{schema}.{table}"


def _check_rights(connection: Connection, needs: Needs) -> None:
    """Raise ConfigurationError when the user lacks a right on one of the service's tables."""
    rights = [*ADDS, *CHANGES]
    user, *whole = connection.execute(_RIGHTS, {"rights": rights}).one()
    if len(rights) in whole:
        return
    for table, column in sorted(needs.own.items()):
        for right in ADDS if table in needs.added_to else rights:
            try:
                connection.exec_driver_sql(_TRIES[right].format(table=table, column=column))
            except DBAPIError as error:
                if error.orig is None or error.orig.args[0] not in REFUSED:
                    raise
                raise ConfigurationError(
                    f"the database user {user} may not {right} {table} "
                    f"({error.orig}): GRANT {right} ON {table} "
                    f"TO {user}, in the database of kernel; deploy/databases has all that it needs"
                ) from None
