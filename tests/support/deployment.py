"""What stands in deploy/, read as those who run it would: docker, compose, systemd, Kubernetes."""

import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from kernel.config.settings import PREFIX, Settings
from kernel.worker.pool.whereabouts import BOOT

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
KNOWN = {PREFIX + name.upper() for name in Settings.model_fields}
PARTS = ("api", "worker", "dispatcher")

#: An instruction of a Dockerfile: its name and what follows, continued lines joined.
Instruction = tuple[str, str]


def instructions(dockerfile: Path = ROOT / "Dockerfile") -> list[Instruction]:
    """The instructions of a Dockerfile, without comments."""
    text = re.sub(r"^\s*#.*\n", "", dockerfile.read_text(), flags=re.MULTILINE)
    lines = [line for line in re.sub(r"\\\n\s*", "", text).splitlines() if line.strip()]
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in lines)]


def stages() -> list[list[Instruction]]:
    """The instructions by stage, what stands before the first FROM left out."""
    found: list[list[Instruction]] = []
    for one in instructions():
        if one[0] == "FROM":
            found.append([])
        if found:
            found[-1].append(one)
    return found


def env_file(path: Path) -> dict[str, str]:
    """The settings of an env file; those that are commented out as an example, too."""
    found = re.findall(r"^#?([A-Z][A-Z_]+)=(.*)$", path.read_text(), re.MULTILINE)
    names = [name for name, _ in found]
    assert len(names) == len(set(names)), "a name stands twice"
    return dict(found)


@cache
def compose() -> dict[str, Any]:
    """The Compose file, its merges resolved."""
    loaded: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return loaded


def services() -> dict[str, dict[str, Any]]:
    """The services of the Compose file."""
    found: dict[str, dict[str, Any]] = compose()["services"]
    return found


@cache
def objects() -> list[dict[str, Any]]:
    """Every Kubernetes object, whichever file it stands in."""
    return [one for path in MANIFESTS for one in yaml.safe_load_all(path.read_text())]


def of_kind(kind: str) -> dict[str, dict[str, Any]]:
    """The Kubernetes objects of a kind, by name."""
    return {one["metadata"]["name"]: one for one in objects() if one["kind"] == kind}


def pods() -> dict[str, dict[str, Any]]:
    """The pods that the manifests describe, by the name of who makes them."""
    makers = of_kind("Deployment") | of_kind("Job")
    return {name: one["spec"]["template"]["spec"] for name, one in makers.items()}


class Unit:
    """A systemd service."""

    def __init__(self, path: Path) -> None:
        self.path = path
        pairs = re.findall(r"^(\w+)=(.*)$", path.read_text(), re.MULTILINE)
        self.values: dict[str, list[str]] = {}
        for name, value in pairs:
            self.values.setdefault(name, []).append(value)

    def __getitem__(self, name: str) -> str:
        (value,) = self.values[name]
        return value

    def argv(self, binaries: Path) -> list[str]:
        """What it starts, with the programs from this folder."""
        program, *rest = shlex.split(self["ExecStart"])
        assert program.startswith("/opt/kernel/venv/bin/")
        return [str(binaries / Path(program).name), *rest]

    def environment(self) -> dict[str, str]:
        """What it sets itself, beside the environment file."""
        given = " ".join(self.values["Environment"]).replace("%b", BOOT.read_text().strip())
        return dict(one.split("=", 1) for one in shlex.split(given))


def unit(part: str) -> Unit:
    """The service of the API, the worker or the dispatcher."""
    return Unit(DEPLOY / "systemd" / f"kernel-{part}.service")
