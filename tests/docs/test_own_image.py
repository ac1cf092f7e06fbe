"""deploy/image: its Dockerfile's commands and those of the page, run in a fresh environment."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from kernel.config.settings import PREFIX, Settings
from tests.support.deployment import DEPLOY, ROOT, instructions, services, stages

IMAGE = DEPLOY / "image"
PAGE = (ROOT / "docs" / "deployment.md").read_text()
BUILD = "import hatchling.build, sys; print(hatchling.build.build_wheel(sys.argv[1]))"
# What stands in an index for the example's dependency.
STUB = {
    "ldap3/__init__.py": "",
    "ldap3/utils/__init__.py": "",
    "ldap3/utils/dn.py": "def escape_rdn(rdn):\n    return rdn.replace(',', '\\\\,')\n",
    "ldap3-2.9.1.dist-info/METADATA": "Metadata-Version: 2.1\nName: ldap3\nVersion: 2.9.1\n",
    "ldap3-2.9.1.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "ldap3-2.9.1.dist-info/RECORD": "",
}


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of the test's own: the wheel of this checkout, and the dependency."""
    folder = tmp_path_factory.mktemp("wheels")
    built = subprocess.run(
        [sys.executable, "-c", BUILD, str(folder)], cwd=ROOT, capture_output=True, check=False
    )
    assert built.returncode == 0, built.stderr
    with zipfile.ZipFile(folder / "ldap3-2.9.1-py3-none-any.whl", "w") as archive:
        for name, text in STUB.items():
            archive.writestr(name, text)
    return folder


@pytest.fixture
def fresh(wheels: Path, tmp_path: Path) -> Path:
    """A fresh environment with kernel in it, and its dependencies beside it."""
    folder = tmp_path / "opt" / "kernel"
    venv.create(folder, with_pip=False, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    theirs = Path(sys.executable).parents[1].glob("lib/python*/site-packages")
    # Of this checkout nothing: neither its own editable installation nor what is beside it.
    beside = tmp_path / "beside"
    beside.mkdir()
    for one in next(theirs).iterdir():
        if "kernel" not in one.name and one.suffix != ".pth":
            (beside / one.name).symlink_to(one)
    (site / "beside.pth").write_text(f"{beside}\n")
    run(folder, f"pip install --no-deps --no-index {next(wheels.glob('kernel_*.whl'))}")
    return folder


def run(fresh: Path, command: str, cwd: Path | None = None, **settings: str) -> str:
    """Run a command of a shell with the programs of the environment, pip from outside."""
    outside = f"{shlex.quote(sys.executable)} -m pip --disable-pip-version-check --python"
    python = shlex.quote(str(fresh / "bin" / "python"))
    command = re.sub(r"\bpip (?=install|freeze)", f"{outside} {python} ", command)
    quiet = {name: one for name, one in os.environ.items() if not name.startswith(PREFIX)}
    quiet.pop("PYTHONPATH", None)
    done = subprocess.run(
        ["sh", "-ec", command],
        cwd=cwd or fresh,
        env=quiet | {"PATH": f"{fresh / 'bin'}:{os.environ['PATH']}"} | settings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def index(wheels: Path) -> dict[str, str]:
    """What has pip install from the index of the test, without a build environment of its own."""
    return {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(wheels),
        "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_ROOT_USER_ACTION": "ignore",
    }


def example(fresh: Path, named: str) -> dict[str, str]:
    """The example of the tag that the package registers, as the API document has it."""
    body = json.loads(run(fresh, "kernel openapi", KERNEL_HANDLERS=named))
    examples = body["paths"]["/v1/orders"]["post"]["requestBody"]["content"]["application/json"]
    found: dict[str, str] = examples["examples"]["directory.name"]["value"]
    return found


def in_place(command: str, fresh: Path, constraints: Path) -> str:
    """The command of an image or a host, with its paths in the test's folder."""
    command = command.replace("/usr/local/bin/pip --python /opt/kernel/bin/python", "pip")
    command = command.replace("/opt/kernel/venv/bin/pip", "pip")
    for path in ("/opt/kernel/constraints.txt", "/etc/kernel/constraints.txt"):
        command = command.replace(path, str(constraints))
    assert "/opt/" not in command
    return command


def test_commands_of_the_image_install_a_package_that_starts(
    wheels: Path, fresh: Path, tmp_path: Path
) -> None:
    (frozen,) = re.findall(
        r"list --format=freeze[^>]*",
        next(rest for name, rest in stages()[0] if name == "RUN" and "constraints.txt" in rest),
    )
    constraints = tmp_path / "constraints.txt"
    freeze = f"{shlex.quote(sys.executable)} -m pip --python {fresh}/bin/python {frozen}"
    constraints.write_text(run(fresh, freeze))
    assert "kernel-workorders" not in constraints.read_text()
    context, settings = tmp_path / "src", index(wheels)
    context.mkdir()
    for name, rest in instructions(IMAGE / "Dockerfile"):
        if name == "COPY":
            source, target = shlex.split(rest)
            copy = shutil.copytree if (IMAGE / source).is_dir() else shutil.copyfile
            copy(
                IMAGE / source,
                context / target.removeprefix("./") if target != "./" else context / source,
            )
        elif name == "ENV":
            settings |= dict(word.split("=", 1) for word in shlex.split(rest))
        elif name == "RUN":
            run(fresh, in_place(rest, fresh, constraints), context, **settings)
    assert settings["KERNEL_HANDLERS"] == "myteam"
    assert example(fresh, "myteam")["name"] == "Ada, Lovelace"
    assert example(fresh, "kernel.builtin:handlers,*")["select_tag"] == "directory.name"
    (installed,) = fresh.glob("lib/python*/site-packages/ldap3")
    assert installed.is_dir()


def test_dependency_that_kernel_cannot_live_with_is_refused(
    wheels: Path, fresh: Path, tmp_path: Path
) -> None:
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("ldap3==2.8\n")
    command = f"pip install --constraint {constraints} {IMAGE}"
    with pytest.raises(AssertionError, match=r"ldap3"):
        run(fresh, command, **index(wheels))


def test_commands_of_the_page_install_it_on_a_host(
    wheels: Path, fresh: Path, tmp_path: Path
) -> None:
    (block,) = [
        code
        for code in re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
        if "pip freeze" in code
    ]
    shutil.copytree(IMAGE / "myteam", tmp_path / "myteam" / "myteam")
    shutil.copy(IMAGE / "pyproject.toml", tmp_path / "myteam")
    for line in block.splitlines():
        if "pip" in line:
            command = in_place(line, fresh, tmp_path / "constraints.txt")
            run(fresh, command, tmp_path, **index(wheels))
    assert example(fresh, "myteam")["select_tag"] == "directory.name"


def test_image_ends_without_rights_and_sets_known_settings_only() -> None:
    found = instructions(IMAGE / "Dockerfile")
    assert [rest for name, rest in found if name == "USER"] == ["root", "10001:10001"]
    names = {rest.partition("=")[0] for name, rest in found if name == "ENV"}
    assert names <= {PREFIX + name.upper() for name in Settings.model_fields}
    (base,) = [rest for name, rest in found if name == "FROM"]
    assert base == "${KERNEL}"


def test_page_names_the_services_that_take_the_image() -> None:
    ours = {name for name, one in services().items() if one["image"].startswith("kernel-workord")}
    (said,) = re.findall(r"^Compose: .*? for (.*?)\. The image", PAGE, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", said)) == ours
