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


def load_own(declared: Iterable[Declared]) -> dict[str, BaseModel]:
    """Return the settings of handlers by their names.

    Raises ConfigurationError, with a line for each setting that is unknown, missing or wrong.
    """
    models = _by_name(declared)
    tables = handlers_table()
    wrong = [*_unknown_variables(models), *_unknown_tables(models, tables)]
    found: dict[str, BaseModel] = {}
    for name, model in models.items():
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
    for name in sorted(os.environ):
        if name.startswith(OF_HANDLERS) and name not in kernels | own:
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
    given = dict(table) if isinstance(table, dict) else {}
    known = with_files(secret_names(model), given)
    bases = (model,) if issubclass(model, BaseSettings) else (model, BaseSettings)
    config = SettingsConfigDict(
        env_prefix=f"{OF_HANDLERS}{name.upper()}_",
        env_ignore_empty=False,
        extra="forbid",
        hide_input_in_errors=True,
        cli_parse_args=False,
    )

    def body(namespace: dict[str, Any]) -> None:
        namespace |= {
            "__module__": model.__module__,
            "model_config": config,
            "settings_customise_sources": classmethod(_sources),
        }

    made: BaseModel = types.new_class(model.__name__, bases, {}, body)(**known)
    return made


def _sources(
    _cls: type[Any], /, settings_cls: type[BaseSettings], **sources: PydanticBaseSettingsSource
) -> tuple[PydanticBaseSettingsSource, ...]:
    files = EnvironmentFiles(settings_cls)
    return sources["env_settings"], files, sources["init_settings"]


def _explain(name: str, model: type[BaseModel], problem: Any) -> str:
    """Say what is wrong with a setting, by its names in the environment and in the file."""
    loc = [str(one) for one in problem["loc"]]
    if problem["type"] == "extra_forbidden":
        near = did_you_mean(loc[0], _fields(model))
        near = near or f"; there are {', '.join(_fields(model)) or 'none'}"
        return f"[handlers.{name}] has an unknown setting {loc[0]}{near}"
    said = str(problem["msg"]).removeprefix("Value error, ")
    if not loc:
        return f"[handlers.{name}]: {said}"
    names = f"{variable(name, loc[0])}, or {'.'.join(loc)} of [handlers.{name}] in kernel.toml"
    return f"{names}: {'it is not set' if problem['type'] == 'missing' else said}"
