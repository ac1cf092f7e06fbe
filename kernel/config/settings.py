"""One frozen, typed object with every setting.

Values come from the environment (``KERNEL_*``), else from ``kernel.toml`` (or the file that
``KERNEL_CONFIG`` names), else from the defaults below. For an unknown name the process refuses to
start and suggests the nearest known one: a typo in production should cost a second, not a night.
"""

import difflib
import importlib.util
import ipaddress
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, FilePath, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from kernel.errors import ConfigurationError

PREFIX = "KERNEL_"
CONFIG_FILE = "KERNEL_CONFIG"
# KERNEL_* variables that are no settings: the path of the TOML file, and one of the test suite.
FOREIGN = {CONFIG_FILE, "KERNEL_REQUIRE_SERVICES"}
# Seconds, from five to a day: together more than the weekend that a receiver may be down.
SCHEDULE = (5.0, 60.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 50400.0, 72000.0, 86400.0)


# What an error message shows instead of a setting's regular expression.
FORMS = {
    "bind": "HOST:PORT, such as 127.0.0.1:8000",
    "handlers": "module:attribute",
    "public_url": "https://HOST, such as https://kernel.example.net",
}


def _split(value: Any) -> Any:
    """Split a list that the environment writes as ``a, b``; TOML has lists of its own."""
    if isinstance(value, str):
        return [part for part in re.split(r"[\s,]+", value) if part]
    return value


def _networks(values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        ipaddress.ip_network(value)
    return values


# The messages below never quote a URL, nor an error that might: a URL can hold a password.
def _database(value: SecretStr) -> SecretStr:
    try:
        url = make_url(value.get_secret_value())
    except (ArgumentError, ValueError):
        raise ValueError(NOT_A_URL) from None
    if url.drivername not in DATABASES:
        raise ValueError(
            f"{url.drivername}:// is not supported; write sqlite:///path/to/file or "
            "mysql+pymysql://user:password@host/name (for MariaDB and MySQL)"
        )
    if not url.database or url.database == ":memory:":
        raise ValueError("name a database: one in memory is not shared between processes")
    return value


def _brokers(value: SecretStr) -> SecretStr:
    for url in value.get_secret_value().split(";"):
        _check_server(url, (*REDIS, *RABBITMQ))
    return value


def _results(value: SecretStr) -> SecretStr:
    if value.get_secret_value():
        _check_server(value.get_secret_value(), REDIS)
    return value


def _check_server(url: str, schemes: tuple[str, ...]) -> None:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - reading it checks it
    except ValueError:
        raise ValueError(NOT_A_URL) from None
    if parts.scheme not in schemes:
        raise ValueError(f"{parts.scheme}:// is not supported; use {', '.join(schemes)}")
    if parts.scheme in REDIS and not re.fullmatch(r"/?|/[0-9]{1,5}", parts.path, re.ASCII):
        raise ValueError("what follows the last / must be the number of a Redis database")


def _port(value: str) -> str:
    if int(value.rpartition(":")[2]) > 65535:
        raise ValueError("a port is at most 65535")
    return value


DATABASES = ("sqlite", "sqlite+pysqlite", "mysql+pymysql", "mariadb+pymysql")
REDIS = ("redis", "rediss")
RABBITMQ = ("amqp", "amqps")
NOT_A_URL = "this is not a URL; special characters in a password are written as %40, %3A, %2F, ..."

Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Networks = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split), AfterValidator(_networks)]
# MariaDB accepts at most a year for its own timeouts; a century keeps dates within their range.
Seconds = Annotated[float, Field(gt=0, le=31_536_000, allow_inf_nan=False)]
Days = Annotated[float, Field(gt=0, le=36_500, allow_inf_nan=False)]
DatabaseUrl = Annotated[SecretStr, AfterValidator(_database)]
BrokerUrl = Annotated[SecretStr, AfterValidator(_brokers)]
ResultUrl = Annotated[SecretStr, AfterValidator(_results)]
# Requests per key; empty is off.
RateLimit = Annotated[str, Field(pattern=r"^([1-9][0-9]{0,8}/(second|minute|hour|day))?$")]
# No user, query or fragment: kernel appends paths to it.
PublicUrl = Annotated[
    str, Field(pattern=r"^(https?://[^\s/?#@\\]+(/[^\s?#\\]*)?)?$", max_length=500)
]
Address = Annotated[
    str, Field(pattern=r"^(\[[0-9a-fA-F:]+\]|[^:/\s]+):\d{1,5}$"), AfterValidator(_port)
]


