"""Handlers that live in a Flask application of their own: its context, and its ``db.session``.

    handlers = Handlers(db.metadata, within=InApp(create_app, db))

Only what an application and Flask-SQLAlchemy offer to everyone is used here; neither is imported.
"""

import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, cast

from sqlalchemy import Table, event, inspect, text
from sqlalchemy.exc import DBAPIError, InvalidRequestError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import ORMExecuteState, Session
from sqlalchemy.sql.visitors import ExternallyTraversible, iterate

from kernel.config.logging import keep_audible
from kernel.errors import ConfigurationError, KernelError
from kernel.handlers.registering.importing import places
from kernel.handlers.registry import Function
from kernel.handlers.run import Run

# The tables of the service, of the built-in handlers and of handlers' migrations: see
# `kernel.db.schema.scripts`.
OURS = re.compile(r"kernel_.*|project_tb_project|handlers_(\w+_)?alembic_version", re.DOTALL)
ASKED = text("SELECT name FROM kernel_installation")


class InApp:
    """Gives each handler an app context in which ``db.session`` is the run's session.

    ``app``: the application, or the function without arguments that makes it, which each worker
    process calls once. ``db``: its Flask-SQLAlchemy, if it has one. What a handler writes by
    ``db.session`` commits with the order; commit, rollback and close are refused as those of
    `Run.session` are. That holds in nested app contexts as well, and not in threads that a handler
    starts. Raises ConfigurationError for what is neither.
    """

    def __init__(self, app: Any, db: Any = None) -> None:
        if not (callable(app) or hasattr(app, "app_context")):
            raise ConfigurationError(
                "InApp takes the application, or the function that makes it, and then its "
                f"Flask-SQLAlchemy: InApp(create_app, db), not {app!r:.100} for the first"
            )
        if db is not None and (isinstance(db, type) or not hasattr(type(db), "engines")):
            raise ConfigurationError(
                "InApp takes the application's Flask-SQLAlchemy as its second, the db of "
                f"`db = SQLAlchemy()`, not {db!r:.100}"
            )
        self._given = app
        self._db = db
        self._app: Any = None
        self._lock = threading.Lock()
        self._session: ContextVar[Session | None] = ContextVar("session of the run", default=None)

    def wrap(self, function: Function) -> Function:
        """Return the function as kernel calls it: within the app context, up to the flush."""

        @wraps(function)
        def in_app(run: Run, args: Any) -> Any:
            with self._inside(run):
                returned = function(run, args)
                run.session.flush()  # the host's listeners are called in the context, too
                return returned

        return in_app

    def check(self, installation: str, *, forks: bool) -> None:
        """Refuse an application that cannot be made, or is on another database than kernel's.

        ``installation``: the name of kernel's own. Makes the application, asks once, and closes
        what it has opened. ``forks``: this process forks those that run handlers. An application
        without a ``db`` is left to them then, for what it opens is not known here, and they would
        share it. Raises ConfigurationError, and errors of the application's database.
        """
        if forks and self._db is None:
            return
        try:
            app = self._made()
            with app.app_context(), ExitStack() as closing:
                for engine in () if self._db is None else self._db.engines.values():
                    closing.callback(engine.dispose)
                for mounted in app.extensions.get("kernel", {}).values():
                    closing.callback(mounted.close)
                if self._db is not None:
                    _refuse_another(self._db, installation)
        except (KernelError, DBAPIError, PoolTimeout):
            raise
        except (Exception, SystemExit) as error:  # any code of the application
            raise ConfigurationError(
                "the application that handlers run in cannot be used: "
                f"{type(error).__name__}: {error}{places(error)}"
            ) from error
        if self._given is not app:
            self._app = None  # each process makes its own after the fork

    @contextmanager
    def _inside(self, run: Run) -> Iterator[None]:
        app = self._made()
        before = self._session.set(run.session)
        try:
            with app.app_context():
                if self._db is not None and len(self._db.engines) > 1:
                    _refuse_other_binds(run.session)
                yield
        finally:
            self._session.reset(before)

    def _made(self) -> Any:
        with self._lock:
            if self._app is None:
                is_app = hasattr(self._given, "app_context")
                made = self._given if is_app else self._given()
                if not hasattr(made, "app_context"):
                    raise ConfigurationError(
                        f"{getattr(self._given, '__name__', self._given)}() has returned "
                        f"{made!r:.100}, which is no application: end it with `return app`"
                    )
                self._app = made
                keep_audible()
                if self._db is not None:
                    self._session = _runs_own(self._db.session).session
            return self._app


