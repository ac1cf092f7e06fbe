"""Finds files that lie at the root of a checkout, or inside the package of an installed wheel."""

from pathlib import Path

from kernel.errors import ConfigurationError


def shipped(name: str) -> Path:
    """Return the path of ``migrations`` or ``gunicorn.conf.py``.

    Raises ConfigurationError when it is missing.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package, package.parent):
        if (folder / name).exists():
            return folder / name
    raise ConfigurationError(f"{name} is missing: the package is not installed completely")