class Settings(BaseSettings):
    """Every setting, validated. Build it with `load`; see docs/configuration.md."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", hide_input_in_errors=True
    )

    database_url: DatabaseUrl = SecretStr("sqlite:///var/kernel.db")
    broker_url: BrokerUrl = SecretStr("redis://127.0.0.1:6379/1")
    result_backend: ResultUrl = SecretStr("redis://127.0.0.1:6379/2")
    result_expires_seconds: int = Field(86_400, gt=0)
    handlers: str = Field("kernel.builtin:handlers", pattern=r"^[\w.]+:\w+$")
    language: Literal["en", "zh"] = "en"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    otel: Literal["off", "on"] = "off"

    bind: Address = "127.0.0.1:8000"
    public_url: PublicUrl = ""
    auth: Literal["required", "off"] = "required"
    dashboard: Literal["on", "read-only", "off"] = "on"
    # MariaDB takes statements of 16 MiB by default, and escaping can make an order four times as
    # long.
    max_body_bytes: int = Field(1_048_576, ge=1024, le=4_194_304)
    api_processes: int = Field(2, ge=1, le=256)
    rate_limit: RateLimit = ""
    max_pending: int = Field(10_000, ge=0, le=10_000_000)

    worker_processes: int = Field(2, ge=1, le=256)
    worker_nice: int = Field(5, ge=0, le=19)
    lease_seconds: Seconds = 30.0
    sweep_seconds: Seconds = 5.0
    time_limit_seconds: Seconds = 3600.0
    shutdown_grace_seconds: float = Field(20.0, ge=0, le=86_400)
    retention_days: Days = 30.0

    callback_allow_nets: Networks = ()
    callback_allow_hosts: Words = ()
    callback_ca_file: FilePath | None = None
    callback_timeout: Seconds = 15.0
    callback_schedule: Annotated[tuple[Seconds, ...], NoDecode, BeforeValidator(_split)] = SCHEDULE
    callback_client_errors: int = Field(3, ge=1)
    callback_give_up_days: Days = 4.0
    callback_threads: int = Field(128, ge=1, le=1000)
    dispatcher_threads: int = Field(200, ge=1, le=2000)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read arguments, then the environment, then the TOML file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, _config_file())


def load(**overrides: Any) -> Settings:
    """Read the settings; ``overrides`` (by field name) win over environment and file.

    Raises ConfigurationError, which names each wrong setting and the reason, and for an unknown
    setting the nearest known name.
    """
    _refuse_unknown(os.environ)
    try:
        return _coherent(Settings(**overrides))
    except ValidationError as error:
        raise ConfigurationError("\n".join(_explain(error))) from None
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{_config_file()} cannot be read: {error}") from None


def _config_file() -> Path:
    """Return the TOML file to read. Raises ConfigurationError when a named one is missing."""
    named = os.environ.get(CONFIG_FILE)
    if named is not None and not Path(named).is_file():
        raise ConfigurationError(f"{CONFIG_FILE}={named}: there is no such file")
    return Path("kernel.toml" if named is None else named)


def _coherent(settings: Settings) -> Settings:
    """Return ``settings``. Raises ConfigurationError for a combination that cannot work or would
    lose data later.
    """
    if settings.retention_days <= settings.callback_give_up_days:
        raise ConfigurationError(
            f"KERNEL_RETENTION_DAYS ({settings.retention_days:g}) must be longer than "
            f"KERNEL_CALLBACK_GIVE_UP_DAYS ({settings.callback_give_up_days:g}): "
            "an order is kept until its callback is over"
        )
    if settings.otel == "on" and importlib.util.find_spec("opentelemetry.sdk") is None:
        raise ConfigurationError("KERNEL_OTEL=on needs kernel-workorders[otel]: install it")
    if settings.auth == "off" and not _is_loopback(settings.bind.rpartition(":")[0]):
        raise ConfigurationError(
            f"KERNEL_AUTH=off is for loopback addresses only, and KERNEL_BIND is {settings.bind}: "
            "bind to 127.0.0.1, or make a key with `kernel callers add`"
        )
    return settings


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _refuse_unknown(environ: Mapping[str, str]) -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in known | FOREIGN:
            raise ConfigurationError(f"unknown setting {name}{_nearest(name, known)}")


def _explain(error: ValidationError) -> Iterable[str]:
    known = list(Settings.model_fields)
    for problem in error.errors():
        name = str(problem["loc"][0]) if problem["loc"] else "?"
        if problem["type"] == "extra_forbidden":
            yield f"unknown setting {name}{_nearest(name, known)}"
        elif problem["type"] == "string_pattern_mismatch" and name in FORMS:
            yield f"{PREFIX}{name.upper()}: write it as {FORMS[name]}"
        else:
            yield f"{PREFIX}{name.upper()}: {problem['msg'].removeprefix('Value error, ')}"


def _nearest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else "; see docs/configuration.md"
