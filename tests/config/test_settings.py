"""Settings: what is taken from where, and what is refused in which words."""

import os
from pathlib import Path
from typing import Any

import pytest

from kernel.config.settings import load
from kernel.errors import ConfigurationError

SECRET = "s3cr3t"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test has a working folder of its own, without a kernel.toml."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(**settings: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(**settings)
    return caught.value.message


def test_defaults_are_the_originals_when_nothing_is_set() -> None:
    settings = load()
    assert settings.broker_url.get_secret_value() == "redis://127.0.0.1:6379/1"
    assert settings.result_backend.get_secret_value() == "redis://127.0.0.1:6379/2"
    assert settings.auth == "required"


def test_environment_wins_when_the_file_says_otherwise(folder: Path) -> None:
    (folder / "kernel.toml").write_text('language = "zh"\nlease_seconds = 7')
    os.environ["KERNEL_LANGUAGE"] = "en"
    settings = load()
    assert (settings.language, settings.lease_seconds) == ("en", 7)


def test_file_is_the_named_one_when_kernel_config_says_so(folder: Path) -> None:
    (folder / "other.toml").write_text('language = "zh"')
    os.environ["KERNEL_CONFIG"] = "other.toml"
    assert load().language == "zh"


def test_file_is_an_error_when_the_named_one_is_missing() -> None:
    os.environ["KERNEL_CONFIG"] = "/nowhere/kernel.toml"
    assert refused() == "KERNEL_CONFIG=/nowhere/kernel.toml: there is no such file"


@pytest.mark.parametrize("content", [b"language = ", b"\xff", b"a = 1\na = 2"])
def test_file_is_an_error_when_it_is_not_toml(folder: Path, content: bytes) -> None:
    (folder / "kernel.toml").write_bytes(content)
    assert refused().startswith("kernel.toml cannot be read")


QUOTED, RETURN = "there are quotes around it, which `docker run --env-file`", "a carriage return"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("DATABASE_URL", '"mysql+pymysql://u:s3cr3t@h/kernel"', QUOTED),
        ("DATABASE_URL", "'sqlite:///var/kernel.db'", QUOTED),
        ("BROKER_URL", '"redis://:s3cr3t@h:6379/1"', QUOTED),
        ("HANDLERS", '"mine:handlers"', QUOTED),
        ("LANGUAGE", "'zh'", QUOTED),
        ("DATABASE_URL", "mysql+pymysql://u:s3cr3t@h/kernel\r", RETURN),
        ("DATABASE_URL", "sqlite:///var/kernel.db\r", RETURN),
        ("BROKER_URL", "amqp://u:s3cr3t@h//\r", RETURN),
        ("CALLBACK_PROXY", "http://u:s3cr3t@h:3128\r", RETURN),
        ("LANGUAGE", "en\r", RETURN),
        ("DATABASE_URL", "mysql+pymysql://u:s3cr3t@h/ker\tnel", "a line end, a tab or another"),
        ("BROKER_URL", "h:6379", "this is not a URL: write it as redis://HOST:6379/1"),
        ("BROKER_URL", "127.0.0.1:6379/1", "this is not a URL: write it as redis://HOST:6379/1"),
        ("RESULT_BACKEND", "localhost", "this is not a URL: write it as redis://HOST:6379/1"),
    ],
)
def test_what_a_file_of_variables_leaves_around_a_value_is_told(
    name: str, value: str, said: str
) -> None:
    os.environ[f"KERNEL_{name}"] = value
    told = refused()
    assert told.startswith(f"KERNEL_{name}: ")
    assert said in told
    assert SECRET not in told


def test_list_of_handlers_in_the_file_is_told_by_how_it_is_written(folder: Path) -> None:
    (folder / "kernel.toml").write_text('handlers = ["a:b", "c:d"]')
    assert refused() == (
        "KERNEL_HANDLERS: write it as module:attribute, a .toml file, an entry point's name or *; "
        "several with commas"
    )


