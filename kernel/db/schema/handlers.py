"""Migrations of handlers' own tables: they run after kernel's, each folder by itself."""

import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from kernel.db.engine import READ_ONLY, make_engine
from kernel.db.errors import DATABASE_ERRORS
from kernel.db.schema.migrate import Told, configured, run_command
from kernel.db.schema.scripts import Scripts
from kernel.errors import ConfigurationError, KernelError

# What an env.py imports; the one that `alembic init` makes does not.
CALLED = "kernel.db.schema.handlers_env"


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a database is with the migrations of a folder."""

    scripts: Scripts
    # Where the database is, and the newest there are; several, where the history has branches.
    current: frozenset[str]
    newest: frozenset[str]
    is_ahead: bool

    @property
    def is_behind(self) -> bool:
        """Whether a migration is to be applied."""
        return not self.is_ahead and self.current != self.newest

    @property
    def told(self) -> str:
        """Say it in words."""
        current = ", ".join(sorted(self.current)) or "none"
        said = f"{self.scripts.label}: at migration {current}"
        if self.is_ahead:
            return f"{said}, of a newer release"
        if self.is_behind:
            newest = ", ".join(sorted(self.newest))
            return f"{said}, and {self.scripts.folder} has {newest}: run `kernel migrate`"
        return f"{said}, the newest"


def upgrade(url: str, scripts: Iterable[Scripts], told: Told = lambda _: None) -> None:
    """Bring the tables of each folder to its newest migration; those of a newer release stay.

    ``told`` is called with a line for each migration that was applied. Raises as
    `kernel.db.schema.migrate.upgrade`.
    """
    for one in scripts:
        if not standing(url, one).is_ahead:
            with _of_author(one):
                run_command(command.upgrade, _config(url, one, told), "heads")


def downgrade(url: str, one: Scripts, revision: str) -> None:
    """Take the tables of a folder back to ``revision``, or to nothing with ``base``."""
    with _of_author(one):
        run_command(command.downgrade, _config(url, one), revision)


def check(url: str, one: Scripts) -> None:
    """Compare the migrated database at ``url`` with the tables that the folder's env.py names.

    Raises ConfigurationError with the differences, or when the newest migration is not applied.
    """
    with _of_author(one):
        run_command(command.check, _config(url, one))


def standing(url: str, one: Scripts) -> Standing:
    """Return how far the database at ``url`` is. Raises ConfigurationError, database errors."""
    with _of_author(one):
        script = ScriptDirectory.from_config(_config(url, one))
        known = {each.revision for each in script.walk_revisions()}
        newest = frozenset(script.get_heads())
    with _opened(url) as connection:
        current = _current(connection, one)
    return Standing(one, current, newest, not current <= known)


@contextmanager
def _of_author(one: Scripts) -> Iterator[None]:
    """Tell what the files of a folder raise with their line; errors of the database pass.

    Raises ConfigurationError.
    """
    try:
        yield
    except KernelError:
        raise
    except DATABASE_ERRORS:
        raise
    except (Exception, SystemExit) as error:
        place = _place(one.folder, error)
        said = f"{one.label}: {place}{type(error).__name__}: {error}"
        if CALLED not in (one.folder / "env.py").read_text(errors="replace"):
            said += (
                f". Its env.py has to call {CALLED}.run_migrations: docs/handlers.md, Migrations"
            )
        raise ConfigurationError(said) from error


def _place(folder: Path, error: BaseException) -> str:
    """Return the innermost line of the folder's files that led to an error."""
    lines = [
        f"{one.filename}, line {one.lineno}: {one.line}: "
        for one in traceback.extract_tb(error.__traceback__)
        if folder in Path(one.filename).parents
    ]
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}: "
    return lines[-1] if lines else ""


def _current(connection: Connection, one: Scripts) -> frozenset[str]:
    options = {"version_table": one.version_table}
    try:
        return frozenset(MigrationContext.configure(connection, opts=options).get_current_heads())
    except DBAPIError as error:
        raise ConfigurationError(
            f"{one.label}: the table {one.version_table} cannot be read ({error.orig}): let the "
            "database's user SELECT it, as docs/databases.md, Rights, says"
        ) from error


@contextmanager
def _opened(url: str) -> Iterator[Connection]:
    engine = make_engine(url)
    try:
        with engine.connect().execution_options(**{READ_ONLY: True}) as connection:
            yield connection
    finally:
        engine.dispose()


def _config(url: str, one: Scripts, told: Told = lambda _: None) -> Config:
    config = configured(one.folder, url, lambda line: told(f"{one.label} {line}"))
    config.attributes["version_table"] = one.version_table
    return config
