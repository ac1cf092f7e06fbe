"""Secrets of settings from files: ``KERNEL_DATABASE_URL_FILE`` names the file of a database's URL.

Every setting that is a secret has such a name, in the environment and in kernel.toml, because
orchestrators hand secrets over as files. A newline at the end of a file does not count.
"""

import os
import types
from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, SecretBytes, SecretStr
from pydantic_settings import (
    PydanticBaseSettingsSource,
    TomlConfigSettingsSource,
)

from kernel.errors import ConfigurationError

SUFFIX = "_file"
# A device or a wrong file is not read for ever.
MAX_BYTES = 1_048_576


def secret_names(settings: type[BaseModel]) -> frozenset[str]:
    """Return the names of the fields that are secret."""
    fields = settings.model_fields.items()
    return frozenset(name for name, field in fields if _is_secret(field.annotation))


class EnvironmentFiles(PydanticBaseSettingsSource):
    """What variables such as KERNEL_DATABASE_URL_FILE name. Raises ConfigurationError."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        """Return the text of one field, None where no file is named for it."""
        prefix = str(self.config.get("env_prefix"))
        given = {name.upper(): name for name in os.environ}
        name, plain = (f"{prefix}{one}".upper() for one in (field_name + SUFFIX, field_name))
        if name not in given:
            return None, field_name, False
        if plain in given:
            raise _both(plain, name)
        return read(name, os.environ[given[name]]), field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return the texts of the fields for which a file is named."""
        known = self.settings_cls.model_fields
        found = {
            name: self.get_field_value(known[name], name)[0]
            for name in secret_names(self.settings_cls)
        }
        return {name: text for name, text in found.items() if text is not None}


class TomlWithFiles(TomlConfigSettingsSource):
    """kernel.toml, with the texts of the files that it names. Raises ConfigurationError."""

    def __call__(self) -> dict[str, Any]:
        """Return the members, those such as database_url_file replaced by database_url."""
        return with_files(secret_names(self.settings_cls), dict(super().__call__()))


def with_files(secrets: Set[str], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of a table; a secret's text in place of the name of its file.

    Raises ConfigurationError.
    """
    found = dict(given)
    for name in secrets & {one.removesuffix(SUFFIX) for one in found if one.endswith(SUFFIX)}:
        if name in found:
            raise _both(name, name + SUFFIX)
        found[name] = read(name + SUFFIX, found.pop(name + SUFFIX))
    return found


def read(name: str, path: object) -> str:
    """Return a file's text without the newline at its end. Raises ConfigurationError.

    ``name`` is the setting's, for errors: they name the file and hold nothing of its text.
    """
    if not isinstance(path, str) or not path:
        raise ConfigurationError(f"{name}: write the path of a file")
    try:
        with Path(path).open("rb") as file:
            found = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigurationError(f"{name}={path} cannot be read: {reason}") from None
    if len(found) > MAX_BYTES:
        raise ConfigurationError(f"{name}={path} has more than {MAX_BYTES} bytes: is it this file?")
    try:
        return found.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        raise ConfigurationError(f"{name}={path} cannot be read: it is not UTF-8") from None


def _both(plain: str, name: str) -> ConfigurationError:
    return ConfigurationError(f"{plain} and {name} are both set: remove one of them")


def _is_secret(annotation: Any) -> bool:
    return any(one in (SecretStr, SecretBytes) for one in _parts(annotation))


def _parts(annotation: Any) -> Iterator[Any]:
    """Yield the types of a union such as ``SecretStr | None``, or the one type itself."""
    if get_origin(annotation) in (Union, Annotated, types.UnionType):
        for part in get_args(annotation):
            yield from _parts(part)
    else:
        yield annotation