def test_mark_before_the_first_line_of_the_file_is_told(folder: Path) -> None:
    (folder / "kernel.toml").write_bytes(b'\xef\xbb\xbflanguage = "zh"')
    assert refused().endswith("byte order mark: save it as UTF-8 without one")


def test_name_is_refused_with_the_nearest_when_it_is_unknown() -> None:
    os.environ["KERNEL_LEASE_SECOND"] = "3"
    expected = "unknown setting KERNEL_LEASE_SECOND; did you mean KERNEL_LEASE_SECONDS?"
    assert refused() == expected


def test_name_is_refused_with_the_nearest_when_the_file_has_it_wrong(folder: Path) -> None:
    (folder / "kernel.toml").write_text("lease_second = 3")
    assert refused() == "unknown setting lease_second; did you mean lease_seconds?"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("database_url", f"root:{SECRET}@host/db", "this is not a URL"),
        ("hosts", "https://kernel.corp", "write it as names or addresses without a port"),
        ("hosts", "kernel.corp:8000", "such as kernel.example.net"),
        ("database_url", f"mysql+pymysql://root:{SECRET}:{SECRET}@h:{SECRET}/db", "not a URL"),
        ("database_url", f"postgresql://u:{SECRET}@h/db", "postgresql:// is not supported; write"),
        ("database_url", f"mysql://u:{SECRET}@h/db", "mysql+pymysql://user:password@host/name"),
        ("database_url", f"mysql+pymysql://u:{SECRET}@h", "name a database"),
        ("database_url", "sqlite://", "name a database"),
        ("database_url", "sqlite:///:memory:", "name a database"),
        ("broker_url", f"kafka://u:{SECRET}@h", "kafka:// is not supported; use redis, rediss"),
        ("broker_url", f"redis://:{SECRET}@h:{SECRET}/1", "a server is HOST or HOST:PORT"),
        ("broker_url", f"redis://:{SECRET}@h/x", "the number of a Redis database"),
        ("broker_url", "", "write it as redis://HOST:6379/1"),
        ("database_url", f"mysql+pymysql://u:{SECRET}@{SECRET}@h/db", "write @ as %40"),
        ("database_url", f"mysql+pymysql://u:{SECRET}/{SECRET}@h/db", "/ as %2F"),
        ("database_url", f"postgresql+psycopg://u:{SECRET}#{SECRET}@h/db", "# as %23"),
        ("database_url", f"postgresql+psycopg://u:{SECRET}?{SECRET}@h/db", "? as %3F"),
        ("database_url", f"mysql+pymysql://u:{SECRET}@h/db?password={SECRET}@{SECRET}", "%40"),
        ("callback_proxy", f"http://u:{SECRET}@{SECRET}@proxy:3128", "write @ as %40"),
        ("callback_proxy", f"http://u:{SECRET}/{SECRET}@proxy:3128", "write @ as %40"),
        ("broker_url", f"redis://:{SECRET}@{SECRET}@h/1", "write @ as %40"),
        ("broker_url", f"redis://h/1;redis://:{SECRET}@{SECRET}@h/1", "write @ as %40"),
        ("broker_url", f"amqp://u:{SECRET}/{SECRET}@h//", "/ as %2F"),
        ("result_backend", f"rediss://u:{SECRET}@{SECRET}@h/2", "write @ as %40"),
        ("result_backend", f"amqp://u:{SECRET}@h", "amqp:// is not supported; use redis, rediss"),
        ("callback_ca_file", "/nowhere/ca.pem", "does not point to a file"),
        ("callback_allow_nets", "10.0.0.1/8", "write 10.0.0.0/8 for all of that network, or 10"),
        ("callback_allow_nets", "fd00::1/64", "write fd00::/64 for all"),
        ("callback_allow_nets", "10.0.0.0/33", "write one like 10.20.0.0/16"),
        ("trusted_proxies", "172.16.9.9/12", "write 172.16.0.0/12"),
        ("sweep_seconds", "5m", "'5m' is not a number of seconds: write 300"),
        ("sweep_seconds", "1.5 hours", "write 5400"),
        ("sweep_seconds", "250ms", "write 0.25"),
        ("retention_days", "2w", "is not a number of days: write 14"),
        ("max_body_bytes", "1 MB", "is not a number of bytes: write 1048576"),
        ("lease_seconds", "soon", "'soon' is not a number of seconds: write digits alone"),
        ("lease_seconds", "5 fortnights", "write digits alone"),
        ("lease_seconds", "inf", "finite"),
        ("lease_seconds", "nan", "finite"),
        ("retention_days", "1e300", "36500"),
        ("bind", "0.0.0.0:99999", "at most 65535"),
        ("bind", "8000", "HOST:PORT"),
        ("callback_schedule", "", "at least 1 item"),
        ("callback_schedule", " , ", "at least 1 item"),
        ("callback_schedule", "5 nan", "finite"),
        ("result_expires_seconds", "99999999999999", "31536000"),
        ("language", "de", "'en' or 'zh'"),
        ("handlers", "a b", "module:attribute"),
    ],
)
def test_value_is_refused_naming_the_setting_and_no_secret(
    name: str, value: str, says: str
) -> None:
    os.environ[f"KERNEL_{name.upper()}"] = value
    message = refused()
    assert message.startswith(f"KERNEL_{name.upper()}: ")
    assert says in message
    assert SECRET not in message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("database_url", "sqlite:////var/lib/kernel.db"),
        ("database_url", "sqlite:////srv/a@b/x#y/kernel.db"),
        ("database_url", "mysql+pymysql://u:p@/db?unix_socket=/run/mysqld/mysqld.sock"),
        ("database_url", "postgresql+psycopg://u:p%40%2F%3F%23@one:5432/db?sslmode=require"),
        ("database_url", "mysql+pymysql://u:p%40ss@h:3306/db?charset=utf8mb4"),
        ("database_url", "mariadb+pymysql://u@[::1]/db"),
        ("broker_url", "rediss://:p@h:6380/15"),
        ("broker_url", "redis://h"),
        ("broker_url", "amqp://u:p@h:5672//"),
        ("result_backend", ""),
        ("callback_allow_nets", "10.0.0.0/8, fd00::/8 192.168.0.0/16"),
        ("callback_schedule", "1, 2.5 3"),
        ("bind", "[::1]:8000"),
    ],
)
def test_value_is_accepted_when_it_can_work(name: str, value: str) -> None:
    os.environ[f"KERNEL_{name.upper()}"] = value
    assert load()


