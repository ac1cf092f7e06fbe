"""Opens a kernel for a command, checks that its database is migrated, and sends its hints."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType

import click

from kernel.config.settings import Settings, load
from kernel.db.dialects import url_of
from kernel.db.schema.scripts import scripts_of
from kernel.handlers import Handlers
from kernel.runtime.kernel import Kernel
from kernel.worker.broker import Broker

# The longest that a command waits for the broker to take its hints.
HINT_SECONDS = 1.0


@contextmanager
def opened(settings: Settings | None = None, *, handlers: bool = False) -> Iterator[Kernel]:
    """Open a kernel on a migrated database, and close it after the block.

    KERNEL_HANDLERS is imported only with ``handlers``: an operator can look at rows although
    the handlers' module is broken. Raises ConfigurationError when the database is not migrated,
    Unavailable when it does not answer.
    """
    settings = settings or load()
    kernel = Kernel(settings, None if handlers else Handlers())
    kernel.check_schema()
    try:
        yield kernel
    finally:
        kernel.close()


def migrated(
    settings: Settings, told: Callable[[str], None] = lambda _: None, *, force: bool = False
) -> None:
    """Bring the database of ``settings`` to the newest migration, by `kernel.db.schema`.

    Then its handlers' tables, each folder of KERNEL_HANDLERS_MIGRATIONS by itself.
    """
    folders = scripts_of(settings.handlers_migrations)
    migrations().upgrade(url_of(settings), told=told, force=force)
    if folders:
        handlers_migrations().upgrade(url_of(settings), folders, told)


def migrations() -> ModuleType:
    """Return `kernel.db.schema.migrate`. It imports Alembic, which only some commands wait for."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    from kernel.db.schema import migrate

    return migrate


def handlers_migrations() -> ModuleType:
    """Return `kernel.db.schema.handlers`, which imports Alembic as well."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    from kernel.db.schema import handlers

    return handlers


def say(kernel: Kernel, message: Callable[[Broker], None]) -> None:
    """Send the broker a message after a commit, as views and tasks do; wait a second at most.

    Best effort, like every hint: without a broker the sweep finds the rows.
    """
    publisher = logging.getLogger("kernel.worker.publisher")
    level = publisher.level
    publisher.setLevel(logging.ERROR)  # a broker that is away is reported below, once
    try:
        broker = Broker(kernel)
        message(broker)
        if not broker.flush(HINT_SECONDS):
            click.echo("the broker does not answer; the next sweep makes up for it", err=True)
    finally:
        publisher.setLevel(level)
