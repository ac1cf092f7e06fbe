"""Which settings of its own a registry's handlers have."""

import re
from typing import Any

from pydantic import BaseModel

from kernel.errors import ConfigurationError

NAME = re.compile(r"[a-z][a-z0-9_]{0,49}")
# What kernel.toml names the registry by, in the same table.
TAKEN = "registry"


class Declared:
    """What one registry's handlers get as ``run.settings``; nothing, until a model is taken."""

    def __init__(self) -> None:
        self.name = ""
        self.model: type[BaseModel] | None = None

    def take(self, model: Any, name: str) -> None:
        """Take the model; without a name, that of the class: GitlabSettings is ``gitlab``.

        Raises ConfigurationError for what is no model or no name, and for a second model.
        """
        if not isinstance(model, type) or not issubclass(model, BaseModel):
            raise ConfigurationError(
                f"handlers.settings takes a class of pydantic's BaseModel or BaseSettings, not "
                f"{model!r:.100}"
            )
        if self.model is not None:
            raise ConfigurationError(
                f"this registry has the settings {self.model.__name__}; {model.__name__} would "
                "take their place: make one class of both, or a registry of its own and include it"
            )
        name = name or _name_of(model)
        if not NAME.fullmatch(name) or name == TAKEN:
            raise ConfigurationError(
                f"handlers.settings({model.__name__}, name={name!r}): use up to 50 of a-z, 0-9 and "
                f"_, and another name than {TAKEN}"
            )
        self.name, self.model = name, model


def _name_of(model: type[BaseModel]) -> str:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", model.__name__).lower()
    return words.removesuffix("_settings")