def test_retention_is_refused_when_callbacks_may_outlive_it() -> None:
    message = refused(retention_days=3, callback_give_up_days=4)
    assert "KERNEL_RETENTION_DAYS (3) must be longer" in message


@pytest.mark.parametrize("bind", ["0.0.0.0:8000", "[::]:8000", "10.1.2.3:80", "example.org:80"])
def test_auth_off_is_refused_when_others_could_connect(bind: str) -> None:
    assert "KERNEL_AUTH=off is for loopback" in refused(auth="off", bind=bind)


@pytest.mark.parametrize("bind", ["127.0.0.1:8000", "[::1]:8000", "localhost:80", "127.9.9.9:1"])
def test_auth_off_is_accepted_when_only_this_host_can_connect(bind: str) -> None:
    assert load(auth="off", bind=bind).auth == "off"


def test_secrets_are_hidden_when_settings_are_printed() -> None:
    settings = load(
        database_url=f"mysql+pymysql://u:{SECRET}@h/db",
        broker_url=f"redis://:{SECRET}@h/1",
        result_backend=f"redis://:{SECRET}@h/2",
    )
    for shown in (repr(settings), str(settings), settings.model_dump_json(), f"{settings!r:>9}"):
        assert SECRET not in shown


def test_settings_are_frozen_when_made() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load().language = "zh"


@pytest.mark.parametrize(
    "given", [{"lease_seconds": "abc"}, {"retention_days": 1, "callback_give_up_days": 4}]
)
def test_error_on_the_page_is_what_is_said(given: dict[str, Any]) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "configuration.md").read_text()
    with pytest.raises(ConfigurationError) as refused:
        load(**given)
    assert f"Error: {refused.value.message}\n" in page
