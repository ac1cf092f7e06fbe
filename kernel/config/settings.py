"""One frozen, typed object with every setting.

Values come from the environment (``KERNEL_*``), else from ``kernel.toml`` (or the file that
``KERNEL_CONFIG`` names), else from the defaults below. A secret may stand in a file
(`kernel.config.secret_files`). For an unknown name the process refuses to start and suggests the
nearest known one: a typo in production should cost a second, not a night.
"""

import importlib.util
import ipaddress
import os
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import Field, FilePath, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from kernel.config.brokers.urls import redis_urls
from kernel.config.checks import (
    Address,
    BrokerUrl,
    DatabaseUrl,
    Days,
    HostNames,
    Networks,
    Pauses,
    ProxyUrl,
    PublicUrl,
    RateLimit,
    ResultUrl,
    Seconds,
    SecretKeys,
    Words,
    is_redis,
)
from kernel.config.near import did_you_mean, number_meant, wrapped
from kernel.config.oidc import GroupRoles, Issuer, refuse_incomplete
from kernel.config.secret_files import SUFFIX, EnvironmentFiles, secret_names
from kernel.config.toml_file import CONFIG_FILE, KernelToml, config_file, on_handlers
from kernel.errors import ConfigurationError

PREFIX = "KERNEL_"
# Below it stand settings that handlers have themselves: `kernel.handlers.registering.settings`.
OF_HANDLERS = f"{PREFIX}HANDLERS_"
# What the program of a command is told of its order, of which kernel itself makes nothing.
OF_ORDERS = {f"KERNEL_ORDER_{name}" for name in ("ID", "RUN", "TAG", "REFERENCE", "PROGRESS")}
# KERNEL_* variables that are no settings: the path of the TOML file, and one of the test suite.
FOREIGN = {CONFIG_FILE, "KERNEL_REQUIRE_SERVICES", *OF_ORDERS}
# Seconds, from five to a day: together more than the weekend that a receiver may be down.
SCHEDULE = (5.0, 60.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 50400.0, 72000.0, 86400.0)

# Registries with commas between: module:attribute, an entry point's name, * for all of these, or
# the path of a file of commands.
_REGISTRY = r"\s*(?:\*|[\w.-]+(?::[\w.]+)?|[^,]+\.toml)\s*"
HANDLERS = f"^{_REGISTRY}(?:,{_REGISTRY})*$"

# What an error message shows instead of a setting's regular expression.
# What pydantic calls a text that should be a number. No secret is one.
NO_NUMBER = frozenset({"float_parsing", "int_parsing", "float_type", "int_type"})
FORMS = {
    "bind": "HOST:PORT, such as 127.0.0.1:8000",
    "handlers": "module:attribute, a .toml file, an entry point's name or *; several with commas",
    "hosts": "names or addresses without a port, such as kernel.example.net",
    "public_url": "https://HOST, such as https://kernel.example.net",
}


