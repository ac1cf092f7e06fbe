"""What is refused at the start because it would lose data later; each refusal names its mend.

Asked once per process, by a few cheap queries and one ping. What is only unwise is returned, to
be logged. A server that does not answer may come back: only the API and commands that need it
refuse to start without it.
"""

import os
from collections.abc import Iterator, Mapping
from urllib.parse import unquote, urlsplit

from sqlalchemy import Connection

from kernel.config.brokers.urls import redis_urls
from kernel.config.checks import is_redis
from kernel.config.settings import PREFIX, Settings, is_loopback
from kernel.db.columns import Base
from kernel.db.dialects import url_of
from kernel.db.dialects.mends import explain
from kernel.db.dialects.needs import Needs
from kernel.db.errors import DATABASE_ERRORS, driver_error, is_passing
from kernel.db.schema.scripts import scripts_of
from kernel.db.tables.audit import ADDED_TO
from kernel.errors import ConfigurationError, Unavailable
from kernel.handlers import Handler
from kernel.handlers.commands.program import Program
from kernel.handlers.registering.refusals import refuse_late_soft_limit
from kernel.handlers.registering.tables import flaws
from kernel.runtime.broker_probe.asking import ask, ask_results
from kernel.runtime.installation import Name
from kernel.runtime.kernel import Kernel
from kernel.runtime.rotation import check_secrets
from kernel.transport.connecting.descriptors import raise_limit
from kernel.transport.connecting.tls import TlsContext

# As many times longer an order can be in a statement that escapes what it holds.
ESCAPED = 4
READ_ONLY = (
    "the database takes no writes now, as a standby or a read-only one: orders are refused by 503 "
    "until KERNEL_DATABASE_URL leads to the primary, or this is one"
)
# The password that RabbitMQ comes with.
GUEST = "guest"


def check(kernel: Kernel) -> list[str]:
    """Check what callbacks, handlers, database, secrets and broker need; return warnings.

    Also raises the soft limit of descriptors. Raises ConfigurationError for what would lose data or
    stop callbacks, Unavailable when the database does not answer, or errs in the middle of it.
    """
    raise_limit()
    check_callbacks(kernel)
    check_handlers(kernel)
    found = [*missing_programs(kernel.handlers)]
    try:
        found += [*check_database(kernel), *check_secrets(kernel)]
        queue = kernel.one(Name).queue()
    except DATABASE_ERRORS as error:  # it has answered before, and goes away or is unfit meanwhile
        said = explain(driver_error(error) or error, kernel.engine.url)
        raise Unavailable(said) from error
    return [*found, *check_broker(kernel.settings, queue)]


def check_callbacks(kernel: Kernel) -> None:
    """Build what every callback needs, as the first one would find out; raises ConfigurationError.

    The transport itself is made after the fork.
    """
    _ = kernel.callback_policy, kernel.retry_policy, kernel.callback_proxy
    ca_file = kernel.settings.callback_ca_file
    try:
        TlsContext.make(None if ca_file is None else str(ca_file))
    except OSError as error:
        if ca_file is None:
            raise ConfigurationError(f"the public authorities cannot be read: {error}") from None
        raise ConfigurationError(
            f"KERNEL_CALLBACK_CA_FILE: {ca_file} holds no certificate in PEM form ({error}). Name "
            "a file with -----BEGIN CERTIFICATE----- in it; of a DER file make one with: "
            f"openssl x509 -inform der -in {ca_file} -out ca.pem"
        ) from None


def check_hosts(settings: Settings) -> list[str]:
    """Warn when clients that ask for this service by name would get 421."""
    if settings.public_url or settings.hosts or is_loopback(settings.bind.rpartition(":")[0]):
        return []
    return [
        f"KERNEL_BIND is {settings.bind}, and neither KERNEL_PUBLIC_URL nor KERNEL_HOSTS is set: "
        "requests that name another host than that or localhost are answered 421"
    ]


def check_handlers(kernel: Kernel) -> None:
    """Refuse secret arguments without a key, and a soft limit that the time limit ends before.

    And what is wrong with the settings of handlers' own. Raises ConfigurationError. What a handler
    says of itself was checked at import.
    """
    _ = kernel.own_settings
    for handler in kernel.handlers.values():
        if handler.secrets and kernel.keyring.is_empty:
            raise ConfigurationError(
                f"select_tag {handler.tag!r}: {handler.model.__name__} has secret arguments, and "
                "KERNEL_SECRETS_KEY is not set: make a key with `kernel secrets new-key`"
            )
        if handler.soft_limit is not None and handler.time_limit is None:
            refuse_late_soft_limit(
                handler.tag,
                handler.soft_limit,
                kernel.settings.time_limit_seconds,
                "KERNEL_TIME_LIMIT_SECONDS",
            )


