"""What is refused at the start because it would lose data later; each refusal names its mend.

Asked once per process, by three cheap queries and one ping. What is only unwise is returned, to
be logged. Whatever does not answer may come back: that stops nobody but the API and commands
that cannot do without it.
"""

from collections.abc import Iterator

from sqlalchemy import bindparam, text
from sqlalchemy.orm import Session

from kernel.config.settings import Settings
from kernel.db.columns import Base
from kernel.errors import ConfigurationError
from kernel.runtime.broker_probe import ask
from kernel.runtime.kernel import Kernel

STRICT = {"STRICT_ALL_TABLES", "STRICT_TRANS_TABLES"}
CONVERT = "CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"

_SESSION = text(
    "SELECT @@sql_mode, @@character_set_client, @@character_set_connection,"
    " @@innodb_flush_log_at_trx_commit"
)
_TABLES = text(
    "SELECT table_name, engine FROM information_schema.tables"
    " WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE' ORDER BY table_name"
)
_NARROW = text(
    "SELECT DISTINCT table_name FROM information_schema.columns"
    " WHERE table_schema = DATABASE() AND character_set_name NOT IN ('utf8mb4', 'ascii')"
    " AND table_name IN :names ORDER BY table_name"
).bindparams(bindparam("names", expanding=True))


def check(kernel: Kernel) -> list[str]:
    """Check database and broker; return warnings for the log.

    Raises ConfigurationError for what would lose data, Unavailable when the database does not
    answer.
    """
    return [*check_database(kernel), *check_broker(kernel.settings)]


def check_database(kernel: Kernel) -> list[str]:
    """Refuse a database that is behind, lax, or keeps a table where rows can be lost."""
    kernel.check_schema()
    if kernel.engine.dialect.name == "sqlite":
        return []
    with kernel.write_session() as session:  # the kind of session that will write
        return [*_check_session(session), *_check_tables(session, _known_tables(kernel))]


def _known_tables(kernel: Kernel) -> set[str]:
    """The tables whose rows are ours to keep: kernel's own, and those the handlers name."""
    known = [Base.metadata, *kernel.handlers.metadata]
    return {table.name for one in known for table in one.tables.values()}


def _check_session(session: Session) -> Iterator[str]:
    mode, client, connection, flush = session.execute(_SESSION).one()
    if not STRICT & set(mode.split(",")):
        raise ConfigurationError(
            "the database session is not strict, so it would cut long values in silence: "
            "let KERNEL_DATABASE_URL lead to the server itself, not to a proxy that resets sql_mode"
        )
    if (client, connection) != ("utf8mb4", "utf8mb4"):
        raise ConfigurationError(
            f"the database session speaks {client}, which cannot say every character: "
            "take charset out of KERNEL_DATABASE_URL, or write charset=utf8mb4"
        )
    if flush != 1:
        yield (
            f"innodb_flush_log_at_trx_commit is {flush}: an accepted order can be lost when the "
            "server's machine fails; set it to 1 unless you can live with that"
        )


def _check_tables(session: Session, known: set[str]) -> Iterator[str]:
    for name, engine in session.execute(_TABLES):
        if engine == "InnoDB":
            continue
        mend = f"ALTER TABLE {name} ENGINE=InnoDB"
        if name in known:
            raise ConfigurationError(
                f"table {name} is {engine}, which cannot roll back: a handler's writes would stay "
                f"when its run fails. Convert it: {mend}"
            )
        yield f"table {name} is {engine}, which cannot roll back; if a handler writes to it: {mend}"
    for name in session.scalars(_NARROW, {"names": sorted(known)}):
        raise ConfigurationError(
            f"table {name} has columns that are not utf8mb4 and refuse or change some characters. "
            f"Convert it: ALTER TABLE {name} {CONVERT}"
        )


def check_broker(settings: Settings) -> list[str]:
    """Refuse a broker URL where something else answers; warn when nobody does."""
    return [
        warning
        for url in settings.broker_url.get_secret_value().split(";")
        if (warning := ask(url)) is not None
    ]
