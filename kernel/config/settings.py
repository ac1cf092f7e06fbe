"""One frozen, typed object with every setting.

Values come from the environment (``KERNEL_*``), else from ``kernel.toml`` (or the file that
``KERNEL_CONFIG`` names), else from the defaults below. An unknown name is an error that
suggests the nearest known one: a typo in production should cost a second, not a night.
"""

import difflib
import ipaddress
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from kernel.errors import ConfigurationError

PREFIX = "KERNEL_"
CONFIG_FILE = "KERNEL_CONFIG"
# Read by the test suite, the run script and gunicorn's own file; no setting of the service.
FOREIGN = {CONFIG_FILE, "KERNEL_REQUIRE_SERVICES"}
# Five seconds, a minute, ... a day: patient enough for a receiver that is down for a weekend.
SCHEDULE = (5.0, 60.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 50400.0, 72000.0, 86400.0)


def _split(value: Any) -> Any:
    """Let the environment write a list as ``a, b``; TOML has lists of its own."""
    if isinstance(value, str):
        return [part for part in re.split(r"[\s,]+", value) if part]
    return value


def _networks(values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        ipaddress.ip_network(value)
    return values


Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Networks = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split), AfterValidator(_networks)]
Seconds = Annotated[float, Field(gt=0)]


class Settings(BaseSettings):
    """Every setting, validated. Build it with `load`; see docs/configuration.md."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", hide_input_in_errors=True
    )

    database_url: SecretStr = SecretStr("sqlite:///var/kernel.db")
    broker_url: SecretStr = SecretStr("redis://127.0.0.1:6379/1")
    result_backend: SecretStr = SecretStr("redis://127.0.0.1:6379/2")
    result_expires_seconds: int = Field(86_400, gt=0)
    handlers: str = Field("kernel.builtin:handlers", pattern=r"^[\w.]+:\w+$")
    language: Literal["en", "zh"] = "en"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    bind: str = Field("127.0.0.1:8000", pattern=r"^(\[[0-9a-fA-F:]+\]|[^:/\s]+):\d{1,5}$")
    auth: Literal["required", "off"] = "required"
    max_body_bytes: int = Field(1_048_576, ge=1024, le=16_777_216)
    api_processes: int = Field(2, ge=1, le=256)

    worker_processes: int = Field(2, ge=1, le=256)
    lease_seconds: Seconds = 30.0
    sweep_seconds: Seconds = 5.0
    time_limit_seconds: Seconds = 3600.0
    shutdown_grace_seconds: float = Field(20.0, ge=0)
    retention_days: float = Field(30.0, gt=0)

    callback_allow_nets: Networks = ()
    callback_allow_hosts: Words = ()
    callback_ca_file: Path | None = None
    callback_timeout: Seconds = 15.0
    callback_schedule: Annotated[tuple[Seconds, ...], NoDecode, BeforeValidator(_split)] = SCHEDULE
    callback_client_errors: int = Field(3, ge=1)
    callback_give_up_days: float = Field(4.0, gt=0)
    callback_threads: int = Field(32, ge=1, le=1000)
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
        toml = Path(os.environ.get(CONFIG_FILE, "kernel.toml"))
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml)


def load(**overrides: Any) -> Settings:
    """Read the settings; ``overrides`` (by field name) win over file and environment.

    Raises ConfigurationError that names the setting, what is wrong, and the nearest known name
    for one that does not exist.
    """
    _refuse_unknown(os.environ)
    try:
        return _coherent(Settings(**overrides))
    except ValidationError as error:
        raise ConfigurationError("\n".join(_explain(error))) from None


def _coherent(settings: Settings) -> Settings:
    """Refuse combinations that would lose data later."""
    if settings.retention_days <= settings.callback_give_up_days:
        raise ConfigurationError(
            f"KERNEL_RETENTION_DAYS ({settings.retention_days:g}) must be longer than "
            f"KERNEL_CALLBACK_GIVE_UP_DAYS ({settings.callback_give_up_days:g}): "
            "an order is kept until its callback is over"
        )
    return settings


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
        else:
            yield f"{PREFIX}{name.upper()}: {problem['msg']}"


def _nearest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else "; see docs/configuration.md"
