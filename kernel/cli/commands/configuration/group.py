"""`kernel config`: show the settings, and check that they work."""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import click
from pydantic import BaseModel, SecretStr
from pydantic_core import to_jsonable_python
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from kernel.callers.key_terms import warnings as key_warnings
from kernel.callers.people.oidc import SignInRefused
from kernel.cli.terminal.output import as_json, cell, print_json
from kernel.config.settings import Settings, load
from kernel.db.errors import driver_error
from kernel.errors import ConfigurationError, KernelError
from kernel.handlers import Handlers, load_handlers
from kernel.handlers.registering.settings import load_own
from kernel.runtime import startup
from kernel.runtime.installation import Name
from kernel.runtime.kernel import Kernel
from kernel.runtime.oidc_provider import OidcProvider
from kernel.runtime.rotation import check_secrets
from kernel.worker.broker import make_celery

Check = tuple[str, bool, str]
# The secrets of which a part may be shown: where they lead. Another setting may hold a URL that is
# secret from its first letter on, as a chat's webhook is.
URLS = frozenset({"database_url", "broker_url", "result_backend", "callback_proxy"})
# Of these; what else has :// in it is no URL that kernel can read.
SCHEMES = {
    *("sqlite", "mysql", "mariadb", "postgresql", "redis", "rediss", "amqp", "amqps"),
    *("sentinel", "sentinels"),
    *("http", "https"),
}
# Here a user without a password is common; elsewhere it may be one.
DATABASE = ("sqlite", "mysql", "mariadb", "postgresql")


@click.group()
def config() -> None:
    """Settings: KERNEL_* and kernel.toml."""


@config.command()
@as_json
def show(machine: bool) -> None:
    """Show every setting; passwords are hidden."""
    settings = load()
    shown = {name: _shown(name, getattr(settings, name)) for name in Settings.model_fields}
    given = set(settings.model_fields_set)
    for prefix, one in _own_settings(settings):
        fields = type(one).model_fields
        shown |= {f"{prefix}.{name}": to_jsonable_python(getattr(one, name)) for name in fields}
        given |= {f"{prefix}.{name}" for name in one.model_fields_set}
    if machine:
        print_json(shown)
        return
    width = max(map(len, shown))
    for name, value in shown.items():
        source = "" if name in given else click.style("  (default)", dim=True)
        click.echo(f"{click.style(name.ljust(width), bold=True)}  {cell(value)}{source}")


def _own_settings(settings: Settings) -> list[tuple[str, BaseModel]]:
    """Return the settings of handlers; none if they cannot be had, which is said on stderr."""
    try:
        parts = load_handlers(settings.handlers).parts
        own = load_own(one.declared for one in parts)
    except Exception as error:  # noqa: BLE001 - a handlers' module can raise anything on import
        click.echo(f"the settings of handlers are not shown: {error}", err=True)
        return []
    return [(f"handlers.{name}", one) for name, one in own.items()]


def _shown(name: str, value: Any) -> Any:
    """Return a setting's value without its secrets, fit for any screen."""
    if not isinstance(value, SecretStr):
        return value
    return visible(value) if name in URLS else str(value)


def visible(value: SecretStr) -> str:
    """Return the URL of one of the settings in `URLS` without its secrets."""
    try:
        url = make_url(value.get_secret_value())
    except ArgumentError:
        return str(value)
    if url.drivername.partition("+")[0] not in SCHEMES:
        return str(value)
    if ";" in value.get_secret_value():  # several servers' URLs, which make_url cannot split
        return f"{url.drivername}://***"
    options = "?***" if url.query else ""  # an option may hold a password
    # A user without a password may be a password that lacks its colon.
    if url.username and url.password is None and not url.drivername.startswith(DATABASE):
        url = url.set(username="", password="***")  # noqa: S106 - as one is hidden
    return url.set(query={}).render_as_string(hide_password=True) + options


@config.command()
@as_json
def check(machine: bool) -> None:
    """Check settings, handlers, database, broker, callbacks; exit code 1 if one does not work."""
    done = list(_checks())
    if machine:
        print_json([{"check": name, "ok": ok, "detail": detail} for name, ok, detail in done])
    else:
        for name, ok, detail in done:
            mark = click.style("ok  ", fg="green") if ok else click.style("FAIL", fg="red")
            click.echo(f"{mark}  {name:<9}  {cell('; '.join(detail.splitlines()))}")
    if not all(ok for _, ok, _ in done):
        click.get_current_context().exit(1)


