"""Settings of handlers' own: read, checked at the start, and given to runs."""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field, SecretStr
from pydantic_settings import BaseSettings

from kernel.config.settings import load
from kernel.errors import ConfigurationError
from kernel.handlers import Handlers, Run
from kernel.handlers.registering.settings import load_own
from kernel.runtime.kernel import Kernel
from kernel.runtime.startup import check_handlers
from kernel.testing import drain, order, poll, use_settings
from tests.support.people.terminal import Terminal

PAGE = Path(__file__).resolve().parents[2] / "docs" / "handlers.md"


class GitlabSettings(BaseModel):
    """What handlers of GitLab need to know."""

    url: str = Field(pattern="^https://")
    token: SecretStr
    labels: list[str] = []


class Other(BaseSettings):
    """Those of another registry, with a prefix that does not count here."""

    model_config = {"env_prefix": "OTHER_"}
    count: int = 1


class Args(BaseModel):
    """No arguments."""


class Lab(BaseModel):
    """One whose variable may be another's."""

    lab_count: int = 1


def registry(model: type[BaseModel] | None, tag: str = "told", name: str = "") -> Handlers:
    """A registry whose one handler tells its settings."""
    handlers = Handlers()
    if model is not None:
        handlers.settings(model, name)

    @handlers.register(tag, Args)
    def told(run: Run, args: Args) -> dict[str, Any]:
        return {"type": type(run.settings).__name__, **run.settings.model_dump(mode="json")}

    return handlers


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of kernel.toml, in which one works."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def own(*handlers: Handlers) -> dict[str, BaseModel]:
    """The settings of these registries, as a start reads them."""
    return load_own(one.declared for each in handlers for one in each.parts)


TOML = '[handlers]\nregistry = "a:b"\n[handlers.gitlab]\nurl = "https://file"\n'


def test_environment_goes_before_the_file_and_secrets_may_be_files(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "kernel.toml").write_text(f'{TOML}token_file = "token"')
    (place / "token").write_text("of-the-file\n")
    (found,) = own(registry(GitlabSettings)).values()
    assert isinstance(found, GitlabSettings)
    assert (found.url, found.token.get_secret_value()) == ("https://file", "of-the-file")
    assert load().handlers == "a:b"
    (place / "other").write_text("of-the-environment")
    monkeypatch.setenv("KERNEL_HANDLERS_GITLAB_TOKEN_FILE", str(place / "other"))
    monkeypatch.setenv("KERNEL_HANDLERS_GITLAB_URL", "https://environment")
    monkeypatch.setenv("KERNEL_HANDLERS_GITLAB_LABELS", '["a", "b"]')
    monkeypatch.setenv("OTHER_COUNT", "7")
    found, other = own(registry(GitlabSettings), registry(Other)).values()
    assert isinstance(found, GitlabSettings)
    assert (found.url, found.labels) == ("https://environment", ["a", "b"])
    assert found.token.get_secret_value() == "of-the-environment"
    assert other == type(other)(count=1)
    load()


@pytest.mark.parametrize(
    ("text", "environment", "said"),
    [
        (
            TOML,
            {},
            "KERNEL_HANDLERS_GITLAB_TOKEN, or token of [handlers.gitlab] in kernel.toml: it is not",
        ),
        (f'{TOML}token = "a"', {"url": "http://x"}, "KERNEL_HANDLERS_GITLAB_URL, or url of"),
        (f'{TOML}tokn = "a"', {"token": "a"}, "unknown setting tokn; did you mean token?"),
        (
            f'{TOML}token = "a"',
            {"tokn": "a"},
            "unknown setting KERNEL_HANDLERS_GITLAB_TOKN; did you mean KERNEL_HANDLERS_GITLAB_",
        ),
        (f'{TOML}token = "a"', {"labels": "a, b"}, "write lists and objects as JSON"),
        (f'{TOML}token = "a"\n[handlers.gitlb]\na = 1', {}, "this name; did you mean gitlab?"),
        (f'{TOML}token = "a"\ntoken_file = "b"', {}, "token and token_file are both set"),
    ],
)
def test_wrong_setting_is_told_by_its_names_at_the_start(
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    environment: dict[str, str],
    said: str,
) -> None:
    (place / "kernel.toml").write_text(text)
    for name, value in environment.items():
        monkeypatch.setenv(f"KERNEL_HANDLERS_GITLAB_{name.upper()}", value)
    with (
        closing(
            Kernel(load(database_url=f"sqlite:///{place}/k.db"), registry(GitlabSettings))
        ) as made,
        pytest.raises(ConfigurationError) as refused,
    ):
        check_handlers(made)
    assert said in refused.value.message


