"""What is refused at the start because it would lose data later; each refusal names its mend.

Asked once per process, by three cheap queries and one ping. What is only unwise is returned, to
be logged. A server that does not answer may come back: only the API and commands that need it
refuse to start without it.
"""

from kernel.config.settings import Settings
from kernel.db.columns import Base
from kernel.runtime.broker_probe import ask
from kernel.runtime.kernel import Kernel


def check(kernel: Kernel) -> list[str]:
    """Check database and broker; return warnings for the log.

    Raises ConfigurationError for what would lose data, Unavailable when the database does not
    answer.
    """
    return [*check_database(kernel), *check_broker(kernel.settings)]


def check_database(kernel: Kernel) -> list[str]:
    """Refuse a database that is behind, lax, or keeps a table where rows can be lost.

    Returns and raises as `check`.
    """
    kernel.check_schema()
    return list(kernel.dialect.check(kernel.engine, _known_tables(kernel)))


def _known_tables(kernel: Kernel) -> set[str]:
    """Return the tables whose rows are ours to keep: the kernel's, and those handlers name."""
    known = [Base.metadata, *kernel.handlers.metadata]
    return {table.name for one in known for table in one.tables.values()}


def check_broker(settings: Settings) -> list[str]:
    """Refuse a broker URL where something else answers; warn when nothing does.

    Raises ConfigurationError, which names the mend.
    """
    return [
        warning
        for url in settings.broker_url.get_secret_value().split(";")
        if (warning := ask(url)) is not None
    ]
