"""`kernel secrets`, and the key that `kernel up` makes for itself."""

import json
import os
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from kernel.cli.local.sealing import seal_embedded
from kernel.config.keyring import Keyring, new_key
from kernel.config.settings import load
from kernel.db.schema import migrate
from kernel.errors import Conflict
from kernel.runtime.rotation import count_sealed
from tests.support.factories import make_order
from tests.support.people.terminal import Terminal
from tests.support.sealing import SECRETS_KEY, signing_secrets

OTHER = new_key().get_secret_value()


@pytest.fixture
def bare(sqlite_url: str) -> Iterator[Terminal]:
    """The command line on a migrated database, without a key."""
    with closing(Terminal(sqlite_url)) as terminal:
        del terminal.settings["secrets_key"]
        migrate.upgrade(sqlite_url)
        yield terminal


def keys_of(terminal: Terminal) -> set[str | None]:
    """The ids of the keys that seal secrets now; None: some are in clear."""
    return {one["key"] for one in terminal.json("secrets", "status")["secrets"]}


def test_new_key_is_printed_and_is_one(terminal: Terminal) -> None:
    key = terminal.run("secrets", "new-key").stdout.strip()
    assert not Keyring.of(load(secrets_key=key)).is_empty


def test_new_key_is_written_for_this_user_alone_and_never_over_another(
    terminal: Terminal, tmp_path: Path
) -> None:
    file = tmp_path / "new.txt"
    before = os.umask(0)
    try:
        said = terminal.run("secrets", "new-key", "--file", str(file))
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert f"KERNEL_SECRETS_KEY_FILE={file}" in said.stderr
    key = file.read_text()
    assert key.strip() not in said.output
    again = terminal.run("secrets", "new-key", "--file", str(file), exit_code=1)
    assert "exists: a key that is overwritten is lost" in again.stderr
    assert file.read_text() == key
    missing = terminal.run("secrets", "new-key", "--file", "/nowhere/key", exit_code=1)
    assert "/nowhere/key cannot be written" in missing.stderr
    assert list(tmp_path.glob("new.txt.*")) == []


def test_status_and_rotation_lead_from_clear_to_a_key_and_to_the_next(bare: Terminal) -> None:
    bare.run("callers", "add", "desk")
    assert keys_of(bare) == {None}
    assert "in clear" in bare.run("secrets", "status").stdout
    refused = bare.run("secrets", "rotate", exit_code=2)
    assert "there is no key to seal with: set KERNEL_SECRETS_KEY" in refused.stderr
    bare.settings["secrets_key"] = SECRETS_KEY
    done = bare.run("secrets", "rotate").stdout
    assert done.startswith("2 secrets changed; all are sealed with the key ")
    (first,) = keys_of(bare)
    bare.settings["secrets_key"] = f"{OTHER},{SECRETS_KEY}"
    bare.run("secrets", "rotate")
    assert keys_of(bare) != {first}
    bare.settings["secrets_key"] = OTHER
    assert bare.run("secrets", "rotate").stdout.startswith("0 secrets changed")


def test_status_names_the_missing_key(terminal: Terminal) -> None:
    terminal.run("secrets", "rotate")
    (needed,) = keys_of(terminal)
    terminal.settings["secrets_key"] = OTHER
    done = terminal.run("secrets", "status", exit_code=1)
    assert f"there is no key {needed}: add it to KERNEL_SECRETS_KEY" in done.stderr
    assert needed in done.stdout


def test_config_check_tells_of_secrets(bare: Terminal) -> None:
    def told(exit_code: int = 1) -> tuple[bool, str]:  # 1: there is no broker
        done = bare.run("config", "check", "--json", exit_code=exit_code)
        (found,) = [one for one in json.loads(done.stdout) if one["check"] == "secrets"]
        return found["ok"], found["detail"]

    assert told() == (True, told()[1])
    assert "KERNEL_SECRETS_KEY is not set" in told()[1]
    bare.settings["secrets_key"] = SECRETS_KEY
    assert "run `kernel secrets rotate`" in told()[1]
    bare.run("secrets", "rotate")
    assert told()[1].startswith("sealed with the key ")
    bare.settings["secrets_key"] = OTHER
    assert told()[0] is False
    shown = bare.run("config", "show").stdout
    assert OTHER not in shown


def test_start_is_refused_in_words_when_the_key_is_missing(terminal: Terminal) -> None:
    terminal.run("secrets", "rotate")
    terminal.settings["secrets_key"] = OTHER
    for command in ("worker", "dispatcher"):
        assert "add that key behind the others" in terminal.run(command, exit_code=2).stderr


