"""Reads the settings of handlers' own, and says what is wrong with them.

``[handlers.gitlab]`` in kernel.toml and ``KERNEL_HANDLERS_GITLAB_TOKEN`` in the environment, which
goes first, hold those of the name ``gitlab``; a secret may stand in a file, as kernel's own may.
"""

import os
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from kernel.config.near import did_you_mean
from kernel.config.secret_files import SUFFIX, EnvironmentFiles, secret_names, with_files
from kernel.config.settings import OF_HANDLERS, PREFIX, Settings
from kernel.config.toml_file import handlers_table
from kernel.errors import ConfigurationError
from kernel.handlers.registering.declared import Declared
from kernel.handlers.registering.models import what_is_missing
from kernel.handlers.registering.refusals import members_of


def load_own(declared: Iterable[Declared]) -> dict[str, BaseModel]:
    """Return the settings of handlers by their names.

    Raises ConfigurationError, with a line for each setting that is unknown, missing or wrong.
    """
    models = _by_name(declared)
    tables = handlers_table()
    wrong = [*_unknown_variables(models), *_unknown_tables(models, tables)]
    found: dict[str, BaseModel] = {}
    for name, model in models.items():
        if said := what_is_missing(model):
            wrong.append(f"[handlers.{name}]: {said}")
            continue
        try:
            found[name] = _read(name, model, tables.get(name, {}))
        except ValidationError as error:
            wrong += [_explain(name, model, one) for one in error.errors()]
        except SettingsError as error:
            wrong.append(
                f"{OF_HANDLERS}{name.upper()}_...: {error}; write lists and objects as JSON"
            )
    if wrong:
        raise ConfigurationError("\n".join(wrong))
    return found


def variable(name: str, field: str) -> str:
    """Return what the environment calls a setting."""
    return f"{OF_HANDLERS}{name}_{field}".upper()


def _by_name(declared: Iterable[Declared]) -> dict[str, type[BaseModel]]:
    models: dict[str, type[BaseModel]] = {}
    for one in declared:
        if one.model is None:
            continue
        if models.setdefault(one.name, one.model) is not one.model:
            raise ConfigurationError(
                f"two registries have settings of the name {one.name!r}, {one.model.__name__} of "
                f"{one.model.__module__} and {models[one.name].__name__} of "
                f"{models[one.name].__module__}: give one of them another, "
                "handlers.settings(..., name=...)"
            )
    names = [variable(name, field) for name, model in models.items() for field in _fields(model)]
    if twice := sorted({one for one in names if names.count(one) > 1}):
        raise ConfigurationError(f"{twice[0]} would be a setting of two registries: rename one")
    return models


def _fields(model: type[BaseModel]) -> list[str]:
    """Return the settings of a model, and the names for files of those that are secret."""
    return [*model.model_fields, *(name + SUFFIX for name in secret_names(model))]


def _unknown_variables(models: Mapping[str, type[BaseModel]]) -> Iterator[str]:
    kernels = {PREFIX + name.upper() for name in Settings.model_fields}
    own = {variable(name, field) for name, model in models.items() for field in _fields(model)}
    below = tuple(
        f"{variable(name, field)}{delimiter}".upper()
        for name, model in models.items()
        if (delimiter := model.model_config.get("env_nested_delimiter"))
        for field in model.model_fields
    )
    for name in sorted(os.environ):
        if name.startswith(OF_HANDLERS) and name not in kernels | own | {
            one for one in os.environ if one.startswith(below)
        }:
            near = did_you_mean(name, kernels | own)
            yield f"unknown setting {name}{near or '; no handler has settings of this name'}"


def _unknown_tables(
    models: Mapping[str, type[BaseModel]], tables: Mapping[str, Any]
) -> Iterator[str]:
    for name in tables:
        if name not in models:
            near = did_you_mean(name, models) or f"; there are {', '.join(models) or 'none'}"
            yield f"[handlers.{name}]: no handler has settings of this name{near}"
        elif not isinstance(tables[name], dict):
            yield f"handlers.{name}: write a table, [handlers.{name}]"


def _read(name: str, model: type[BaseModel], table: Any) -> BaseModel:
    """Return the settings of one name. Raises pydantic's and pydantic-settings' errors."""
    given = _by_fields(model, table) if isinstance(table, dict) else {}
    known = with_files(secret_names(model), given)
    bases = (model,) if issubclass(model, BaseSettings) else (model, BaseSettings)
    config = SettingsConfigDict(
        env_prefix=f"{OF_HANDLERS}{name.upper()}_",
        env_ignore_empty=False,
        case_sensitive=False,
        extra="forbid",
        hide_input_in_errors=True,
        cli_parse_args=False,
        # A setting is called as its field is, by an alias in kernel.toml alone.
        validate_by_alias=False,
        validate_by_name=True,
    )

    def sources(
        _cls: type[Any], /, settings_cls: type[BaseSettings], **_: PydanticBaseSettingsSource
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (
            _Environment(settings_cls),
            EnvironmentFiles(settings_cls),
            _Table(settings_cls, known),
        )

    def body(namespace: dict[str, Any]) -> None:
        namespace |= {
            "__module__": model.__module__,
            "model_config": config,
            "settings_customise_sources": classmethod(sources),
        }

    made: BaseModel = types.new_class(model.__name__, bases, {}, body)()
    return made


class _Environment(EnvSettingsSource):
    """The variables with our prefix: by an alias pydantic-settings reads one without it."""

    def __init__(self, settings_cls: type[BaseSettings]) -> None:
        super().__init__(settings_cls)
        prefix = self.env_prefix.upper()
        variables = self.env_vars.items()
        self.env_vars = {name: one for name, one in variables if name.upper().startswith(prefix)}

    def __call__(self) -> dict[str, Any]:
        """Return what is set, by the names of fields."""
        return _by_fields(self.settings_cls, super().__call__())


class _Table(InitSettingsSource):
    """What kernel.toml has, as it is: with names of fields."""

    def __init__(self, settings_cls: type[BaseSettings], known: dict[str, Any]) -> None:
        super().__init__(settings_cls, {})
        self.init_kwargs = known


def _by_fields(model: type[BaseModel], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return members by the names of their fields, where they are called by an alias."""
    names = {one: field for field in model.model_fields for one in members_of(model, field)}
    return {
        name if (field := names.get(name, name)) in given else field: one
        for name, one in given.items()
    }


def _explain(name: str, model: type[BaseModel], problem: Any) -> str:
    """Say what is wrong with a setting, by its names in the environment and in the file."""
    loc = [str(one) for one in problem["loc"]]
    loc[:1] = _by_fields(model, dict.fromkeys(loc[:1]))
    if problem["type"] == "extra_forbidden":
        near = did_you_mean(loc[0], _fields(model))
        near = near or f"; there are {', '.join(_fields(model)) or 'none'}"
        return f"[handlers.{name}] has an unknown setting {loc[0]}{near}"
    said = str(problem["msg"]).removeprefix("Value error, ")
    if not loc:
        return f"[handlers.{name}]: {said}"
    names = f"{variable(name, loc[0])}, or {'.'.join(loc)} of [handlers.{name}] in kernel.toml"
    return f"{names}: {'it is not set' if problem['type'] == 'missing' else said}"
