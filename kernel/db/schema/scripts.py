"""Where the migrations of handlers' own tables lie, as KERNEL_HANDLERS_MIGRATIONS says."""

import importlib.util
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kernel.errors import ConfigurationError

SETTING = "KERNEL_HANDLERS_MIGRATIONS"
NAME = re.compile(r"[a-z][a-z0-9_]{0,29}")


@dataclass(frozen=True, slots=True)
class Scripts:
    """A folder of migrations, with a version table of its own; ``name`` is "" for the only one."""

    name: str
    folder: Path

    @property
    def version_table(self) -> str:
        """The table that says which of them were applied; no application's, and not kernel's."""
        return f"handlers_{self.name}_alembic_version" if self.name else "handlers_alembic_version"

    @property
    def label(self) -> str:
        """What people read."""
        return f"handlers {self.name}".strip()


def scripts_of(named: Iterable[str]) -> list[Scripts]:
    """Return the folders that the setting names: ``folder``, ``package:folder``, ``NAME=...``.

    Raises ConfigurationError, which says what to write, for what is no folder of migrations.
    """
    found: list[Scripts] = []
    for entry in named:
        name, equals, place = entry.rpartition("=")
        if equals and not NAME.fullmatch(name):
            raise ConfigurationError(
                f"{SETTING}: {name!r} names a table: use up to 30 of a-z, 0-9 and _"
            )
        if any(one.name == name for one in found):
            raise ConfigurationError(
                f"{SETTING}: two have the name {name!r}; each needs a version table of its own: "
                f"write it as NAME={place}"
            )
        found.append(Scripts(name, _folder(place)))
    return found


def _folder(place: str) -> Path:
    package, colon, below = place.partition(":")
    folder = _package(package) / below if colon else Path(place)
    if not (folder / "versions").is_dir() or not (folder / "env.py").is_file():
        raise ConfigurationError(
            f"{SETTING}: {folder} has no env.py or no folder versions; make them as "
            "docs/handlers.md, Migrations, says"
        )
    return folder.absolute()


def _package(name: str) -> Path:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise ConfigurationError(f"{SETTING}: there is no package {name!r} on the import path")
    return Path(spec.submodule_search_locations[0])
