"""What a command needs before it can begin: a kernel whose database is there and migrated."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType

import click

from kernel.config.settings import Settings, load
from kernel.handlers import Handlers
from kernel.runtime.kernel import Kernel
from kernel.worker.broker import Broker

# What a command waits at the most for a broker to take its hints.
HINT_SECONDS = 1.0


@contextmanager
def opened(settings: Settings | None = None, *, handlers: bool = False) -> Iterator[Kernel]:
    """Open a kernel on a database that is there and migrated, and close it again.

    Without ``handlers`` theirs is not imported: an operator may look at rows although it is
    broken. Raises ConfigurationError, or Unavailable when the database does not answer.
    """
    settings = settings or load()
    kernel = Kernel(settings, None if handlers else Handlers())
    kernel.check_schema()
    try:
        yield kernel
    finally:
        kernel.close()


def migrated(settings: Settings, told: Callable[[str], None] = lambda _: None) -> None:
    """Bring the database of ``settings`` to the newest migration."""
    migrations().upgrade(settings.database_url.get_secret_value(), told=told)


def migrations() -> ModuleType:
    """Return `kernel.db.migrate`, which imports Alembic: only some commands wait for that."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    from kernel.db import migrate

    return migrate


def say(kernel: Kernel, message: Callable[[Broker], None]) -> None:
    """Tell the broker something after a commit, as views and tasks do; wait a second at most.

    Best effort, like every hint: without a broker the sweep finds the rows.
    """
    logging.getLogger("kernel.worker.publisher").setLevel(logging.ERROR)  # it is said here, once
    broker = Broker(kernel)
    message(broker)
    if not broker.flush(HINT_SECONDS):
        click.echo("the broker does not answer; the next sweep makes up for it", err=True)
