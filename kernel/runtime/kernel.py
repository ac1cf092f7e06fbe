"""class Kernel: everything that varies, in one object, and the only place that commits.

Nothing lives in module globals, so two kernels can stand side by side in one process.
"""

import os
import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Protocol, Self, TypeVar

from pydantic import BaseModel
from sqlalchemy import Connection, Engine
from sqlalchemy.orm import Session

from kernel.callers.audit.refusals import Refusals
from kernel.callers.key_usage import KeyUses
from kernel.config.keyring import Keyring
from kernel.config.logging import keep_audible
from kernel.config.settings import Settings, load
from kernel.db.clock import Clock, read_clock
from kernel.db.dialects import Dialect, dialect_of, url_of
from kernel.db.engine import READ_ONLY, Engines
from kernel.db.ids import runner_id
from kernel.db.schema.version import check_schema
from kernel.errors import ConfigurationError
from kernel.handlers import Handlers, Run, load_handlers
from kernel.handlers.registering.settings import load_own
from kernel.handlers.reloading import load_when_mended
from kernel.runtime.metrics import Metrics
from kernel.runtime.tracing import Tracer, make_tracer
from kernel.transport.addresses import CallbackPolicy
from kernel.transport.backoff import RetryPolicy
from kernel.transport.client import Request, Response, Transport
from kernel.transport.connecting.proxy import Proxy

T = TypeVar("T")


class Sender(Protocol):
    """The seam to the outside world: `kernel.transport.client.Transport`, or a fake in tests."""

    def send(self, request: Request, policy: CallbackPolicy, caller: Hashable = None) -> Response:
        """Send for a caller and return the answer, or raise TransportError(reason)."""
        ...

    def sweep(self) -> None:
        """Close what is kept open without need. Called every few seconds."""
        ...

    def close(self) -> None:
        """Close what is kept open."""
        ...


