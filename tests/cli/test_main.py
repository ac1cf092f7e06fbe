"""The list of commands: what `kernel --help` writes about them, and what loads with them."""

import importlib
import pkgutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

import click
import pytest

from kernel.cli import commands as package
from kernel.cli.main import COMMANDS, main


def commands() -> dict[str, click.Command]:
    """All commands of the command line, loaded."""
    context = click.Context(main)
    found = {name: main.get_command(context, name) for name in main.list_commands(context)}
    return {name: one for name, one in found.items() if one is not None}


def below(command: click.Command) -> Iterator[click.Command]:
    """A command and, of a group, all of its commands."""
    yield command
    for one in command.commands.values() if isinstance(command, click.Group) else ():
        yield from below(one)


def test_list_says_of_each_command_what_the_command_says_of_itself() -> None:
    lines = {name: one.get_short_help_str(limit=1000) for name, one in commands().items()}
    assert lines == {name: place.line for name, place in COMMANDS.items()}
    assert [one.name for one in commands().values()] == sorted(COMMANDS)


@pytest.mark.parametrize("width", [50, 80, 200])
def test_help_is_laid_out_as_click_would_do_it(width: int) -> None:
    eager = click.Group(main.name, commands=commands(), help=main.help, params=main.params)
    settings: dict[str, Any] = {"terminal_width": width, **main.context_settings}
    written = [one.get_help(click.Context(one, info_name="k", **settings)) for one in (eager, main)]
    assert written[0] == written[1]


def test_every_command_that_is_defined_is_reached_from_the_list() -> None:
    reached = [one for command in commands().values() for one in below(command)]
    found = pkgutil.iter_modules(package.__path__, f"{package.__name__}.")
    for name in [*(module.name for module in found), "kernel.cli.demo"]:
        defined = vars(importlib.import_module(name)).values()
        lost = [one.name for one in defined if isinstance(one, click.Command) if one not in reached]
        assert lost == [], name


def test_unknown_command_is_refused_without_loading_any() -> None:
    assert main.get_command(click.Context(main), "ordres") is None


def test_commands_load_without_alembic_and_the_list_without_any_of_them() -> None:
    code = """
        import sys
        from kernel.cli.main import COMMANDS, main
        assert not {"flask", "celery", "sqlalchemy", "pydantic"} & sys.modules.keys()
        for name in COMMANDS:
            main.get_command(None, name)
        assert "alembic" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)


def takes(option: click.Parameter, text: str) -> bool:
    """Tell whether an option takes this as its number."""
    try:
        option.type.convert(text, option, None)
    except click.BadParameter:
        return False
    return True


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e308", "-1e308", str(2**63), "-1"])
def test_no_option_takes_a_number_that_no_row_or_calendar_holds(text: str) -> None:
    number = click.types.IntParamType | click.types.FloatParamType
    every = [one for each in commands().values() for one in below(each)]
    asked = [(one, option) for one in every for option in one.params]
    numbers = [(one, option) for one, option in asked if isinstance(option.type, number)]
    assert len(numbers) > 20
    assert [(one.name, option.name) for one, option in numbers if takes(option, text)] == []
