"""What KERNEL_HANDLERS may name: modules, packages, entry points, all of these, and several."""

import importlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kernel.errors import ConfigurationError
from kernel.handlers import load_handlers
from kernel.runtime.kernel import Kernel
from kernel.testing import drain
from tests.support.clients import Client, client

KERNEL = Path(sys.executable).with_name("kernel")
# A package whose registry includes those of its modules.
PACKAGE = """
from kernel import Handlers
from . import issues, users

handlers = Handlers()
handlers.include(issues.handlers, prefix="issues.")
handlers.include(users.registries.people)
"""
MODULE = """
from pydantic import BaseModel
from kernel import Handlers, Run
from .words import SAID

class Args(BaseModel):
    name: str

handlers = Handlers()

@handlers.register("{tag}", Args)
def open_it(run: Run, args: Args):
    return {{"said": SAID + args.name}}
"""
MORE = "\nclass registries:\n    people = handlers\n"
ALONE = MODULE.replace("from .words import SAID", "SAID = 'alone '")

LATE = "from pydantic import BaseModel, RootModel\nfrom kernel import Handlers\n"
REGISTERED = """
handlers = Handlers()
handlers.register("do", Args)(lambda run, args: {})

class Address(BaseModel):
    street: str
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder on the import path; what is imported from it is forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def package(folder: Path, name: str = "myteam") -> None:
    """Write a package of handlers with the tags issues.open and add_user."""
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text(PACKAGE)
    (folder / name / "issues.py").write_text(MODULE.format(tag="open"))
    (folder / name / "users.py").write_text(MODULE.format(tag="add_user") + MORE)
    (folder / name / "words.py").write_text("SAID = 'it is '")


def installed(folder: Path, distribution: str, **points: str) -> None:
    """Write what an installer leaves of a package with these entry points."""
    info = folder / f"{distribution}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    lines = [f"{name} = {value}" for name, value in points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[kernel.handlers]", *lines, ""]))
    importlib.invalidate_caches()


def refused(named: str) -> str:
    with pytest.raises(ConfigurationError) as error:
        load_handlers(named)
    assert error.value.message.startswith(f"KERNEL_HANDLERS={named}: ")
    return error.value.message.removeprefix(f"KERNEL_HANDLERS={named}: ")


def test_package_with_relative_imports_is_loaded(folder: Path) -> None:
    package(folder)
    assert list(load_handlers("myteam:handlers")) == ["issues.open", "add_user"]
    assert list(load_handlers("myteam.users:registries.people")) == ["add_user"]


def test_several_registries_are_one_and_run_their_orders(
    folder: Path, make_kernel: Callable[..., Kernel], sqlite_url: str
) -> None:
    package(folder)
    (folder / "alone.py").write_text(ALONE.format(tag="alone"))
    kernel = make_kernel(sqlite_url, load_handlers("myteam:handlers, alone:handlers"))
    zammad: Client = client(kernel)
    for tag, said in (("issues.open", "it is so"), ("alone", "alone so")):
        order = {"select_tag": tag, "name": "so", "callback_url": None}
        order_id = zammad.post("/v1/orders", json=order).json["data"]["order_id"]
        drain(kernel)
        shown = zammad.get(f"/v1/orders/{order_id}").json["data"]
        assert (shown["state"], shown["result"]) == ("success", {"said": said})


def test_entry_points_are_named_by_themselves_or_all_at_once(folder: Path) -> None:
    package(folder)
    (folder / "alone.py").write_text(ALONE.format(tag="alone"))
    installed(folder, "team-handlers", team="myteam:handlers", lone="alone:handlers [extra]")
    assert list(load_handlers("team")) == ["issues.open", "add_user"]
    assert list(load_handlers("lone,team")) == ["alone", "issues.open", "add_user"]
    assert list(load_handlers("*")) == ["alone", "issues.open", "add_user"], "by their names"
    builtin = load_handlers("kernel.builtin:handlers,*")
    assert set(builtin) == {"create_project", "import_projects", "alone", "issues.open", "add_user"}


def test_tag_of_two_registries_is_refused_with_both_places(folder: Path) -> None:
    for name in ("one", "two"):
        (folder / f"{name}.py").write_text(ALONE.format(tag="open"))
    said = refused("one:handlers,two:handlers")
    places = [re.escape(f"{folder / name}.py, line 11") for name in ("one", "two")]
    assert re.fullmatch(
        f"select_tag 'open' is registered twice, in {places[0]} and in {places[1]}", said
    )


def test_registry_that_is_named_twice_is_refused(folder: Path) -> None:
    (folder / "more.py").write_text("from kernel.builtin import handlers")
    said = refused("kernel.builtin:handlers,more:handlers")
    assert "kernel.builtin:handlers and more:handlers are the same registry" in said


def test_what_is_wrong_in_one_of_several_names_it_and_its_line(folder: Path) -> None:
    package(folder)
    (folder / "broken.py").write_text("x = 1\nx[0]\n")
    (folder / "hand.py").write_text("from kernel import Handlers\nhand = Handlers()")
    installed(folder, "team-handlers", broken="broken:handlers", hand="hand:handlers", bare="hand")
    said = refused("myteam:handlers,broken:handlers")
    assert said.startswith("broken:handlers: importing it failed: TypeError")
    assert f"{folder}/broken.py, line 2: x[0]" in said
    said = refused("myteam:handlers, hand:handlers")
    assert said.endswith("; write KERNEL_HANDLERS=myteam:handlers,hand:hand")
    said = refused("myteam:handlers,broken")
    assert said.startswith("entry point broken of team-handlers, which is broken:handlers: impor")
    assert refused("hand").endswith("write hand = 'hand:hand' among its entry points")
    assert "which registry of hand (" in refused("bare")


@pytest.mark.parametrize("code", ["", "0", "2", "'no database'"])
def test_module_that_ends_the_process_is_told_with_its_line(folder: Path, code: str) -> None:
    """A program that was never meant to be imported; its end would look like a success."""
    (folder / "script.py").write_text(f"import sys\nsys.exit({code})\n")
    said = refused("script:handlers")
    assert said.startswith("importing it ends the process: ")
    assert 'below `if __name__ == "__main__":`' in said
    assert f"{folder}/script.py, line 2: sys.exit({code})" in said


@pytest.mark.parametrize("name", ["queue", "kernel", "click"])
def test_module_whose_name_another_one_has_is_told_with_both_files(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (folder / f"{name}.py").write_text("from kernel import Handlers\nhandlers = Handlers()")
    monkeypatch.chdir(folder)
    said = refused(f"{name}:handlers")
    assert f"is not a Handlers object of {name} ({sys.modules[name].__file__})" in said
    assert said.endswith(
        f"{folder / name}.py is never imported, for this one has its name: rename yours"
    )


def test_file_of_commands_that_is_not_there_is_told_with_its_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    said = refused("commands.toml")
    assert said == f"{folder}/commands.toml cannot be read: No such file or directory"


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (
            "class Args(BaseModel):\n    at: 'Adress'",
            "Args names Adress, which is not defined in late",
        ),
        ("class Args(BaseModel):\n    at: list['Adress'] = []", "Args names Adress, which is not"),
        (
            "class In(BaseModel):\n    at: 'No'\nclass Args(BaseModel):\n    at: In",
            " names No, which",
        ),
        (
            "class Args(RootModel[list[int]]):\n    pass",
            "and Args is of type array: make it a Base",
        ),
        ("class Args(RootModel[int]):\n    pass", "and Args is of type integer"),
    ],
)
def test_model_that_no_order_can_fit_is_refused(folder: Path, model: str, words: str) -> None:
    (folder / "late.py").write_text(f"{LATE}{model}\n{REGISTERED}")
    assert words in refused("late:handlers")


@pytest.mark.parametrize(
    "model",
    [
        "class Args(BaseModel):\n    at: 'Address'",
        "class Args(RootModel[dict[str, int]]):\n    pass",
        "from typing import Annotated\nfrom pydantic import BeforeValidator\n"
        "class Args(RootModel[Annotated[list[int], BeforeValidator(list)]]):\n    pass",
        "from pydantic import model_validator\nclass Args(RootModel[list[int]]):\n"
        "    @model_validator(mode='before')\n    def read(given):\n        return [1]",
        "class One(BaseModel):\n    a: int\nclass Args(RootModel[One | dict[str, str]]):\n    pass",
    ],
)
def test_model_may_name_what_the_module_defines_later(folder: Path, model: str) -> None:
    (folder / "late.py").write_text(f"{LATE}{model}\n{REGISTERED}")
    assert list(load_handlers("late:handlers")) == ["do"]


def test_include_that_is_refused_is_told_with_its_line(folder: Path) -> None:
    package(folder)
    (folder / "myteam" / "users.py").write_text(MODULE.format(tag="issues.open") + MORE)
    said = refused("myteam:handlers")
    assert "'issues.open' is registered twice, in " in said
    assert f"\n  {folder}/myteam/__init__.py, line 7: handlers.include(users" in said


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ("*", "no installed package has an entry point in the group kernel.handlers"),
        ("kernel.builtin:handlers,", "there is nothing before or behind a comma"),
        ("gitlab", "nor has an installed package an entry point of that name, of which there are "),
        ("mine", "is meant is not said; write KERNEL_HANDLERS=mine:hand"),
    ],
)
def test_name_that_leads_nowhere_is_explained(folder: Path, named: str, words: str) -> None:
    (folder / "mine.py").write_text("from kernel import Handlers\nhand = Handlers()")
    assert words in refused(named)


def test_name_that_is_almost_an_entry_points_is_told(folder: Path) -> None:
    installed(folder, "team-handlers", gitlab="mine:handlers")
    assert "of which there are gitlab; did you mean gitlab?" in refused("gitlba")


def test_entry_point_of_two_packages_is_refused(folder: Path) -> None:
    installed(folder, "team-handlers", gitlab="mine:handlers")
    installed(folder, "other-handlers", gitlab="theirs:handlers")
    assert "of other-handlers and team-handlers: uninstall one of them" in refused("gitlab")


def test_command_line_sees_what_is_named(folder: Path, sqlite_url: str) -> None:
    package(folder)
    installed(folder, "team-handlers", team="myteam:handlers")
    settings = {"KERNEL_HANDLERS": "kernel.builtin:handlers, *", "KERNEL_DATABASE_URL": sqlite_url}

    def said(*words: str) -> str:
        return subprocess.run(
            [KERNEL, *words],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
            cwd=folder,
            env=os.environ | settings | {"PYTHONPATH": os.getcwd()},
        ).stdout

    tags = "create_project, import_projects, issues.open, add_user"
    assert f"kernel.builtin:handlers, *: {tags}" in said("config", "check")
    body = json.loads(said("openapi"))["paths"]["/v1/orders"]["post"]["requestBody"]
    examples = body["content"]["application/json"]["examples"]
    assert ", ".join(examples) == tags
