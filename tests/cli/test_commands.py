"""`kernel migrate`, `config`, `callers`, and how errors look: a line and an exit code."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from kernel.callers import identity
from kernel.callers.profile import profiles_of
from kernel.db.schema import migrate
from kernel.db.schema.version import SCHEMA
from kernel.errors import Unauthenticated
from tests.support import old_installation
from tests.support.oidc_provider import Provider
from tests.support.people.terminal import NOBODY, Terminal
from tests.support.servers import Redis


def name_of(terminal: Terminal, key: str) -> str:
    """Whose key it is."""
    with terminal.kernel.read_session() as session:
        return identity.identify(session, key, terminal.kernel.clock.now()).name


# ---- How errors look --------------------------------------------------------------------------


def test_command_names_the_nearest_setting_when_one_is_unknown(terminal: Terminal) -> None:
    terminal.settings["databse_url"] = "x"
    done = terminal.run("orders", "list", exit_code=2)
    expected = "unknown setting KERNEL_DATABSE_URL; did you mean KERNEL_DATABASE_URL?"
    assert done.stderr == f"Error: {expected}\n"


def test_command_says_what_to_run_when_there_is_no_database(
    empty_terminal: Terminal, tmp_path: Path
) -> None:
    done = empty_terminal.run("orders", "list", exit_code=2)
    assert done.stderr.endswith("kernel.db: run `kernel migrate`\n")
    assert not list(tmp_path.iterdir())


def test_command_says_what_to_run_when_the_database_is_behind(empty_terminal: Terminal) -> None:
    migrate.upgrade(empty_terminal.settings["database_url"], "0001")
    assert "run `kernel migrate`" in empty_terminal.run("callers", "list", exit_code=2).stderr


@pytest.mark.parametrize("url", ["postgresql://h/x", "no url", "mysql+pymysql://127.0.0.1:1/x"])
def test_command_fails_in_one_line_when_the_database_url_is_wrong(
    empty_terminal: Terminal, url: str
) -> None:
    empty_terminal.settings["database_url"] = url
    exit_code = 1 if "127.0.0.1" in url else 2
    assert empty_terminal.run("orders", "list", exit_code=exit_code).stderr.count("\n") == 1


# ---- migrate ----------------------------------------------------------------------------------


def test_migrate_makes_folder_and_tables_when_there_are_none(
    empty_terminal: Terminal, tmp_path: Path
) -> None:
    empty_terminal.settings["database_url"] = f"sqlite:///{tmp_path}/new/folder/kernel.db"
    assert f"+ {SCHEMA}  " in empty_terminal.run("migrate").stdout
    assert migrate.current(empty_terminal.settings["database_url"]) == SCHEMA


def test_migrate_changes_nothing_when_a_newer_release_was_here(
    terminal: Terminal,
) -> None:
    with terminal.kernel.write_session() as session:
        session.execute(text("UPDATE kernel_alembic_version SET version_num = '9999'"))
    terminal.run("migrate")
    assert migrate.current(terminal.settings["database_url"]) == "9999"


def test_migrate_names_who_lives_and_the_way_out_when_tables_are_to_be_renamed(
    empty_terminal: Terminal,
) -> None:
    url = empty_terminal.settings["database_url"]
    old_installation.make(url)
    old_installation.fill(url)
    old_installation.one_lives(url)
    told = empty_terminal.run("migrate", exit_code=2).stderr
    assert told.startswith("Error: worker 9 on h was seen ")
    assert told.endswith("if they are stopped already, `kernel migrate --force`\n")
    assert "run `kernel migrate`" in empty_terminal.run("orders", "list", exit_code=2).stderr
    assert f"+ {SCHEMA}  " in empty_terminal.run("migrate", "--force").stdout


def test_migrate_applies_each_migration_once_when_three_run_at_once(new_database_url: str) -> None:
    code = (
        "import sys; from kernel.db.schema import migrate; migrate.upgrade(sys.argv[1], told=print)"
    )
    argv = [sys.executable, "-c", code, new_database_url]
    running = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    outputs = [process.communicate()[0] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0]
    assert sum(output.count("+ 0001") for output in outputs) == 1


def test_migrate_check_uses_no_database_of_the_user(
    empty_terminal: Terminal, tmp_path: Path
) -> None:
    assert empty_terminal.run("migrate", "--check").stdout == "models and migrations agree\n"
    assert not list(tmp_path.iterdir())


# ---- config -----------------------------------------------------------------------------------


def test_config_show_hides_passwords(terminal: Terminal) -> None:
    terminal.settings["database_url"] = "mysql+pymysql://user:s3cret@db/name"
    terminal.settings["broker_url"] = "redis://:s3cret@a:1/0;redis://:s3cret@b:1/0"
    terminal.settings["result_backend"] = "redis://user:s3cret@host/2"
    terminal.settings["callback_proxy"] = "http://user:s3cret@proxy:3128"
    shown = terminal.json("config", "show")
    assert "s3cret" not in str(shown)
    assert shown["callback_proxy"] == "http://user:***@proxy:3128"
    assert shown["database_url"] == "mysql+pymysql://user:***@db/name"


@pytest.mark.parametrize(
    ("setting", "url", "shown"),
    [
        ("callback_proxy", "http://s3cret@proxy:3128", "http://:***@proxy:3128"),
        ("broker_url", "redis://s3cret@host/1", "redis://:***@host/1"),
        ("broker_url", "sentinel://s3cret@host/1", "sentinel://:***@host/1"),
    ],
)
def test_config_show_hides_a_password_that_lacks_its_colon(
    terminal: Terminal, setting: str, url: str, shown: str
) -> None:
    terminal.settings[setting] = url
    assert terminal.json("config", "show")[setting] == shown


@pytest.mark.parametrize("secret", ["hidden://hidden/hidden", "https://desk.example/hidden"])
def test_config_show_hides_other_secrets_when_they_look_like_urls(
    terminal: Terminal, secret: str
) -> None:
    terminal.settings |= {"oidc_client_secret": secret, "sentinel_password": secret}
    shown = terminal.json("config", "show")
    assert {shown["oidc_client_secret"], shown["sentinel_password"]} == {"**********"}
    assert "hidden" not in terminal.run("config", "show").stdout


def test_config_show_tells_what_is_a_default(terminal: Terminal) -> None:
    lines = terminal.run("config", "show").stdout.splitlines()
    assert [line.split()[0] for line in lines if "(default)" not in line] == [*terminal.settings]


def test_config_check_is_content_when_everything_works(terminal: Terminal, redis: Redis) -> None:
    terminal.settings["broker_url"] = redis.url(1)
    assert all(one["ok"] for one in terminal.json("config", "check"))


@pytest.mark.parametrize(
    ("setting", "value", "check", "detail"),
    [
        ("handlers", "nowhere:handlers", "handlers", "there is no module 'nowhere'"),
        (
            "handlers",
            "tests.support.handlers.unimportable:handlers",
            "handlers",
            "ZeroDivisionError",
        ),
        ("database_url", "sqlite:////nowhere/kernel.db", "database", "run `kernel migrate`"),
        ("broker_url", NOBODY, "broker", "set KERNEL_BROKER_URL"),
        ("callback_ca_file", __file__, "callbacks", "holds no certificate in PEM form"),
        ("callback_proxy", "proxy:3128", "callbacks", "write it as http://host:port"),
        ("lanugage", "zh", "settings", "did you mean KERNEL_LANGUAGE?"),
    ],
)
def test_config_check_says_what_to_do(
    terminal: Terminal, redis: Redis, setting: str, value: str, check: str, detail: str
) -> None:
    terminal.settings |= {"broker_url": redis.url(1), setting: value}
    done = terminal.json("config", "check", exit_code=1)
    failed = {one["check"]: one["detail"] for one in done if not one["ok"]}
    assert [*failed] == [check]
    assert detail in failed[check]


def test_config_check_asks_the_provider_of_sign_in_for_its_addresses(
    terminal: Terminal, redis: Redis
) -> None:
    with Provider("http://127.0.0.1:9/dashboard/oidc/callback") as provider:
        known = {"public_url": "http://127.0.0.1:9", **provider.settings}
        terminal.settings |= {"broker_url": redis.url(1), **known}
        assert [one["check"] for one in terminal.json("config", "check")][-1] == "sign-in"
        terminal.settings["oidc_issuer"] = f"{provider.issuer}/"
        wrong = terminal.json("config", "check", exit_code=1)[-1]
        assert "KERNEL_OIDC_ISSUER must be the same, to the last /" in wrong["detail"]
    away = terminal.json("config", "check", exit_code=1)[-1]
    assert (away["check"], away["ok"]) == ("sign-in", False)
    assert "its metadata could not be asked for: connect" in away["detail"]


# ---- callers ----------------------------------------------------------------------------------


def test_callers_add_prints_credentials_that_work(terminal: Terminal) -> None:
    made = terminal.json("callers", "add", "jira")
    assert [*made] == ["name", "api_key", "signing_secret", "expires_at"]
    assert name_of(terminal, made["api_key"]) == "jira"


def test_callers_add_grants_networks_and_hosts(terminal: Terminal) -> None:
    nets, hosts = ["10.1.0.0/16", "127.0.0.1/32"], ["hooks.corp"]
    options = [f"--callback-net={net}" for net in nets] + ["--callback-host=hooks.corp"]
    terminal.run("callers", "add", "jira", *options)
    listed = {one["name"]: one for one in terminal.json("callers", "list")}
    assert (listed["jira"]["callback_nets"], listed["jira"]["callback_hosts"]) == (nets, hosts)


@pytest.mark.parametrize(
    ("options", "exit_code", "message"),
    [
        (["anonymous"], 1, "there is a caller named anonymous already"),
        (["white space"], 1, "use letters, digits"),
        (["jira", "--callback-net", "10.0.0.0/99"], 2, "is no network and no address"),
        (["jira", "--callback-net", "10.20.0.1/16"], 2, "write 10.20.0.0/16 for all of that"),
        (["jira", "--callback-host", "http://x"], 2, "is not a host name"),
    ],
)
def test_callers_add_changes_nothing_when_refused(
    terminal: Terminal, options: list[str], exit_code: int, message: str
) -> None:
    assert message in terminal.run("callers", "add", *options, exit_code=exit_code).stderr
    assert [one["name"] for one in terminal.json("callers", "list")] == ["anonymous"]


def test_callers_rotate_key_ends_the_old_one(terminal: Terminal) -> None:
    old = terminal.json("callers", "add", "jira")["api_key"]
    new = terminal.json("callers", "rotate-key", "jira")["api_key"]
    assert name_of(terminal, new) == "jira"
    with pytest.raises(Unauthenticated):
        name_of(terminal, old)


def test_callers_rotate_secret_lets_the_old_one_sign_along(
    terminal: Terminal,
) -> None:
    old = terminal.json("callers", "add", "jira")["signing_secret"]
    new = terminal.json("callers", "rotate-secret", "jira")["signing_secret"]
    with terminal.kernel.read_session() as session:
        found = identity.find(session, "jira").id
        profile = profiles_of(session.connection(), [found], terminal.kernel.clock.now())[found]
    assert profile.secrets == (SecretStr(new), SecretStr(old))


def test_callers_revoke_ends_every_key(terminal: Terminal) -> None:
    key = terminal.json("callers", "add", "jira")["api_key"]
    assert terminal.json("callers", "revoke", "jira") == {"name": "jira", "revoked": 1}
    with pytest.raises(Unauthenticated):
        name_of(terminal, key)


def test_callers_list_shows_no_key(terminal: Terminal) -> None:
    made = terminal.json("callers", "add", "jira")
    listed = terminal.run("callers", "list").stdout
    assert "jira" in listed
    assert made["api_key"] not in listed