def _checks() -> Iterator[Check]:
    try:
        settings = load()
    except ConfigurationError as error:
        yield "settings", False, error.message
        return
    counted = f"{len(settings.model_fields_set)} set, the others have defaults"
    yield "settings", True, "; ".join([counted, *startup.check_hosts(settings)])
    for name, one in (
        ("handlers", _handlers),
        ("database", _database),
        ("broker", _broker),
        ("callbacks", _callbacks),
        ("keys", _keys),
    ):
        found = _outcome(name, one, settings)
        yield found
        if name == "database" and found[1]:
            yield _outcome("secrets", _secrets, settings)
    if settings.oidc_issuer:
        yield _outcome("sign-in", _sign_in, settings)


def _outcome(name: str, one: Callable[[Settings], str], settings: Settings) -> Check:
    try:
        return name, True, one(settings)
    except KernelError as error:
        return name, False, error.message
    except SQLAlchemyError as error:
        return name, False, str(driver_error(error))
    except Exception as error:  # noqa: BLE001 - a handlers' module can raise anything on import
        return name, False, f"{type(error).__name__}: {error}"


def _handlers(settings: Settings) -> str:
    handlers = load_handlers(settings.handlers)
    with closing(Kernel(settings, handlers)) as kernel:
        startup.check_handlers(kernel)
        settings_of = [f"settings of {name}" for name in kernel.own_settings]
    named = f"{settings.handlers}: {', '.join(handlers) or 'none'}"
    return "; ".join([named, *settings_of, *startup.missing_programs(handlers)])


def _database(settings: Settings) -> str:
    with closing(Kernel(settings, _registry(settings))) as kernel:
        warnings = startup.check_database(kernel)
        if _queue(kernel) is not None:  # what a worker makes is compared with nothing before
            startup.check_host(kernel)
    return "; ".join([f"{visible(settings.database_url)} answers and is migrated", *warnings])


def _secrets(settings: Settings) -> str:
    with closing(Kernel(settings, Handlers())) as kernel:
        warnings = check_secrets(kernel)
        keys = ", ".join(kernel.keyring.ids)
    return "; ".join(warnings) or f"sealed with the key {keys}"


def _keys(settings: Settings) -> str:
    """Warn about keys without an end, and about keys whose end is near."""
    with closing(Kernel(settings, Handlers())) as kernel:
        try:
            kernel.check_schema()
            with kernel.read() as connection:
                found = key_warnings(connection, kernel.clock.now())
        except KernelError:
            return "not looked at: see database"
    return "; ".join(f"warning: {one}" for one in found) or "each has an end, and none is near"


def _callbacks(settings: Settings) -> str:
    with closing(Kernel(settings, Handlers())) as kernel:
        startup.check_callbacks(kernel)
    return "addresses, schedule and authorities can be read"


def _sign_in(settings: Settings) -> str:
    with closing(Kernel(settings, Handlers())) as kernel:
        try:
            OidcProvider(kernel).metadata()
        except SignInRefused as refused:
            raise ConfigurationError(f"{settings.oidc_issuer}: {refused}") from None
    return f"{settings.oidc_issuer} answers and names its addresses"


def _registry(settings: Settings) -> Handlers:
    """Return the handlers, whose tables the check looks at; none if their import fails."""
    try:
        return load_handlers(settings.handlers)
    except Exception:  # noqa: BLE001 - the check of the handlers reports it
        return Handlers()


def _broker(settings: Settings) -> str:
    with closing(Kernel(settings, Handlers())) as kernel:
        warnings = startup.check_broker(settings, _queue(kernel))
        shown = visible(settings.broker_url)
        celery = make_celery(kernel, publishing=True)
        try:
            with celery.connection_for_write() as connection:
                connection.ensure_connection(max_retries=1, timeout=2)
        except Exception as error:  # noqa: BLE001 - each broker's client has errors of its own
            raise ConfigurationError(
                f"{shown} does not answer ({error}): start it, or set KERNEL_BROKER_URL"
            ) from None
    return "; ".join([f"{shown} answers", *warnings, *startup.open_brokers(settings)])


def _queue(kernel: Kernel) -> str | None:
    """Return the queue's name; None where no process has made it, or it cannot be read."""
    try:
        return kernel.one(Name).made_queue()
    except Exception:  # noqa: BLE001 - the check of the database tells of it
        return None
