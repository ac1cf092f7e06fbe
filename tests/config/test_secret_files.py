"""Secrets of settings in files: every secret setting, what is refused, and in which words."""

import os
from pathlib import Path

import pytest

from kernel.config.secret_files import MAX_BYTES, secret_names
from kernel.config.settings import Settings, load
from kernel.errors import ConfigurationError

PAGE = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"
VALUES = {
    "database_url": "mysql+pymysql://kernel:s3cr3t@host/name",
    "broker_url": "redis://:s3cr3t@host:6379/1",
    "result_backend": "redis://:s3cr3t@host:6379/2",
    "callback_proxy": "http://user:s3cr3t@proxy:3128",
    "sentinel_password": "s3cr3t",
    "secrets_key": "czNjcjN0czNjcjN0czNjcjN0czNjcjN0czNjcjN0LS0=",
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test has a working folder of its own, without a kernel.toml."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused() -> str:
    with pytest.raises(ConfigurationError) as caught:
        load()
    return caught.value.message


def test_every_secret_setting_is_tried_here() -> None:
    assert secret_names(Settings) >= set(VALUES)
    assert all(name in VALUES or "secret" in name for name in secret_names(Settings))


def test_page_names_every_setting_that_can_stand_in_a_file() -> None:
    section = PAGE.read_text().partition("## Secrets from files\n")[2].partition("\n## ")[0]
    named = {f"KERNEL_{name.upper()}" for name in secret_names(Settings)}
    assert [name for name in sorted(named) if f"`{name}`" not in section] == []


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
@pytest.mark.parametrize("name", VALUES)
def test_secret_is_read_from_the_file_that_the_environment_names(
    folder: Path, name: str, end: str
) -> None:
    (folder / "secret").write_bytes((VALUES[name] + end).encode())
    os.environ[f"KERNEL_{name.upper()}_FILE"] = str(folder / "secret")
    settings = load()
    assert getattr(settings, name).get_secret_value() == VALUES[name]
    assert name in settings.model_fields_set


@pytest.mark.parametrize("name", VALUES)
def test_secret_is_read_from_the_file_that_the_toml_names(folder: Path, name: str) -> None:
    (folder / "secret").write_text(VALUES[name] + "\n")
    (folder / "kernel.toml").write_text(f'{name}_file = "secret"')
    assert getattr(load(), name).get_secret_value() == VALUES[name]


def test_environment_wins_over_the_toml_in_either_form(folder: Path) -> None:
    (folder / "one").write_text("redis://one/1")
    (folder / "kernel.toml").write_text('broker_url = "redis://two/1"')
    os.environ["KERNEL_BROKER_URL_FILE"] = "one"
    assert load().broker_url.get_secret_value() == "redis://one/1"
    (folder / "kernel.toml").write_text('broker_url_file = "one"')
    del os.environ["KERNEL_BROKER_URL_FILE"]
    os.environ["KERNEL_BROKER_URL"] = "redis://three/1"
    assert load().broker_url.get_secret_value() == "redis://three/1"


def test_secret_and_its_file_are_refused_together(folder: Path) -> None:
    (folder / "one").write_text("redis://one/1")
    (folder / "kernel.toml").write_text('broker_url = "redis://two/1"\nbroker_url_file = "one"')
    assert refused() == "broker_url and broker_url_file are both set: remove one of them"
    os.environ |= {"KERNEL_BROKER_URL": "redis://two/1", "KERNEL_BROKER_URL_FILE": "one"}
    both = "KERNEL_BROKER_URL and KERNEL_BROKER_URL_FILE are both set: remove one of them"
    assert refused() == both


def test_file_is_named_when_it_cannot_be_read(folder: Path) -> None:
    os.environ["KERNEL_SECRETS_KEY_FILE"] = "/nowhere/key"
    assert refused() == "KERNEL_SECRETS_KEY_FILE=/nowhere/key cannot be read: " + os.strerror(2)
    os.environ["KERNEL_SECRETS_KEY_FILE"] = str(folder)
    assert f"KERNEL_SECRETS_KEY_FILE={folder} cannot be read: Is a dir" in refused()
    os.environ["KERNEL_SECRETS_KEY_FILE"] = ""
    assert refused() == "KERNEL_SECRETS_KEY_FILE: write the path of a file"


@pytest.mark.parametrize("content", [b"\xff", b"a" * (MAX_BYTES + 1)])
def test_file_is_named_when_it_is_no_secret(folder: Path, content: bytes) -> None:
    (folder / "key").write_bytes(content)
    os.environ["KERNEL_DATABASE_URL_FILE"] = "key"
    assert refused().startswith("KERNEL_DATABASE_URL_FILE=key ")


def test_what_stands_in_the_file_is_checked_and_never_shown(folder: Path) -> None:
    (folder / "url").write_text("root:s3cr3t@host/db")
    os.environ["KERNEL_DATABASE_URL_FILE"] = "url"
    message = refused()
    assert message.startswith("KERNEL_DATABASE_URL: this is not a URL")
    assert "s3cr3t" not in message


def test_file_of_a_setting_that_is_no_secret_is_unknown() -> None:
    os.environ["KERNEL_BIND_FILE"] = "/etc/hostname"
    assert refused().startswith("unknown setting KERNEL_BIND_FILE; did you mean")
