"""Reads a file of commands: what is wrong with it is told with its tag, its key and what was meant.

Paths in it, of programs and directories, begin at the file's folder.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from kernel.config.near import did_you_mean
from kernel.errors import ConfigurationError
from kernel.handlers.commands.arguments import make_model
from kernel.handlers.commands.checks import Wrong, checked, refuse_limits
from kernel.handlers.commands.tables import Argument, Command, Condition, Exit, Table
from kernel.handlers.registry import Handlers

# What belongs to a handler of every kind is given to `Handlers.register` as it is.
REGISTERED = ("time_limit", "concurrency", "rate", "per", "reference", "title", "says")
TABLES: Mapping[str, type[Table]] = {"arguments": Argument, "exit_codes": Exit, "argv": Condition}


def load_commands(path: str) -> Handlers:
    """Return a registry with a handler for each command of the file.

    Raises ConfigurationError, which names tag and key of each mistake of the first wrong command.
    """
    file = Path(path).absolute()
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is no TOML: {error}") from None
    handlers = Handlers()
    for tag, table in found.items():
        try:
            _register(handlers, tag, table, file.parent)
        except ValidationError as error:
            said = "\n".join(_explain(tag, table, one) for one in error.errors())
            raise ConfigurationError(f"{path}: {said}") from None
        except Wrong as wrong:
            place = ".".join((tag, *wrong.place))
            raise ConfigurationError(f"{path}: [{place}] {wrong.said}") from None
        except ConfigurationError as error:
            raise ConfigurationError(f"{path}: {error.message}") from None
    if not found:
        raise ConfigurationError(f"{path} has no command: write a table such as [restart_service]")
    return handlers


def _register(handlers: Handlers, tag: str, table: Any, folder: Path) -> None:
    if not isinstance(table, dict):
        raise Wrong("is no table; every command is one, with its tag as the name")
    command = _located(Command.model_validate(table), folder)
    refuse_limits(command)
    program = checked(command)
    leading = {
        name for entry in program.argv for text in entry.texts for name in text.leading
    } & command.arguments.keys()
    try:
        model = make_model(tag, command, leading)
    except ValueError as error:
        name, _, said = str(error).partition(": ")
        raise Wrong(said, "arguments", name) from None
    given = {name: getattr(command, name) for name in REGISTERED}
    runs = command.max_runs or 5 if command.again else 1
    handlers.register(tag, model, result=None, max_runs=runs, **given)(program)


def _located(command: Command, folder: Path) -> Command:
    """Return the command with its paths made absolute; a bare name is looked for in PATH."""
    changed = {"directory": str(folder / command.directory)}
    if "/" in command.program:
        changed["program"] = str(folder / command.program)
    return command.model_copy(update=changed)


def _explain(tag: str, table: Mapping[str, Any], error: Any) -> str:
    """Say what is wrong with a key, in which table, and what it may have been meant to be."""
    where = [one for one in map(str, error["loc"]) if one not in ("str", "Condition", "[key]")]
    *place, key = where or ["?"]
    shown = f"[{'.'.join((tag, *place))}]"
    if error["type"] == "extra_forbidden":
        kind: type[Table] = next((TABLES[one] for one in reversed(place) if one in TABLES), Command)
        known = [field.alias or name for name, field in kind.model_fields.items()]
        near = did_you_mean(key, known) or f"; there are {', '.join(known)}"
        return f"{shown} there is no key {key!r}{near}"
    if error["type"] == "missing":
        return f"{shown} {key} is missing"
    return f"{shown} {key}: {str(error['msg']).removeprefix('Value error, ')}"
