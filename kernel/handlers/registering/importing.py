"""Why a module of handlers cannot be used, for the person who wrote it or named it."""

import importlib
import os
import sys
import traceback
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType

from kernel.config.near import did_you_mean

# How many lines of the author's own files are shown, the innermost last.
SHOWN = 4
# Frames of these folders (kernel.handlers is the first) say nothing about the author's files.
HERE = (str(Path(__file__).parent.parent), str(Path(importlib.__file__).parent), "<frozen")


def why_not_imported(module_name: str, error: BaseException) -> str:
    """Say what ``error`` means, which importing a module raised, and what to type."""
    if isinstance(error, ModuleNotFoundError) and error.name is not None:
        # Its own package, or one that a part of its name takes for a package.
        if module_name.partition(".")[0] == error.name.partition(".")[0]:
            return _no_such_module(module_name, error.name) + places(error)
        return (
            f"it imports {error.name}, which is not installed here: "
            f"{sys.executable} -m pip install {error.name.partition('.')[0]}{places(error)}"
        )
    if isinstance(error, SyntaxError):
        line = f": {error.text.strip()}" if error.text else ""
        return f"{error.filename}, line {error.lineno}: {error.msg}{line}"
    if isinstance(error, SystemExit):
        return (
            "importing it ends the process: what is to be done only where it is started as a "
            f'program stands below `if __name__ == "__main__":`{places(error)}'
        )
    return f"importing it failed: {type(error).__name__}: {error}{places(error)}"


def no_registry(module: ModuleType, module_name: str, attribute: str, instead: str) -> str:
    """Say that this attribute is no `Handlers`; ``instead``: what to write, if it has one.

    Python and what is installed have modules of common names, too: the file tells which it was.
    """
    file = getattr(module, "__file__", None) or "built in"
    said = f"{attribute} is not a Handlers object of {module_name} ({file})"
    if not attribute:
        said = f"which registry of {module_name} ({file}) is meant is not said"
    if instead:
        return f"{said}; write {instead}"
    if (hidden := _hidden(module_name, file)) is not None:
        return f"{said}; {hidden} is never imported, for this one has its name: rename yours"
    name = attribute or "handlers"
    return f"{said}, and it has none: write `{name} = Handlers()` in it, and register there"


def _hidden(module_name: str, file: str) -> Path | None:
    """Return the author's file of this name in a folder on the path, if it is another one."""
    for folder in dict.fromkeys((os.getcwd(), *sys.path[:1])):
        place = Path(folder, *module_name.split("."))
        for mine in (place.with_suffix(".py"), place / "__init__.py"):
            if mine.is_file() and mine.resolve() != Path(file).resolve():
                return mine
    return None


def _no_such_module(module_name: str, missing: str) -> str:
    said = f"there is no module {missing!r} on the import path"
    if module_name.endswith(".py"):
        return f"{said}: write the module's name without .py"
    if "/" in module_name:
        return f"{said}: write dots for slashes, from the folder that is on the path"
    near = did_you_mean(missing, _beside())
    return f"{said}, which begins with {sys.path[0] or 'the current folder'}{near}"


def _beside() -> list[str]:
    """Return the modules of the first folder on the path, where most people keep theirs."""
    return [one.name for one in iter_modules(sys.path[:1])]


def places(error: BaseException) -> str:
    """Return the lines of the author's files that led to ``error``, each on a line of its own."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(HERE)
    ]
    return "".join(f"\n  {one.filename}, line {one.lineno}: {one.line}" for one in frames[-SHOWN:])
