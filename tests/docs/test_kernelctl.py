"""deploy/systemd/kernelctl: what it asks of systemd, which an imitation writes down and does."""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.deployment import DEPLOY, Unit, unit

# Writes its arguments down, hands the credentials over as systemd does, and runs the program.
SYSTEMD_RUN = """#!/bin/sh
printf '%s\\n' "$@" > "$HERE/asked"
while [ "${1#-}" != "$1" ]; do
    case $2 in LoadCredential=*) cp "${2#*:}" "$HERE/credentials/" ;; esac
    case $1 in -p) shift 2 ;; *) shift ;; esac
done
exec env CREDENTIALS_DIRECTORY="$HERE/credentials" "$@"
"""
KERNEL = """#!/bin/sh
printf '%s\\n' "$@" > "$HERE/told"
env > "$HERE/environment"
"""


@dataclass
class Installation:
    """A host with kernel below a folder; ``run`` runs kernelctl as its administrator."""

    folder: Path

    def file(self, path: str, text: str = "", mode: int = 0o600) -> None:
        """Write a file of the host."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)

    def lines(self, name: str) -> list[str]:
        """Return what was written down."""
        return (self.folder / name).read_text().splitlines()

    def environment(self) -> dict[str, str]:
        """Return what the command line of kernel finds in its environment."""
        return dict(one.split("=", 1) for one in self.lines("environment") if "=" in one)

    def run(self, *arguments: str, **environment: str) -> list[str]:
        """Run it; return what systemd was asked."""
        text = (DEPLOY / "systemd" / "kernelctl").read_text()
        for folder in ("/etc/", "/opt/"):
            text = text.replace(folder, f"{self.folder}{folder}")
        self.file("kernelctl", text, 0o755)
        path = f"{self.folder}:{os.environ['PATH']}"
        given = {"PATH": path, "HERE": str(self.folder), **environment}
        subprocess.run([self.folder / "kernelctl", *arguments], env=given, check=True)
        return self.lines("asked")

    def actor(self) -> str:
        """Return the account for which systemd runs the command, as the audit trail names it."""
        (told,) = [one for one in self.lines("asked") if one.startswith("--setenv=")]
        name, value = told.removeprefix("--setenv=").split("=", 1)
        assert name == "SUDO_USER"
        return value


@pytest.fixture
def host(tmp_path: Path) -> Installation:
    """An installation that has no keys, as the documentation makes it."""
    made = Installation(tmp_path)
    made.file("systemd-run", SYSTEMD_RUN, 0o755)
    made.file("opt/kernel/venv/bin/kernel", KERNEL, 0o755)
    (tmp_path / "credentials").mkdir()
    return made


def test_kernelctl_hands_over_the_words_as_they_are(host: Installation) -> None:
    words = ("callers", "add", "a b", "--note", 'c"$HOME"', "")
    asked = host.run(*words)
    assert host.lines("told") == list(words)
    assert f"EnvironmentFile=-{host.folder}/etc/kernel/callers.env" in asked
    assert not [one for one in asked if one.startswith("LoadCredential")]
    assert not [one for one in host.environment() if one.startswith("KERNEL_")]


def test_kernelctl_gets_the_keys_that_only_root_may_read(host: Installation) -> None:
    host.file("etc/kernel/secrets.key", "one")
    host.file("etc/kernel/broker.key", "two")
    host.run("migrate", KERNEL_BROKER_CERT_FILE="/etc/kernel/broker.pem")
    found = host.environment()
    assert Path(found["KERNEL_SECRETS_KEY_FILE"]).read_text() == "one"
    assert Path(found["KERNEL_BROKER_KEY_FILE"]).read_text() == "two"


@pytest.mark.parametrize("name", ["KERNEL_SECRETS_KEY", "KERNEL_SECRETS_KEY_COMMAND"])
def test_kernelctl_leaves_a_key_that_the_settings_name_as_it_is(
    host: Installation, name: str
) -> None:
    host.file("etc/kernel/secrets.key", "one")
    host.file("etc/kernel/broker.key", "two")
    host.run("status", **{name: "another"})
    assert not {"KERNEL_SECRETS_KEY_FILE", "KERNEL_BROKER_KEY_FILE"} & host.environment().keys()


def test_kernelctl_leaves_the_file_of_a_key_that_the_settings_name(host: Installation) -> None:
    host.file("etc/kernel/secrets.key", "one")
    host.file("other.key", "another")
    named = str(host.folder / "other.key")
    host.run("status", KERNEL_SECRETS_KEY_FILE=named)
    assert host.environment()["KERNEL_SECRETS_KEY_FILE"] == named


def test_kernelctl_tells_the_trail_who_called_it(host: Installation) -> None:
    host.run("callers", "add", "jira", SUDO_USER="ada")
    assert host.actor() == "ada"
    host.run("callers", "add", "jira")
    assert host.actor() == pwd.getpwuid(os.geteuid()).pw_name, "without sudo"


NETWORK = "etc/systemd/system/kernel-.service.d/network.conf"


def reached(asked: list[str]) -> list[str]:
    return sorted(one for one in asked if one.startswith("IPAddress"))


def told(unit: Unit) -> list[str]:
    """Return the lines of a unit as systemd-run takes them: an address in each."""
    pairs = [(name, line) for name, lines in unit.values.items() for line in lines]
    pairs = [pair for pair in pairs if pair[0].startswith("IPAddress")]
    return sorted(f"{name}={one}" for name, line in pairs for one in line.split())


def test_kernelctl_reaches_what_the_worker_reaches(host: Installation) -> None:
    host.file("etc/systemd/system/kernel-worker.service", unit("worker").path.read_text())
    assert reached(host.run("status")) == told(unit("worker"))
    assert "IPAddressDeny=10.0.0.0/8" in told(unit("worker"))
    host.file(NETWORK, "[Service]\nIPAddressAllow=10.20.0.7 10.20.0.53\n")
    more = set(reached(host.run("status"))) - set(told(unit("worker")))
    assert more == {"IPAddressAllow=10.20.0.7", "IPAddressAllow=10.20.0.53"}
    host.file(NETWORK, "[Service]\nIPAddressDeny=\n")
    assert reached(host.run("status")) == ["IPAddressAllow=localhost"]


def test_kernelctl_is_held_as_the_checkout_says_before_there_is_a_unit(host: Installation) -> None:
    shipped = "opt/kernel/deploy/systemd/kernel-worker.service"
    host.file(shipped, unit("worker").path.read_text())
    assert reached(host.run("migrate")) == told(unit("worker"))
