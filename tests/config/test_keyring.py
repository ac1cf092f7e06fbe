"""Keyrings: what is sealed, what opens it, where keys come from, and what is never shown."""

import base64
import os
import pickle
import shlex
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from kernel.config import keyring as keyrings
from kernel.config.keyring import Keyring, key_id, new_key
from kernel.config.settings import load
from kernel.errors import ConfigurationError, KernelError, SecretsLocked, Unavailable

OLD, NEW = (base64.urlsafe_b64encode(bytes([one]) * 32).decode() for one in (251, 7))
SECRET = SecretStr("whsec_süß 密钥")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test has a working folder of its own, without a kernel.toml."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ring(*keys: str) -> Keyring:
    return Keyring.of(load(secrets_key=",".join(keys)))


def by_command(command: str) -> Keyring:
    return Keyring.of(load(secrets_key_command=command))


def printing(text: str) -> str:
    return shlex.join([sys.executable, "-c", f"print({text!r})"])


def test_sealed_text_holds_no_secret_and_opens_again() -> None:
    sealed = ring(NEW).seal(SECRET)
    assert sealed.isascii()
    assert sealed.startswith("sealed:")
    assert "whsec_" not in sealed
    assert ring(NEW).open(sealed) == SECRET
    assert ring(NEW).seal(SECRET) != sealed


def test_first_key_seals_and_every_key_opens() -> None:
    before = ring(OLD).seal(SECRET)
    both = ring(NEW, OLD)
    assert both.open(before) == SECRET
    assert key_id(both.seal(SECRET)) == both.ids[0] == ring(NEW).ids[0]


def test_clear_text_of_an_older_release_is_returned_as_it_is() -> None:
    for one in (ring(), ring(NEW)):
        assert one.open("whsec_old") == SecretStr("whsec_old")
    assert key_id("whsec_old") is None


def test_nothing_is_sealed_without_a_key() -> None:
    assert ring().is_empty
    assert ring().seal(SECRET) == SECRET.get_secret_value()
    with pytest.raises(ValueError, match="with a key only"):
        ring().seal(SecretStr("sealed:x:y"))
    assert ring(NEW).open(ring(NEW).seal(SecretStr("sealed:x:y"))) == SecretStr("sealed:x:y")


def test_missing_key_is_named_and_so_are_those_that_are_there() -> None:
    sealed, needed = ring(OLD).seal(SECRET), ring(OLD).ids[0]
    with pytest.raises(SecretsLocked) as caught:
        ring(NEW).open(sealed)
    assert caught.value.message == (
        f"a secret is sealed with the key {needed}, and KERNEL_SECRETS_KEY has {ring(NEW).ids[0]}"
    )
    with pytest.raises(SecretsLocked, match="KERNEL_SECRETS_KEY is not set"):
        ring().open(sealed)


@pytest.mark.parametrize("at", [-1, -20, 20])
def test_changed_text_does_not_open(at: int) -> None:
    sealed = ring(NEW).seal(SECRET)
    changed = sealed[:at] + ("A" if sealed[at] != "A" else "B") + sealed[at:][1:]
    with pytest.raises(SecretsLocked, match="was changed after"):
        ring(NEW).open(changed)


@pytest.mark.parametrize(
    "text",
    ["short", OLD[:-1], OLD + "=", f"{OLD},x", OLD.replace("=", "+")],
    ids=range(5),
)
def test_malformed_key_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^KERNEL_SECRETS_KEY: a key is 32") as caught:
        ring(text)
    assert OLD[:8] not in caught.value.message
    with pytest.raises(ConfigurationError, match=r"^KERNEL_SECRETS_KEY_COMMAND: a key") as caught:
        by_command(printing(text))
    assert OLD[:8] not in caught.value.message


def test_new_key_is_another_each_time() -> None:
    one = new_key().get_secret_value()
    assert not ring(one).is_empty
    assert one != new_key().get_secret_value()


def test_keys_may_stand_on_lines_of_their_own() -> None:
    assert ring(f"{NEW}\n{OLD}\n").ids == ring(NEW, OLD).ids


def test_keyring_is_neither_shown_nor_pickled() -> None:
    one = ring(NEW, OLD)
    for text in (repr(one), str(one), f"{one}"):
        assert NEW not in text
        assert one.ids[0] in text
    with pytest.raises(TypeError, match="holds keys"):
        pickle.dumps(one)


def test_command_prints_the_keys() -> None:
    assert by_command(printing(f"{NEW}\n{OLD}")).ids == ring(NEW, OLD).ids


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("/nowhere/program", "cannot be run: No such file"),
        (shlex.join([sys.executable, "-c", "raise SystemExit(3)"]), "failed with exit code 3"),
        (printing(""), "printed nothing"),
        ("one 'two", "No closing quotation"),
        (shlex.join([sys.executable, "-c", "import sys; sys.stdout.buffer.write(b'\\xff')"]), "32"),
    ],
)
def test_command_that_gives_no_key_is_refused_in_words(command: str, says: str) -> None:
    with pytest.raises(KernelError, match=r"^KERNEL_SECRETS_KEY_COMMAND") as caught:
        by_command(command)
    assert says in caught.value.message


def test_command_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyrings, "COMMAND_TIMEOUT", 0.2)
    with pytest.raises(Unavailable, match="no answer in"):
        by_command(shlex.join([sys.executable, "-c", "import time; time.sleep(60)"]))


def test_key_and_command_are_refused_together() -> None:
    os.environ |= {"KERNEL_SECRETS_KEY": NEW, "KERNEL_SECRETS_KEY_COMMAND": "true"}
    with pytest.raises(ConfigurationError, match="are both set: remove one"):
        load()