def test_setting_that_no_handler_has_is_told_although_there_are_none(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERNEL_HANDLERS_MIGRATION", "migrations")
    with pytest.raises(ConfigurationError, match="did you mean KERNEL_HANDLERS_MIGRATIONS"):
        own(Handlers())


def test_table_beside_a_text_is_told_with_what_to_write(place: Path) -> None:
    (place / "kernel.toml").write_text('handlers = "a:b"\n[handlers.gitlab]\nurl = "https://x"')
    with pytest.raises(ConfigurationError, match=r"write registry = \.\.\. below \[handlers\]"):
        load()


@pytest.mark.parametrize(
    ("model", "name", "said"),
    [
        (dict, "", "takes a class of pydantic's BaseModel"),
        (GitlabSettings, "Git Lab", "use up to 50 of a-z"),
        (GitlabSettings, "registry", "another name than registry"),
    ],
)
def test_what_can_be_no_settings_is_refused_at_import(model: Any, name: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Handlers().settings(model, name)
    assert said in refused.value.message


def test_names_that_would_be_one_are_refused() -> None:
    twice = registry(GitlabSettings)
    with pytest.raises(ConfigurationError, match="GitlabSettings; Other would take their place"):
        twice.settings(Other)
    with pytest.raises(ConfigurationError, match="two registries have settings of the name 'x'"):
        own(registry(GitlabSettings, name="x"), registry(Other, name="x"))
    with pytest.raises(ConfigurationError, match="KERNEL_HANDLERS_GIT_LAB_COUNT would be"):
        own(registry(Lab, name="git"), registry(Other, name="git_lab"))


def test_each_registry_gets_its_own_also_when_it_is_included(
    make_kernel: Callable[..., Kernel], sqlite_url: str
) -> None:
    handlers = registry(Other, "other")
    handlers.include(registry(GitlabSettings), prefix="gitlab.")
    handlers.include(registry(None, "none"))
    kernel = make_kernel(sqlite_url, handlers)
    use_settings(kernel, Other(count=3), GitlabSettings(url="https://a", token=SecretStr("s")))
    ids = [order(kernel, tag) for tag in ("other", "gitlab.told")]
    drain(kernel)
    told = [poll(kernel, one)["data"]["result"] for one in ids]
    assert told == [
        {"type": "Other", "count": 3},
        {"type": "GitlabSettings", "url": "https://a", "token": "**********", "labels": []},
    ]
    with pytest.raises(ConfigurationError, match="no registry has the settings Args"):
        use_settings(kernel, Args())


def block(language: str, holding: str) -> str:
    """The one block of the page that holds these words."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    (one,) = [text for text in found if holding in text]
    return str(one)


@pytest.fixture
def tracker(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The files of the page."""
    monkeypatch.syspath_prepend(place)
    (place / "tracker.py").write_text(block("python", "# tracker.py"))
    toml = block("toml", "[handlers.gitlab]")
    (place / "kernel.toml").write_text(toml.replace("/run/secrets/gitlab-token", "token"))
    (place / "token").write_text("sesame")
    yield place
    sys.modules.pop("tracker", None)


def test_settings_of_the_page_are_shown_without_secrets_and_checked(
    tracker: Path, terminal: Terminal
) -> None:
    shown = terminal.run("config", "show").stdout
    assert "https://gitlab.example.net" in shown
    found = terminal.json("config", "show")
    assert found["handlers.gitlab.url"] == "https://gitlab.example.net"
    assert set(found["handlers.gitlab.token"]) == {"*"}
    assert "sesame" not in shown
    (tracker / "token").write_text("https://hooks.slack.com/services/T0/B0/sesame")
    assert terminal.json("config", "show")["handlers.gitlab.token"] == "**********"
    assert "hooks.slack.com" not in terminal.run("config", "show").stdout
    said = terminal.run("config", "check", exit_code=1).stdout  # no broker
    assert "tracker:handlers: open_issue; settings of gitlab" in said
    (tracker / "kernel.toml").write_text('[handlers]\nregistry = "tracker:handlers"')
    said = terminal.run("config", "check", exit_code=1).stdout
    assert (
        "KERNEL_HANDLERS_GITLAB_URL, or url of [handlers.gitlab] in kernel.toml: it is not" in said
    )
    assert "not shown" in terminal.run("config", "show").stderr