class RunsOwn:
    """The registry of ``db.session``: within a run its session, elsewhere what it was.

    ``session``: that of the run, for this thread.
    """

    def __init__(self, usual: Any) -> None:
        self.usual = usual
        self.session: ContextVar[Session | None] = ContextVar("session of the run", default=None)

    def __call__(self) -> Any:
        found = self.session.get()
        return self.usual() if found is None else found

    def has(self) -> bool:
        """Tell whether there is a session to remove: that of a run is kernel's to end."""
        return self.session.get() is None and bool(self.usual.has())

    def set(self, made: Any) -> None:
        """Keep a session that was made with options of its own. Raises within a run."""
        if self.session.get() is not None:
            raise InvalidRequestError("db.session is the run's: it takes no options here")
        self.usual.set(made)

    def clear(self) -> None:
        """Forget the session, unless it is a run's."""
        if self.session.get() is None:
            self.usual.clear()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.usual, name)


def _runs_own(scoped: Any) -> RunsOwn:
    """Return the registry of ``db.session``, once it is such a one."""
    found = scoped.registry
    if not isinstance(found, RunsOwn):
        found = scoped.registry = RunsOwn(found)
    return found


def _refuse_another(db: Any, installation: str) -> None:
    """Raise ConfigurationError unless the application's database has the installation's rows."""
    try:
        with db.engine.connect() as connection:
            found = connection.scalar(ASKED)
    except DBAPIError as error:
        raise ConfigurationError(
            f"SQLALCHEMY_DATABASE_URI: the application's database does not show kernel's "
            f"tables ({error.orig}): db.session is the run's, so both have to use one "
            "database, and the application's user needs SELECT on kernel_installation"
        ) from error
    if found != installation:
        raise ConfigurationError(
            "SQLALCHEMY_DATABASE_URI leads to another database than KERNEL_DATABASE_URL: "
            "db.session is the run's, so give both the same database"
        )


def _refuse_other_binds(session: Session) -> None:
    """Have the session refuse tables that the application keeps in another database."""

    def on_execute(state: ORMExecuteState) -> None:
        for part in iterate(cast(ExternallyTraversible, state.statement)):
            if isinstance(part, Table):
                _refuse(part)

    def on_flush(flushed: Session, *_: Any) -> None:
        for one in (*flushed.new, *flushed.dirty, *flushed.deleted):
            for table in inspect(type(one)).tables:
                _refuse(table)

    event.listen(session, "do_orm_execute", on_execute)
    event.listen(session, "before_flush", on_flush)


def _refuse(table: Any) -> None:
    key = table.metadata.info.get("bind_key")
    if key is not None:
        raise InvalidRequestError(
            f"table {table.name} is of bind {key!r}: within a run db.session is the run's, which "
            f"has one database; use `with Session(db.engines[{key!r}]) as session`, whose writes "
            "commit by themselves"
        )


def without_kernel(name: str | None, kind: str, _parents: Any) -> bool:
    """Leave kernel's tables, and those by which handlers' migrations are known, out of an
    application's own migrations.

    For Flask-Migrate ``Migrate(app, db, include_name=without_kernel)``, for Alembic
    ``context.configure(..., include_name=without_kernel)``.
    """
    return kind != "table" or OURS.fullmatch(str(name)) is None