class Settings(BaseSettings):
    """Every setting, validated. Build it with `load`; see docs/configuration.md."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", hide_input_in_errors=True
    )

    database_url: DatabaseUrl = SecretStr("sqlite:///var/kernel.db")
    database_ca_file: FilePath | None = None
    broker_url: BrokerUrl = SecretStr("redis://127.0.0.1:6379/1")
    result_backend: ResultUrl = SecretStr("redis://127.0.0.1:6379/2")
    # Of the broker, the results and their Sentinels; read by `kernel.config.brokers.clients`.
    broker_ca_file: FilePath | None = None
    broker_cert_file: FilePath | None = None
    broker_key_file: FilePath | None = None
    sentinel_master: str = Field("mymaster", min_length=1, max_length=255)
    sentinel_user: str = Field("", max_length=255)
    sentinel_password: SecretStr = SecretStr("")
    result_expires_seconds: int = Field(86_400, gt=0, le=31_536_000)
    handlers: str = Field("kernel.builtin:handlers", pattern=HANDLERS)
    # Read by `kernel.db.schema.scripts`.
    handlers_migrations: Words = ()
    language: Literal["en", "zh"] = "en"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    otel: Literal["off", "on"] = "off"
    # Set by `kernel up --reload`.
    reload: Literal["off", "on"] = "off"
    # Read by `kernel.config.keyring`; empty for none.
    secrets_key: SecretKeys = SecretStr("")
    secrets_key_command: str = ""

    bind: Address = "127.0.0.1:8000"
    public_url: PublicUrl = ""
    hosts: HostNames = ()
    order_pages: Literal["on", "off"] = "on"
    auth: Literal["required", "off"] = "required"
    dashboard: Literal["on", "read-only", "off"] = "on"
    session_hours: float = Field(12.0, gt=0, le=8760)
    session_idle_minutes: float = Field(60.0, gt=0, le=525_600)
    # MariaDB takes statements of 16 MiB by default, and escaping can make an order four times as
    # long.
    max_body_bytes: int = Field(1_048_576, ge=1024, le=4_194_304)
    max_batch_bytes: int = Field(4_194_304, ge=1024, le=67_108_864)
    api_processes: int = Field(2, ge=1, le=256)
    rate_limit: RateLimit = ""
    trusted_proxies: Networks = ()
    key_days: Days = 365.0
    max_pending: int = Field(10_000, ge=0, le=10_000_000)
    max_replay: int = Field(1000, ge=1, le=1_000_000)
    max_waiting: int = Field(100_000, ge=0, le=10_000_000)
    longest_wait_days: Days = 30.0

    oidc_issuer: Issuer = ""
    oidc_client_id: str = Field("", max_length=255)
    oidc_client_secret: SecretStr = SecretStr("")
    oidc_scopes: Words = ("openid", "profile", "email")
    oidc_groups_claim: str = Field("groups", min_length=1, max_length=255)
    oidc_roles: GroupRoles = ()

    worker_processes: int = Field(2, ge=1, le=256)
    worker_nice: int = Field(5, ge=0, le=19)
    lease_seconds: Seconds = 30.0
    sweep_seconds: Seconds = 5.0
    time_limit_seconds: Seconds = 3600.0
    shutdown_grace_seconds: float = Field(20.0, ge=0, le=86_400)
    retention_days: Days = 30.0
    secret_days: Days = 7.0

    callback_allow_nets: Networks = ()
    callback_allow_hosts: Words = ()
    callback_ca_file: FilePath | None = None
    # Read by `Kernel.callback_proxy`; empty for none.
    callback_proxy: ProxyUrl = SecretStr("")
    callback_timeout: Seconds = 15.0
    callback_schedule: Pauses = SCHEDULE
    callback_client_errors: int = Field(3, ge=1)
    callback_give_up_days: Days = 4.0
    callback_threads: int = Field(256, ge=1, le=1000)
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
        """Read arguments, then the environment, then the TOML file; each may name files."""
        toml = KernelToml(settings_cls, config_file())
        return init_settings, env_settings, EnvironmentFiles(settings_cls), toml


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
        raise ConfigurationError(
            f"{config_file()} cannot be read: {error}{on_handlers(error)}"
        ) from None


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
    if settings.auth == "off" and not is_loopback(settings.bind.rpartition(":")[0]):
        raise ConfigurationError(
            f"KERNEL_AUTH=off is for loopback addresses only, and KERNEL_BIND is {settings.bind}: "
            "bind to 127.0.0.1, or make a key with `kernel callers add`"
        )
    if settings.secrets_key.get_secret_value() and settings.secrets_key_command:
        raise ConfigurationError(
            "KERNEL_SECRETS_KEY and KERNEL_SECRETS_KEY_COMMAND are both set: remove one of them"
        )
    _refuse_unused_files(settings)
    refuse_incomplete(settings)
    return settings


def _refuse_unused_files(settings: Settings) -> None:
    """Refuse files of TLS where no URL speaks it: who names them believes to be protected."""
    given = {
        f"{PREFIX}{name.upper()}"
        for name in ("broker_ca_file", "broker_cert_file", "broker_key_file")
        if getattr(settings, name) is not None
    }
    urls = (settings.broker_url.get_secret_value(), settings.result_backend.get_secret_value())
    if given and not any(is_redis(one) and any(u.is_tls for u in redis_urls(one)) for one in urls):
        raise ConfigurationError(
            f"{', '.join(sorted(given))}: neither KERNEL_BROKER_URL nor KERNEL_RESULT_BACKEND is a "
            "rediss:// or sentinels:// URL, so nothing is encrypted by it: write rediss:// there. "
            "(For amqps:// the authority is one of the system's, or of the file in SSL_CERT_FILE)"
        )
    if settings.broker_key_file is not None and settings.broker_cert_file is None:
        raise ConfigurationError(
            "KERNEL_BROKER_KEY_FILE is set, and KERNEL_BROKER_CERT_FILE is not: name the "
            "certificate that the key belongs to"
        )


def is_loopback(host: str) -> bool:
    """Tell whether a host, as KERNEL_BIND has it, is this machine alone."""
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _refuse_unknown(environ: Mapping[str, str]) -> None:
    files = {name + SUFFIX for name in secret_names(Settings)}
    known = {PREFIX + name.upper() for name in {*Settings.model_fields, *files}}
    for name in sorted(environ):
        if name.startswith(OF_HANDLERS):  # of theirs, perhaps
            continue
        if name.startswith(PREFIX) and name not in known | FOREIGN:
            raise ConfigurationError(f"unknown setting {name}{_nearest(name, known)}")


def _explain(error: ValidationError) -> Iterable[str]:
    known = list(Settings.model_fields)
    for problem in error.errors():
        name = str(problem["loc"][0]) if problem["loc"] else "?"
        variable = f"{PREFIX}{name.upper()}"
        if problem["type"] == "extra_forbidden":
            yield f"unknown setting {name}{_nearest(name, known)}"
            continue
        if problem["type"] in ("string_pattern_mismatch", "string_type") and name in FORMS:
            said = f"write it as {FORMS[name]}"
        elif problem["type"] in NO_NUMBER:
            said = number_meant(name, problem["input"])
        else:
            said = problem["msg"].removeprefix("Value error, ")
        yield f"{variable}: {said}{wrapped(os.environ.get(variable, ''))}"


def _nearest(name: str, known: Iterable[str]) -> str:
    return did_you_mean(name, known) or "; see docs/configuration.md"