class Kernel:
    """Settings, handlers, database, transport and clock, held together.

    ``handlers`` and ``transport`` default to what the settings say. Cheap to build: the engine
    and the transport come with their first use, which must be after the last fork.
    ``read_timeout``: seconds to wait for a database server that has stopped answering; long
    enough for a handler's longest statement.

    The six ways to the database. On a server a COMMIT is a round trip of its own, and an ORM
    session costs more than a small statement: hence the three with a Core connection for hot
    paths. A file has no round trips: every transaction there is begun and ended aloud.

    ==================  ==========  =================================  ===========================
    block               opens       transaction                        for
    ==================  ==========  =================================  ===========================
    `write_session()`   Session     one; commits, or rolls back when   what holds together, with
                                    the block raises                   the ORM
    `write()`           Connection  as `write_session`                 the same on hot paths
    `write_one()`       Connection  each statement commits itself;     one writing statement
                                    on a file as `write`
    `read_session()`    Session     each statement its own; on a file  what only reads, with the
                                    one, read-only; commits nothing    ORM
    `read()`            Connection  as `read_session`                  the same on hot paths
    `run_connection()`  Connection  none: a run begins and commits     runs in turn; may be silent
                                    its own                            in a transaction
    ==================  ==========  =================================  ===========================
    """

    def __init__(
        self,
        settings: Settings,
        handlers: Handlers | None = None,
        transport: Sender | None = None,
        read_timeout: int = 300,
    ) -> None:
        self.settings = settings
        self._read_timeout = read_timeout
        load_them = load_when_mended if settings.reload == "on" else load_handlers
        self.handlers = load_them(settings.handlers) if handlers is None else handlers
        keep_audible()
        self.clock = Clock(lambda: read_clock(self.engine))
        # The runs this process is executing, by order id and number; their leases are renewed.
        self.running: dict[tuple[str, int], Run] = {}
        # Ends of runs that could not be written, for the database was away: what to call again.
        self.pending_handbacks: dict[tuple[str, int], Callable[[], object]] = {}
        # Set when the worker shuts down and the grace time is over: hand back, claim nothing.
        self.stopping = threading.Event()
        # What this process has counted.
        self.metrics = Metrics()
        # Which API keys it has seen in use.
        self.key_uses = KeyUses()
        # Which keys it has refused.
        self.refusals = Refusals()
        # Who is told of an error that a handler should not have raised, with the order's id.
        self.on_bug: list[Callable[[str, BaseException], None]] = []
        # What else ends with this kernel.
        self.on_close: list[Callable[[], None]] = []
        self._given_transport = transport
        self._ones: dict[object, Any] = {}
        self._engines: Engines | None = None
        self._runner: tuple[int, str] | None = None
        self._lock = threading.Lock()

    @classmethod
    def from_env(cls, read_timeout: int = 300) -> Self:
        """Build a kernel from KERNEL_* and kernel.toml. Raises ConfigurationError."""
        return cls(load(), read_timeout=read_timeout)

    @property
    def engine(self) -> Engine:
        """The database engine of this process; a forked child never touches its parent's."""
        return self.engines.writing

    @property
    def engines(self) -> Engines:
        """The engines of this process, made after the fork."""
        if self._engines is None or self._engines.pid != os.getpid():
            with self._lock:
                if self._engines is None or self._engines.pid != os.getpid():
                    self._engines = Engines.of(self._url, self._read_timeout, lambda: self.keyring)
        return self._engines

    @property
    def runner(self) -> str:
        """The id of this process: of its row in kernel_workers, and in all that it claims.

        A forked child has its own. It is known before the database is reached, so it is made of
        this host's time; nothing is compared with that.
        """
        with self._lock:
            if self._runner is None or self._runner[0] != os.getpid():
                self._runner = (os.getpid(), runner_id(datetime.now(UTC)))
            return self._runner[1]

    @property
    def _url(self) -> str:
        return url_of(self.settings)

    @cached_property
    def dialect(self) -> Dialect:
        """Which kind of database it is. Raises ConfigurationError for one that is not supported."""
        return dialect_of(self._url)

    @cached_property
    def keyring(self) -> Keyring:
        """The keys that seal secrets in the database. Raises ConfigurationError.

        The first use may run a program that answers with the keys: it is not in a transaction.
        """
        return Keyring.of(self.settings)

    @cached_property
    def own_settings(self) -> dict[str, BaseModel]:
        """The settings of handlers' own, by name. Raises ConfigurationError."""
        return load_own(one.declared for one in self.handlers.parts)

    @cached_property
    def transport(self) -> Sender:
        """What sends callbacks."""
        if self._given_transport is not None:
            return self._given_transport
        ca = self.settings.callback_ca_file
        return Transport(
            timeout=self.settings.callback_timeout,
            ca_file=None if ca is None else str(ca),
            proxy=self.callback_proxy,
        )

    @cached_property
    def tracer(self) -> Tracer:
        """Where spans go."""
        return make_tracer(self.settings)

    @cached_property
    def callback_proxy(self) -> Proxy | None:
        """Through which proxy all callbacks go, None for no proxy. Raises ConfigurationError."""
        url = self.settings.callback_proxy.get_secret_value()
        try:
            return Proxy.parse(url) if url else None
        except ValueError as error:  # which quotes nothing: a URL can hold a password
            raise ConfigurationError(f"KERNEL_CALLBACK_PROXY: {error}") from None

    @cached_property
    def callback_policy(self) -> CallbackPolicy:
        """Which callback addresses are open to every caller. Raises ConfigurationError."""
        try:
            nets = CallbackPolicy.from_strings(nets=self.settings.callback_allow_nets)
        except ValueError as error:
            raise ConfigurationError(f"KERNEL_CALLBACK_ALLOW_NETS: {error}") from None
        try:
            hosts = CallbackPolicy.from_strings(hosts=self.settings.callback_allow_hosts)
        except ValueError as error:
            raise ConfigurationError(
                f"KERNEL_CALLBACK_ALLOW_HOSTS: {error}; name each host in full, like "
                "tickets.example.com"
            ) from None
        return nets.merge(hosts)

    @cached_property
    def retry_policy(self) -> RetryPolicy:
        """When a failed callback is tried again."""
        return RetryPolicy(
            schedule=self.settings.callback_schedule,
            max_client_errors=self.settings.callback_client_errors,
            give_up_after=timedelta(days=self.settings.callback_give_up_days).total_seconds(),
        )

    def one(self, kind: Callable[["Kernel"], T]) -> T:
        """Return this process's one object of a kind, which ``kind`` makes at the first call.

        For what a room above remembers as long as the process lives.
        """
        found = self._ones.get(kind)
        if found is None:
            with self._lock:
                found = self._ones.get(kind)
                if found is None:
                    found = self._ones[kind] = kind(self)
        made: T = found
        return made

    @property
    def lease(self) -> timedelta:
        """How long a claim holds without being renewed."""
        return timedelta(seconds=self.settings.lease_seconds)

    @contextmanager
    def write_session(self) -> Iterator[Session]:
        """Open a session, commit when the block ends well, roll back when it raises.

        Keep it short, and never open across network I/O. Raises the database's errors.
        """
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a connection in a transaction that commits and rolls back like `write_session`."""
        with self.engine.begin() as connection:
            yield connection

    @contextmanager
    def write_one(self) -> Iterator[Connection]:
        """Open a connection for one writing statement, which needs no COMMIT on a server."""
        if self.engines.single is self.engine:
            with self.write() as connection:
                yield connection
        else:
            with self.engines.single.connect() as connection:
                yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a connection that only reads and waits for no writer."""
        with self.engines.single.connect() as connection:
            yield connection.execution_options(**{READ_ONLY: True})

    @contextmanager
    def read_session(self) -> Iterator[Session]:
        """Open a session that only reads and waits for no writer."""
        with Session(self.engines.single) as session:
            session.connection(execution_options={READ_ONLY: True})
            yield session

    @contextmanager
    def run_connection(self) -> Iterator[Connection]:
        """Hold one connection, in no transaction yet, for a run whose row names it."""
        with self.engines.running.connect() as connection:
            yield connection

    def check_schema(self) -> None:
        """Refuse a database that is not there or behind; see `kernel.db.schema.version`."""
        check_schema(self.engines.single)

    def close(self) -> None:
        """Close the pooled connections of this process."""
        while self.on_close:
            self.on_close.pop()()
        if self._engines is not None and self._engines.pid == os.getpid():
            self._engines.dispose()
        if "transport" in self.__dict__:
            self.transport.close()