def test_receiver_that_no_key_opens_is_shown_and_not_changed(terminal: Terminal) -> None:
    terminal.run("callers", "add", "desk")
    at = ("desk-in", "--caller", "desk")
    terminal.run(
        "receivers", "add", *at, "--url", "https://desk.example/in", "--bearer", stdin="x\n"
    )
    terminal.settings["secrets_key"] = OTHER
    (shown,) = terminal.json("receivers", "list")
    assert shown["credentials"] == {"locked": True}
    refused = terminal.run("receivers", "set", *at, "--timeout", "5s", exit_code=1)
    assert "a secret is sealed with the key" in refused.stderr
    terminal.run("receivers", "remove", *at)


def test_live_orders_with_secret_arguments_are_named_when_secrets_are_put_in_clear(
    terminal: Terminal,
) -> None:
    given = {"secret_args": '{"/password":"hush"}'}
    make_order(terminal.kernel, state="success", **given)
    make_order(terminal.kernel)
    assert "warning" not in terminal.run("secrets", "rotate", "--to-clear").stderr
    live = [make_order(terminal.kernel, state=one, **given) for one in ("pending", "waiting")]
    said = terminal.run("secrets", "rotate", "--to-clear").stderr
    assert all(one in said for one in live)
    assert "let them end, or cancel them" in said
    assert "warning" not in terminal.run("secrets", "rotate").stderr


def test_older_release_is_refused_until_secrets_are_in_clear(terminal: Terminal) -> None:
    url = str(terminal.settings["database_url"])
    terminal.run("callers", "add", "desk")
    with pytest.raises(Conflict, match="rotate --to-clear"):
        migrate.downgrade(url, "0011")
    assert "all are in clear" in terminal.run("secrets", "rotate", "--to-clear").stdout
    migrate.downgrade(url, "0011")
    migrate.upgrade(url)
    with terminal.kernel.read_session() as session:
        assert len(signing_secrets(session)) == 2


def test_new_secret_is_refused_without_the_key_where_others_are_sealed(terminal: Terminal) -> None:
    terminal.run("callers", "add", "desk")
    del terminal.settings["secrets_key"]
    at = ("desk-in", "--caller", "desk", "--url", "https://desk.example/in")
    for command in (
        ("callers", "add", "other"),
        ("callers", "rotate-secret", "desk"),
        ("receivers", "add", *at, "--bearer"),
    ):
        refused = terminal.run(*command, exit_code=1, stdin="x\n")
        assert "a new one would be stored in clear" in refused.stderr
    terminal.settings["secrets_key"] = SECRETS_KEY
    terminal.run("callers", "add", "other")


# ---- kernel up ----------------------------------------------------------------------------------


def test_up_makes_a_key_for_this_user_alone_and_seals_with_it(
    bare: Terminal, tmp_path: Path
) -> None:
    secret = bare.json("callers", "add", "desk")["signing_secret"]
    settings = load(**bare.settings)
    seal_embedded(settings)
    file = tmp_path / "kernel.db.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    key = file.read_text()
    assert keys_of(bare) == set(bare.kernel.keyring.ids)
    with bare.kernel.read_session() as session:
        assert signing_secrets(session)[-1] == secret
    seal_embedded(settings)
    assert file.read_text() == key
    assert secret.encode() not in b"".join(one.read_bytes() for one in tmp_path.iterdir())


def test_up_makes_no_key_where_one_is_set_or_was_lost(bare: Terminal, tmp_path: Path) -> None:
    seal_embedded(load(**bare.settings | {"secrets_key": SECRETS_KEY}))
    file = tmp_path / "kernel.db.key"
    assert not file.exists()
    seal_embedded(load(**bare.settings))
    assert not file.exists()
    assert "KERNEL_SECRETS_KEY is not set: add that key" in bare.run("worker", exit_code=2).stderr


def test_own_key_that_others_can_read_is_taken_from_them(bare: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "kernel.db.key"
    file.write_text(OTHER)
    file.chmod(0o644)
    bare.run("secrets", "rotate")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.write_text("nonsense")
    refused = bare.run("secrets", "rotate", exit_code=2)
    assert f"{file}: a key is 32 bytes" in refused.stderr


def test_no_own_key_is_made_for_a_database_on_a_server(
    mariadb_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    migrate.upgrade(mariadb_url)
    settings = load(database_url=mariadb_url)
    seal_embedded(settings)
    assert list(tmp_path.iterdir()) == []
    assert Keyring.of(settings).is_empty
    with closing(Terminal(mariadb_url)) as terminal:
        assert {one.key for one in count_sealed(terminal.kernel)} == {None}
