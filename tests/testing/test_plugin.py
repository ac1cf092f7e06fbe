"""`kernel.testing.pytest` as a user has it: a folder of its own, a pytest of its own."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HANDLERS = """
from pydantic import BaseModel, SecretStr
from sqlalchemy import Column, Integer, MetaData, String, Table, insert

from kernel import Handlers, Run

metadata = MetaData()
handlers = Handlers(metadata)
badges = Table("badges", metadata, Column("id", Integer, primary_key=True), Column("of", String(9)))


class Badge(BaseModel):
    of: str
    parts: int = 1


@handlers.register("badge", Badge)
def badge(run: Run, args: Badge) -> dict[str, object]:
    run.session.execute(insert(badges).values(of=args.of))
    return {"share": 6 // args.parts}
"""
CONFTEST = 'pytest_plugins = ["kernel.testing.pytest"]\n'
INI = "[pytest]\nkernel_handlers = badges:handlers\n"
TESTS = """
import warnings

import pytest

from kernel import Kernel
from kernel.testing import drain, poll
from kernel.testing.pytest import Callbacks, Submit


def test_badge(kernel: Kernel, submit: Submit, callbacks: Callbacks) -> None:
    one = submit("badge", of="Ada", reference="REQ7")
    assert drain(kernel) == 2
    assert poll(kernel, one)["data"]["state"] == "success"
    (callback,) = callbacks
    assert (callback.status, callback.data["result"]) == (0, {"share": 6})
    assert callback.data["reference"] == "REQ7"
    assert callback.is_signed
    assert callback.headers["webhook-id"]


def test_receiver_that_is_away(kernel: Kernel, submit: Submit, callbacks: Callbacks) -> None:
    callbacks.answer(503, "timeout", 200)
    submit("badge", of="Ada")
    drain(kernel)
    assert len(callbacks) == 1
    for _ in range(2):
        kernel.clock.shift(3600)
        drain(kernel)
    assert [one.is_signed for one in callbacks[:]] == [True, True, True]
    drain(kernel)
    assert len(callbacks) == 3


@pytest.mark.kernel(language="zh")
def test_settings_of_one_test(kernel: Kernel) -> None:
    assert kernel.settings.language == "zh"


def test_bug(kernel: Kernel, submit: Submit, callbacks: Callbacks) -> None:
    submit("badge", of="Ada", parts=0)
    with pytest.raises(ZeroDivisionError):
        drain(kernel)
    assert callbacks[0].data["error"]["code"] == "internal_error"


def test_warning_is_no_error() -> None:
    warnings.warn("kernel's own tests would fail", DeprecationWarning, stacklevel=1)
"""
BUG = """
from kernel import Kernel
from kernel.testing import drain
from kernel.testing.pytest import Submit


def test_bug(kernel: Kernel, submit: Submit) -> None:
    submit("badge", of="Ada", parts=0)
    drain(kernel)
"""
OWN = """
from pydantic import BaseModel, SecretStr
from kernel import Handlers, Run

handlers, other = Handlers(), Handlers()


class DeskSettings(BaseModel):
    url: str = "https://default"


class Key(BaseModel):
    key: SecretStr


class Nothing(BaseModel):
    pass


handlers.settings(DeskSettings)
other.settings(DeskSettings, name="other")
hidden = Handlers()
hidden.settings(Key)


def tell(run: Run, args: Nothing) -> dict[str, object]:
    run.checkpoint(1)
    return {"at": run.settings.url}


handlers.register("tell", Nothing)(tell)
other.register("tell", Nothing)(tell)
hidden.register("hide", Nothing)(lambda run, args: {"key": len(run.settings.key)})
handlers.include(other, prefix="other.")
"""
OWN_TESTS = """
import pytest

from kernel.errors import ConfigurationError
from kernel.testing import crash_after, drain, poll, use_settings

from own import DeskSettings, handlers as desk, hidden


@pytest.fixture
def handlers(request):
    return request.param


def told(kernel, order):
    return poll(kernel, order)["data"]["result"]["at"]


@pytest.mark.parametrize("handlers", [desk], indirect=True)
def test_defaults_are_the_same_in_a_run_that_dies_and_the_next(kernel, submit):
    orders = [submit(tag) for tag in ("tell", "other.tell")]
    with crash_after(kernel, checkpoint=1):
        drain(kernel)
    drain(kernel)
    assert {told(kernel, one) for one in orders} == {"https://default"}


@pytest.mark.parametrize("handlers", [desk], indirect=True)
def test_settings_are_said_for_all_registries_of_a_class_also_in_a_crash(kernel, submit):
    orders = [submit(tag) for tag in ("tell", "other.tell")]
    with crash_after(kernel, checkpoint=1):
        use_settings(kernel, DeskSettings(url="https://test"))
        drain(kernel)
    drain(kernel)
    assert {told(kernel, one) for one in orders} == {"https://test"}


@pytest.mark.parametrize("handlers", [hidden], indirect=True)
def test_what_is_missing_is_told_with_the_way_to_say_it(kernel, submit):
    submit("hide")
    with pytest.raises(ConfigurationError, match=r"use_settings\\(kernel, MySettings"):
        drain(kernel)
"""
Pytest = Callable[..., str]


@pytest.fixture
def run_pytest(tmp_path: Path) -> Pytest:
    """Write files and run pytest in their folder, which is not part of this checkout."""

    def run(code: int, *options: str, files: dict[str, str]) -> str:
        for name, text in ({"badges.py": HANDLERS} | files).items():
            (tmp_path / name).write_text(text)
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "KERNEL_DATABASE_URL": "nonsense"},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    return run


def test_fixtures_of_the_plugin_serve_a_handler_of_a_user(run_pytest: Pytest) -> None:
    files = {"conftest.py": CONFTEST, "pytest.ini": INI, "test_badges.py": TESTS}
    assert "5 passed" in run_pytest(0, "-q", files=files)


def test_plugin_can_be_named_in_a_test_file_and_its_handlers_by_a_fixture(
    run_pytest: Pytest,
) -> None:
    own = "\n@pytest.fixture\ndef handlers():\n    import badges\n    return badges.handlers\n"
    files = {"test_badges.py": CONFTEST + TESTS + own}
    assert "5 passed" in run_pytest(0, "-q", files=files)


def test_bug_of_a_handler_shows_its_own_line_in_the_failing_test(run_pytest: Pytest) -> None:
    files = {"conftest.py": CONFTEST, "pytest.ini": INI, "test_bug.py": BUG}
    said, *_ = run_pytest(1, "-q", files=files).split("Captured log")
    assert 'return {"share": 6 // args.parts}' in said
    assert "ZeroDivisionError" in said
    assert "has ended as internal_error" in said
    assert "runs/execute.py" not in said


def test_handlers_own_settings_are_those_of_the_test_alone(
    run_pytest: Pytest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERNEL_HANDLERS_DESK_URL", "https://production")
    monkeypatch.setenv("KERNEL_HANDLERS_KEY_KEY", "production")
    monkeypatch.setenv("KERNEL_HANDLERS_GONE_URL", "https://production")
    (tmp_path / "kernel.toml").write_text('[handlers.other]\nurl = "https://production"\n')
    files = {"conftest.py": CONFTEST, "own.py": OWN, "test_own.py": OWN_TESTS}
    assert "3 passed" in run_pytest(0, "-q", files=files)


def test_plugin_says_what_to_type_when_no_handlers_are_named(run_pytest: Pytest) -> None:
    said = run_pytest(1, "-q", files={"conftest.py": CONFTEST, "test_bug.py": BUG})
    assert "which handlers are to be tested? Say it in pytest's settings (kernel_handlers" in said


def test_plugin_says_what_is_wrong_with_the_handlers_that_are_named(run_pytest: Pytest) -> None:
    ini = "[pytest]\nkernel_handlers = badgers:handlers\n"
    files = {"conftest.py": CONFTEST, "pytest.ini": ini, "test_bug.py": BUG}
    said = run_pytest(1, "-q", files=files)
    assert "kernel_handlers=badgers:handlers: there is no module 'badgers'" in said
    assert "badges" in said


def test_pytest_of_others_neither_loads_the_plugin_nor_knows_its_setting(
    run_pytest: Pytest,
) -> None:
    test = (
        "import sys\n\n\ndef test_it():\n    assert not [m for m in sys.modules if m == 'kernel']\n"
    )
    said = run_pytest(0, "-q", "--fixtures", files={"test_other.py": test})
    assert "kernel" not in said
    assert "1 passed" in run_pytest(0, "-q", files={})