def missing_programs(handlers: Mapping[str, Handler]) -> Iterator[str]:
    """Yield a warning for each command whose program or directory this machine does not have."""
    for tag, handler in handlers.items():
        program = handler.function
        for missing in program.missing() if isinstance(program, Program) else ():
            yield (
                f"select_tag {tag!r}: {missing} is not on this machine: its orders fail where a "
                "worker runs them without it"
            )


def check_host(kernel: Kernel, *, forks: bool = False) -> None:
    """Refuse an application around handlers that cannot work with this installation.

    For the processes that run handlers; ``forks``: as of `InApp.check`. Raises ConfigurationError,
    and Unavailable when a database that the application asks does not answer.
    """
    found = [part.within for part in kernel.handlers.parts if part.within is not None]
    installation = kernel.one(Name).read() if found else ""
    for one in dict.fromkeys(found):
        try:
            one.check(installation, forks=forks)
        except ConfigurationError as error:
            if is_passing(error.__cause__):
                raise Unavailable(error.message) from error
            raise
        except DATABASE_ERRORS as error:
            said = f"the application that handlers run in: {driver_error(error) or error}"
            kind = Unavailable if is_passing(error) else ConfigurationError
            raise kind(said) from error


def check_database(kernel: Kernel) -> list[str]:
    """Refuse a database that is behind, lax, or keeps a table where rows can be lost.

    Returns and raises as `check`.
    """
    kernel.check_schema()
    check_migrations(kernel)
    check_tables(kernel)
    if any(handler.guarded for handler in kernel.handlers.values()):
        kernel.dialect.check_guarded(kernel.engine)
    found = list(kernel.dialect.check(kernel.engine, needs_of(kernel)))
    with kernel.read() as connection:
        return found if takes_writes(kernel, connection) else [*found, READ_ONLY]


def takes_writes(kernel: Kernel, connection: Connection) -> bool:
    """Ask the database that ``connection`` leads to whether it does. Raises its errors."""
    file = kernel.dialect.file_of(kernel.engine.url)
    if file is not None and not os.access(file, os.W_OK):
        return False
    return not kernel.dialect.is_unfit(connection.connection.dbapi_connection)


def check_migrations(kernel: Kernel) -> None:
    """Raise ConfigurationError when the migrations of handlers' own tables are behind."""
    folders, url = scripts_of(kernel.settings.handlers_migrations), url_of(kernel.settings)
    if not folders:
        return
    from kernel.db.schema.handlers import standing

    late = [found.told for one in folders if (found := standing(url, one)).is_behind]
    if late:
        raise ConfigurationError("; ".join(late))


def check_tables(kernel: Kernel) -> None:
    """Raise ConfigurationError when a table that handlers write to is not as they say."""
    if not kernel.handlers.metadata:
        return
    with kernel.read() as connection:
        found = list(flaws(connection, kernel.handlers.metadata, Base.metadata.tables.values()))
    if found:
        raise ConfigurationError(
            "\n".join(["the handlers' tables are not there as they need them", *found])
        )


def open_brokers(settings: Settings) -> list[str]:
    """Return a warning for each setting that leads to a server without a password.

    Any user of the host reads the results of a day there, and can empty it. RabbitMQ takes such
    a URL for its user guest, whose password everyone knows.
    """
    found = []
    for name in ("broker_url", "result_backend"):
        urls = getattr(settings, name).get_secret_value()
        known = _passwords(urls) if urls else ()
        if GUEST in known or not all(known):
            lacks = "has no password" if not all(known) else f"has the password {GUEST}"
            found.append(
                f"{PREFIX}{name.upper()} {lacks}: anyone who reaches the server reads what "
                "is in it, and can empty it; set a user and a password, as deploy/redis.conf does"
            )
    return found


def _passwords(urls: str) -> list[str | None]:
    if is_redis(urls):
        return [url.password for url in redis_urls(urls)]
    return [unquote(urlsplit(url).password or "") for url in urls.split(";")]


def needs_of(kernel: Kernel) -> Needs:
    """Return what is asked of the database: tables are the kernel's, and those handlers name."""
    settings, own = kernel.settings, Base.metadata.tables
    named = [one for each in kernel.handlers.metadata for one in each.tables.values()]
    processes = 8 * settings.api_processes + 3 * settings.worker_processes
    return Needs(
        tables={(table.schema, table.name) for table in (*own.values(), *named)},
        # Not that of the built-in handlers, which may not be used.
        own={
            name: next(iter(table.columns)).name
            for name, table in own.items()
            if name.startswith("kernel_")
        },
        added_to={one.name for one in ADDED_TO},
        order_bytes=ESCAPED * settings.max_body_bytes,
        batch_bytes=ESCAPED * settings.max_batch_bytes,
        connections=processes + 3,
    )


def check_broker(settings: Settings, queue: str | None = None) -> list[str]:
    """Refuse a broker URL where something else answers; warn when nothing does.

    Of the server of results all is only warned about.
    ``queue``: whether its user may use it, too. Raises ConfigurationError, which names the mend.
    """
    return [*ask(settings, queue), *ask_results(settings)]
