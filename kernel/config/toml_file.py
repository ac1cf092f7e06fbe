"""kernel.toml: where it lies, what of it are kernel's settings, and what those of handlers."""

import codecs
import os
import re
import tomllib
from pathlib import Path
from typing import Any

from kernel.config.secret_files import TomlWithFiles
from kernel.errors import ConfigurationError

# The variable that names the file.
CONFIG_FILE = "KERNEL_CONFIG"
# Where handlers have settings, `handlers` is a table; this is its key for KERNEL_HANDLERS then.
REGISTRY = "registry"


class KernelToml(TomlWithFiles):
    """kernel.toml without the settings of handlers, which are read when these are known."""

    def __call__(self) -> dict[str, Any]:
        """Return the members; of a table `handlers`, its registry alone."""
        found = super().__call__()
        given = found.get("handlers")
        if isinstance(given, dict):
            del found["handlers"]
            found |= {"handlers": given[REGISTRY]} if REGISTRY in given else {}
        return found


def config_file() -> Path:
    """Return the TOML file to read. Raises ConfigurationError when a named one is missing."""
    named = os.environ.get(CONFIG_FILE)
    if named is not None and not Path(named).is_file():
        raise ConfigurationError(f"{CONFIG_FILE}={named}: there is no such file")
    return Path("kernel.toml" if named is None else named)


def on_handlers(error: Exception) -> str:
    """Say how `handlers` is written that is a text already, and is to be a table as well.

    And of a mark before the first line, which no editor shows.
    """
    text = config_file().read_bytes() if isinstance(error, tomllib.TOMLDecodeError) else b""
    if text.startswith(codecs.BOM_UTF8):
        return "; it begins with a byte order mark: save it as UTF-8 without one"
    if re.search(rb"^handlers\s*=", text, re.M) and re.search(rb"^\[handlers\b", text, re.M):
        return f"; where handlers have settings, write {REGISTRY} = ... below [handlers]"
    return ""


def handlers_table() -> dict[str, Any]:
    """Return the settings of handlers in kernel.toml, a table for each name.

    Raises ConfigurationError for a file that cannot be read.
    """
    try:
        given = tomllib.loads(config_file().read_text(encoding="utf-8")).get("handlers")
    except FileNotFoundError:
        return {}
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{config_file()} cannot be read: {error}") from None
    tables = given if isinstance(given, dict) else {}
    return {name: table for name, table in tables.items() if name != REGISTRY}
