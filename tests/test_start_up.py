"""What an import, `kernel --help` and the collection of tests load, and what they cost.

CPU time is that of a child process, user and system, the least of three: a busy machine adds to it.
It is compared with what cannot be saved, measured in the same run.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import kernel

ROOT = Path(__file__).resolve().parent.parent
HEAVY = {"flask", "celery", "kombu", "gunicorn", "redis", "alembic"}
QUEUE_AND_ORM = HEAVY | {"sqlalchemy", "requests"}
HANDLER_FILE = """
from pydantic import BaseModel
from kernel import Handlers, Partial, Reject, Retry, Run

class Args(BaseModel):
    name: str

handlers = Handlers()

@handlers.register("say", Args)
def say(run: Run, args: Args) -> dict:
    return {}
"""


def loaded(code: str) -> set[str]:
    """The packages that a fresh interpreter has loaded after this code."""
    shown = f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", shown], cwd=ROOT, check=True, capture_output=True)
    names = json.loads(done.stdout.splitlines()[-1])
    return {name.partition(".")[0] for name in names}


def cpu_seconds(*command: str) -> float:
    """The CPU time of a command that succeeds."""

    def once() -> float:
        child = subprocess.Popen([sys.executable, *command], cwd=ROOT, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        assert child.returncode == 0, command
        return usage.ru_utime + usage.ru_stime

    return min(once() for _ in range(3))


@pytest.mark.parametrize(
    "code",
    [
        *(
            "import kernel.formats.signing",
            "import kernel.transport.backoff",
            "import kernel.errors",
        ),
        *("import kernel.transport.addresses", "import kernel.delivery.breakers", HANDLER_FILE),
    ],
)
def test_pure_module_or_file_of_handlers_loads_no_framework(code: str) -> None:
    assert loaded(code) & QUEUE_AND_ORM == set()


@pytest.mark.parametrize("module", ["builtin", "config.settings", "db.engine", "formats.envelope"])
def test_room_below_the_queue_loads_neither_flask_nor_celery(module: str) -> None:
    assert loaded(f"import kernel.{module}") & HEAVY == set()


def test_exports_are_listed_before_they_are_loaded() -> None:
    code = "import kernel; assert set(kernel.__all__) < set(dir(kernel))"
    assert loaded(code) & {"pydantic", *QUEUE_AND_ORM} == set()


def test_exports_are_loaded_when_all_are_asked_for() -> None:
    code = "from kernel import *; import kernel; assert set(kernel.__all__) <= set(globals())"
    assert {"flask", "sqlalchemy"} <= loaded(code)


def test_package_has_no_attribute_that_it_does_not_know() -> None:
    with pytest.raises(AttributeError, match="'kernel' has no attribute 'handler'"):
        kernel.handler  # noqa: B018


def test_help_costs_little_more_than_click_and_never_half_a_second() -> None:
    least = cpu_seconds("-c", "import click")
    took = cpu_seconds("-c", "from kernel.cli.main import main; main(['--help'])")
    assert took < min(0.5, 3 * least + 0.1), (took, least)


PURE_TESTS = ["tests/transport/test_backoff.py", "tests/formats/test_signing.py"]


@pytest.mark.parametrize("file", PURE_TESTS)
def test_file_of_pure_tests_is_collected_without_servers_and_frameworks(file: str) -> None:
    code = f"import pytest; assert pytest.main(['-q', '--collect-only', {file!r}]) == 0"
    assert loaded(code) & {*QUEUE_AND_ORM, "playwright", "pymysql", "pydantic"} == set()


def test_file_of_pure_tests_is_collected_as_fast_as_an_empty_one(tmp_path: Path) -> None:
    empty = tmp_path / "test_empty.py"
    empty.write_text("import hypothesis.strategies\n\ndef test_nothing() -> None: ...\n")
    collect = ("-m", "pytest", "-q", "-c", "pyproject.toml", "--collect-only")
    least, took = (cpu_seconds(*collect, file) for file in (str(empty), PURE_TESTS[0]))
    assert took < least + 0.5, (took, least)
