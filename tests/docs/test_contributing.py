"""CONTRIBUTING names files that are there, and its checklists are complete: two are carried out.

The lists for a setting and for an error are done on a copy of the repository, a step for each item.
With all of them the tests that guard the list pass; with one left out they fail.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text()
PATH = re.compile(r"`((?:kernel|tests|docs|migrations|bench)/[\w./]*|[\w.]+\.(?:toml|md))`")


class Step(NamedTuple):
    """What one item of a checklist asks for: ``text`` goes behind the line that is ``after``."""

    file: str
    after: str
    text: str


SETTING = [
    Step("kernel/config/settings.py", r"    database_url: .*", '    greeting: str = "hello"'),
    Step(
        "docs/configuration.md",
        r"\| `KERNEL_LANGUAGE` \|.*",
        "| `KERNEL_GREETING` | `hello` | What a visitor is greeted with. |",
    ),
]
ERROR = [
    Step(
        "kernel/errors.py",
        r"    │   ├── Conflict .*",
        "    │   ├── Teapot                    nothing is brewed here",
    ),
    Step(
        "kernel/errors.py",
        r'    """Its state does not allow that."""',
        '\n\nclass Teapot(RequestRefused, code="teapot"):\n    """No coffee."""',
    ),
    Step("kernel/views/http/errors.py", r"    errors\.Conflict: 409,", "    errors.Teapot: 418,"),
    Step(
        "kernel/formats/texts.py",
        r'    "conflict": .*',
        '    "teapot": {"en": "no coffee is brewed here", "zh": "这里不煮咖啡"},',
    ),
    Step("docs/api.md", r"\| `conflict` \| 409 \|.*", "| `teapot` | 418 | this is a teapot |"),
]
LISTS = {"A setting": SETTING, "An error": ERROR}
# What fails until a list is done; the lists say so.
GUARDS = ["tests/test_project.py", "tests/docs/test_docs.py"]
GUARDING = "setting or error or refusal or code_on_the_wire or text_is_used"


def items(name: str) -> list[str]:
    """The numbered items of a checklist."""
    (found,) = re.findall(rf"^\*\*{name}[*:].*?\n\n((?:\d\. .*\n(?: .*\n)*)+)", PAGE, re.MULTILINE)
    return re.split(r"^\d\. ", found, flags=re.MULTILINE)[1:]


@pytest.mark.parametrize("path", sorted(set(PATH.findall(PAGE))))
def test_every_file_that_contributing_names_is_there(path: str) -> None:
    assert (ROOT / path).exists()


def test_every_module_that_contributing_runs_is_there() -> None:
    for module in re.findall(r"python -m (tests[\w.]+)", PAGE):
        assert (ROOT / module.replace(".", "/")).with_suffix(".py").exists(), module


def test_every_list_names_the_file_of_each_step_first() -> None:
    names = re.findall(r"^\*\*([^*]+?)(?:\*\*|:\*\*)", PAGE.partition("## Style")[0], re.MULTILINE)
    assert {"A handler", "A setting", "A state", "An error", "A dashboard column"} <= set(names)
    assert {"A delivery header", "A database", "A migration", "A room"} <= set(names)
    for name in names[1:]:
        for item in items(name) if name != "Done" else ():
            assert item.startswith("`"), (name, item)


@pytest.mark.parametrize("name", LISTS)
def test_steps_that_are_carried_out_are_those_of_the_list(name: str) -> None:
    assert [re.findall(r"`([^`]+)`", item)[0] for item in items(name)] == [
        step.file for step in LISTS[name]
    ]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of all files that git knows or would."""
    folder = tmp_path_factory.mktemp("copy")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    for name in listed.split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    return folder


@pytest.fixture
def guards(copy: Path) -> Iterator[Callable[[Sequence[Step]], int]]:
    """Carry out steps in the copy and run the tests that guard them; return pytest's exit code.

    Afterwards the copy is as it was.
    """
    before = {step.file: (copy / step.file).read_text() for step in (*SETTING, *ERROR)}

    def run(steps: Sequence[Step]) -> int:
        for step in steps:
            text, count = re.subn(
                rf"^({step.after})$",
                lambda found, step=step: f"{found[1]}\n{step.text}",  # type: ignore[misc]
                (copy / step.file).read_text(),
                flags=re.MULTILINE,
            )
            assert count == 1, f"{step.file}: {count} lines are {step.after}"
            (copy / step.file).write_text(text)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *GUARDS]
        environ = {**os.environ, "PYTHONPATH": str(copy)}
        return subprocess.run(
            [*command, "-k", GUARDING], cwd=copy, env=environ, check=False, capture_output=True
        ).returncode

    yield run
    for file, text in before.items():
        (copy / file).write_text(text)


@pytest.mark.slow
def test_lists_are_complete_when_every_step_is_done(
    guards: Callable[[Sequence[Step]], int],
) -> None:
    assert guards([*SETTING, *ERROR]) == pytest.ExitCode.OK


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "left_out"), [(name, n) for name, steps in LISTS.items() for n in range(len(steps))]
)
def test_guards_fail_when_one_step_is_left_out(
    guards: Callable[[Sequence[Step]], int], name: str, left_out: int
) -> None:
    steps = [step for number, step in enumerate(LISTS[name]) if number != left_out]
    failed = {pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED}
    assert guards(steps) in failed
