"""The files that handlers come from, and their import anew when one of them changes: development.

A process keeps its old handlers until the new ones could be imported, so a file with a mistake in
it ends nothing. An order that runs goes on with the function it began with.
"""

import importlib
import os
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kernel.errors import ConfigurationError
from kernel.handlers.loading import COMMANDS, load_handlers
from kernel.handlers.registry import Handlers

# A change is seen by the second look after it.
LOOK_SECONDS = 0.1
Stamp = tuple[int, int] | None

_PACKAGE = Path(__file__).resolve().parents[1]
# Where the modules of Python itself and of installed packages lie; other files of an installation
# (scripts, data) are beside the author's, whose folder may be an environment itself.
_MODULES = [sysconfig.get_path(one) for one in ("stdlib", "platstdlib", "purelib", "platlib")]
_INSTALLED = {Path(path).resolve() for path in _MODULES}
_SITE = {"site-packages", "dist-packages"}
# Most of the thousands of modules are told by how their paths begin; the others by looking.
_PLAINLY_NOT = tuple(f"{path}{os.sep}" for path in (_PACKAGE, *_MODULES))
_NOT_IMPORTED = ("__main__", "__mp_main__", "__config__")
# Where no handlers are kept, below the folder that a program was started in.
_NO_SOURCES = {"var", "node_modules", "__pycache__"}


class Sources:
    """The files of the handlers that ``named`` names, as this process has loaded them.

    ``named`` is what KERNEL_HANDLERS says. Make it right after they were loaded. Watched are all
    loaded modules that are neither kernel's nor installed, and files of commands. Belongs to one
    thread.
    """

    def __init__(self, named: str) -> None:
        self._named = named
        # Which files the last change was in.
        self.changed: list[Path] = []
        self._failed = False
        self._files = self._watched()
        self._seen = self._found = self._stamps()

    @property
    def files(self) -> list[Path]:
        """The files that are watched."""
        return sorted(self._files)

    def have_changed(self) -> bool:
        """Tell, once for each change, whether a file has changed and stays as it is now.

        Two looks are needed: an editor may write a file in several steps.
        """
        before, self._found = self._found, self._stamps()
        if self._found == self._seen or self._found != before:
            return False
        self.changed = sorted(one for one, at in self._found.items() if at != self._seen.get(one))
        self._seen = self._found
        return True

    def load(self) -> Handlers:
        """Import the handlers anew.

        Raises ConfigurationError, and leaves the loaded modules as they were.
        """
        with self._without_modules():
            try:
                loaded = load_handlers(self._named)
            except ConfigurationError:
                raise
            except BaseException as error:
                said = f"importing the handlers raised {type(error).__name__}: {error}"
                raise ConfigurationError(said) from error
        return loaded

    @contextmanager
    def _without_modules(self) -> Iterator[None]:
        """Forget the modules in the block; put them back if it raises.

        Those that it does not import were none of the handlers' own; they stay, unwatched.
        """
        before = dict(_own_modules())
        known = {name: sys.modules.pop(name) for name in before}
        for file in before.values():
            _forget_bytecode(file)
        importlib.invalidate_caches()
        writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
        try:
            yield
        except BaseException:
            self._failed = True
            tried = dict(_own_modules())
            for name in tried:
                sys.modules.pop(name, None)
            sys.modules.update(known)
            self._files |= set(tried.values())
            raise
        else:
            self._failed = False
            self._files = self._watched()
            for name, module in known.items():
                sys.modules.setdefault(name, module)
        finally:
            sys.dont_write_bytecode = writes
            self._seen = self._found = self._stamps()

    def _watched(self) -> set[Path]:
        texts = (text.strip() for text in self._named.split(","))
        commands = {Path(text).resolve() for text in texts if text.endswith(COMMANDS)}
        return commands | {file for _, file in _own_modules()}

    def _stamps(self) -> dict[Path, Stamp]:
        """Return what tells a change of each file; after a failure, that files appear, too."""
        found = {file: _stamp(file) for file in self._files}
        if self._failed or not found:
            folders = {file.parent for file in self._files} | {Path.cwd()}
            near = {one for folder in folders for one in _sources_in(folder)}
            found |= {file: _stamp(file) for file in near}
        return found


def load_when_mended(named: str) -> Handlers:
    """Import the handlers; while they cannot be imported, wait for a change of their files."""
    sources = Sources(named)
    while True:
        try:
            return sources.load()
        except ConfigurationError:
            while not sources.have_changed():
                time.sleep(LOOK_SECONDS)  # for the author


def forget_modules() -> None:
    """Forget the author's modules: a copy of this process is to import them, and act, by itself."""
    for name, _ in _own_modules():
        del sys.modules[name]


def _own_modules() -> Iterator[tuple[str, Path]]:
    """Yield the loaded modules that are an author's own, with their files."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if not file or name in _NOT_IMPORTED or file.startswith(_PLAINLY_NOT):
            continue
        if _is_own(path := Path(file).resolve()):
            yield name, path


def _is_own(path: Path) -> bool:
    if path.suffix != ".py" or _PACKAGE in path.parents or _SITE & set(path.parts):
        return False
    return not _INSTALLED & set(path.parents)


def _sources_in(folder: Path) -> Iterator[Path]:
    """Yield the Python files of a folder and of packages in it."""
    with suppress(OSError):
        yield from folder.glob("*.py")
        for below in folder.iterdir():
            if below.is_dir() and below.name[0] not in "._" and below.name not in _NO_SOURCES:
                yield from below.glob("*.py")


def _stamp(file: Path) -> Stamp:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _forget_bytecode(file: Path) -> None:
    """Delete what Python has compiled: it is compared by whole seconds and the size alone."""
    with suppress(OSError, NotImplementedError):
        Path(importlib.util.cache_from_source(str(file))).unlink()
