"""How settings of handlers' own are called: as their fields are, and by aliases in the file."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import AliasChoices, BaseModel, Field, SecretStr
from pydantic.alias_generators import to_camel
from pydantic_settings import BaseSettings, SettingsConfigDict

from kernel.errors import ConfigurationError
from kernel.handlers import Handlers
from kernel.handlers.registering.settings import load_own


class Aliased(BaseModel):
    """Fields that are called otherwise elsewhere, one as a variable that every process has."""

    login: str = Field("nobody", alias="user")
    api_token: SecretStr = Field(validation_alias=AliasChoices("token", "apiToken"))


class Camel(BaseSettings):
    """All fields called otherwise, and variables told apart by their case."""

    model_config = SettingsConfigDict(alias_generator=to_camel, case_sensitive=True)
    login: str = "nobody"
    api_token: SecretStr


class Below(BaseSettings):
    """Variables for the members of a member."""

    model_config = SettingsConfigDict(env_nested_delimiter="__")
    host: dict[str, str] = {}


class Unfinished(BaseModel):
    """One that names what is nowhere."""

    at: "Adress"  # type: ignore[name-defined]  # noqa: F821


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of kernel.toml, in which one works."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(model: type[BaseModel]) -> Any:
    """The settings of a registry that has this model, as a start reads them."""
    handlers = Handlers()
    handlers.settings(model, "desk")
    return load_own(one.declared for one in handlers.parts)["desk"]


@pytest.mark.parametrize("model", [Aliased, Camel])
@pytest.mark.parametrize("told", ["variable", "file of a variable", "field", "alias"])
def test_setting_is_called_as_its_field_is_and_by_an_alias_in_the_file_alone(
    place: Path, monkeypatch: pytest.MonkeyPatch, model: type[BaseModel], told: str
) -> None:
    monkeypatch.setenv("user", "of-the-process")
    monkeypatch.setenv("USER", "of-the-process")
    monkeypatch.setenv("apiToken", "of-the-process")
    (place / "token").write_text("t")
    if told == "variable":
        monkeypatch.setenv("KERNEL_HANDLERS_DESK_API_TOKEN", "t")
    elif told == "file of a variable":
        monkeypatch.setenv("KERNEL_HANDLERS_DESK_API_TOKEN_FILE", str(place / "token"))
    else:
        name = "apiToken" if told == "alias" else "api_token"
        (place / "kernel.toml").write_text(f'[handlers.desk]\n{name} = "t"')
    found = read(model)
    assert (found.login, found.api_token.get_secret_value()) == ("nobody", "t")
    (place / "kernel.toml").write_text('[handlers.desk]\nlogin = "file"\napiToken = "file"')
    monkeypatch.setenv("KERNEL_HANDLERS_DESK_API_TOKEN", "t")
    monkeypatch.delenv("KERNEL_HANDLERS_DESK_API_TOKEN_FILE", raising=False)
    found = read(model)
    assert (found.login, found.api_token.get_secret_value()) == ("file", "t")


@pytest.mark.parametrize("model", [Aliased, Camel])
def test_setting_that_is_missing_is_told_by_the_name_that_sets_it(
    place: Path, monkeypatch: pytest.MonkeyPatch, model: type[BaseModel]
) -> None:
    monkeypatch.setenv("apiToken", "of-the-process")
    with pytest.raises(
        ConfigurationError, match=r"^KERNEL_HANDLERS_DESK_API_TOKEN, or api_token of"
    ):
        read(model)


def test_member_of_a_member_has_a_variable_where_the_model_says_so(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERNEL_HANDLERS_DESK_HOST__NAME", "web-1")
    found = read(Below)
    assert found.model_dump() == {"host": {"name": "web-1"}}
    monkeypatch.setenv("KERNEL_HANDLERS_DESK_HOSTS__NAME", "web-1")
    with pytest.raises(ConfigurationError, match="unknown setting KERNEL_HANDLERS_DESK_HOSTS__N"):
        read(Below)


def test_model_that_names_what_is_nowhere_is_told(place: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"\[handlers.desk\]: Unfinished names Adress"):
        read(Unfinished)
