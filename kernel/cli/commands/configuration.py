"""`kernel config`: show the settings, and check that they work."""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import click
from pydantic import SecretStr
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from kernel.cli.terminal.output import as_json, cell, print_json
from kernel.config.settings import Settings, load
from kernel.db.errors import driver_error
from kernel.errors import ConfigurationError, KernelError
from kernel.handlers import Handlers, load_handlers
from kernel.runtime import startup
from kernel.runtime.kernel import Kernel
from kernel.worker.broker import make_celery

Check = tuple[str, bool, str]


@click.group()
def config() -> None:
    """Settings: KERNEL_* and kernel.toml."""


@config.command()
@as_json
def show(machine: bool) -> None:
    """Show every setting; passwords are hidden."""
    settings = load()
    shown = {name: visible(getattr(settings, name)) for name in Settings.model_fields}
    if machine:
        print_json(shown)
        return
    width = max(map(len, shown))
    for name, value in shown.items():
        source = "" if name in settings.model_fields_set else click.style("  (default)", dim=True)
        click.echo(f"{click.style(name.ljust(width), bold=True)}  {cell(value)}{source}")


def visible(value: Any) -> Any:
    """Return a setting's value without its secrets, fit for any screen."""
    if not isinstance(value, SecretStr):
        return value
    try:
        url = make_url(value.get_secret_value())
    except ArgumentError:
        return str(value)
    if ";" in value.get_secret_value():  # several servers' URLs, which make_url cannot split
        return f"{url.drivername}://***"
    options = "?***" if url.query else ""  # an option may hold a password
    return url.set(query={}).render_as_string(hide_password=True) + options


@config.command()
@as_json
def check(machine: bool) -> None:
    """Check settings, handlers, database and broker; exit code 1 if one does not work."""
    done = list(_checks())
    if machine:
        print_json([{"check": name, "ok": ok, "detail": detail} for name, ok, detail in done])
    else:
        for name, ok, detail in done:
            mark = click.style("ok  ", fg="green") if ok else click.style("FAIL", fg="red")
            click.echo(f"{mark}  {name:<8}  {cell('; '.join(detail.splitlines()))}")
    if not all(ok for _, ok, _ in done):
        click.get_current_context().exit(1)


def _checks() -> Iterator[Check]:
    try:
        settings = load()
    except ConfigurationError as error:
        yield "settings", False, error.message
        return
    yield "settings", True, f"{len(settings.model_fields_set)} set, the others have defaults"
    for name, one in (("handlers", _handlers), ("database", _database), ("broker", _broker)):
        yield _outcome(name, one, settings)


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
    return f"{settings.handlers}: {', '.join(load_handlers(settings.handlers)) or 'none'}"


def _database(settings: Settings) -> str:
    with closing(Kernel(settings, _registry(settings))) as kernel:
        warnings = startup.check_database(kernel)
    return "; ".join([f"{visible(settings.database_url)} answers and is migrated", *warnings])


def _registry(settings: Settings) -> Handlers:
    """Return the handlers, whose tables the check looks at; none if their import fails."""
    try:
        return load_handlers(settings.handlers)
    except Exception:  # noqa: BLE001 - the check of the handlers reports it
        return Handlers()


def _broker(settings: Settings) -> str:
    startup.check_broker(settings)
    shown = visible(settings.broker_url)
    celery = make_celery(Kernel(settings, Handlers()), publishing=True)
    try:
        with celery.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, timeout=2)
    except Exception as error:  # noqa: BLE001 - each broker's client has errors of its own
        raise ConfigurationError(
            f"{shown} does not answer ({error}): start it, or set KERNEL_BROKER_URL"
        ) from None
    return f"{shown} answers"
