"""How the registries are found that KERNEL_HANDLERS names, and made one."""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

from kernel.config.near import did_you_mean
from kernel.errors import ConfigurationError
from kernel.handlers.commands.file import load_commands
from kernel.handlers.registering.importing import (
    no_registry,
    places,
    why_not_imported,
)
from kernel.handlers.registering.models import refuse_unfinished
from kernel.handlers.registry import Handlers

GROUP = "kernel.handlers"
# All registries of installed packages.
EVERY = "*"
# What the name of a file of commands ends in.
COMMANDS = ".toml"


@dataclass(frozen=True, slots=True)
class _Named:
    """A registry as it is named: the text, and of an entry point which package has it."""

    text: str
    module: str
    attribute: str
    of: str = ""

    def said(self, what: str, named: str) -> str:
        """Say something of this one among those that were ``named``."""
        if self.of:
            value = f"{self.module}:{self.attribute}".rstrip(":")
            return f"entry point {self.text} of {self.of}, which is {value}: {what}"
        return what if self.text == named else f"{self.text}: {what}"

    def instead(self, right: str, named: str) -> str:
        """Return what to write where this one stands, when it was meant to be ``right``."""
        if self.of:
            return f"{self.text} = {right!r} among its entry points"
        texts = (right if text.strip() == self.text else text for text in named.split(","))
        return "KERNEL_HANDLERS=" + ",".join(texts)


def load_handlers(named: str) -> Handlers:
    """Return the registry that KERNEL_HANDLERS names; of several, one with the tags of all.

    ``named``: one or several, with commas: ``module:attribute``, the name of an installed package's
    entry point in the group ``kernel.handlers``, ``*`` for all of these, or a file of commands,
    which ends in ``.toml`` (`kernel.handlers.commands`).

    Raises ConfigurationError, which says what is missing or wrong, in which line of which file,
    and what to type. The error of the module itself is its cause.
    """
    try:
        registries = [(one, _load(one, named)) for one in _all_named(named)]
        found = registries[0][1] if len(registries) == 1 else _merged(registries)
        refuse_unfinished({tag: handler.model for tag, handler in found.items()})
        return found
    except ConfigurationError as error:
        message = f"KERNEL_HANDLERS={named}: {error.message}"
        raise ConfigurationError(message) from error.__cause__


def _all_named(named: str) -> Iterator[_Named]:
    for text in map(str.strip, named.split(",")):
        module, colon, attribute = text.partition(":")
        if not text:
            raise ConfigurationError("there is nothing before or behind a comma")
        if text == EVERY:
            yield from _installed()
        elif colon or text.endswith(COMMANDS):
            yield _Named(text, module, attribute)
        else:
            yield _entry_point(text)


def _installed() -> Iterator[_Named]:
    found = sorted(entry_points(group=GROUP), key=lambda one: one.name)
    if not found:
        raise ConfigurationError(f"no installed package has an entry point in the group {GROUP}")
    yield from map(_pointed, found)


def _entry_point(name: str) -> _Named:
    """Return what an entry point of this name leads to; a module that lacks its attribute, else."""
    found = [*entry_points(group=GROUP, name=name)]
    if len(found) > 1:
        packages = " and ".join(sorted(_package(one) for one in found))
        raise ConfigurationError(f"{name} is an entry point of {packages}: uninstall one of them")
    return _pointed(found[0]) if found else _Named(name, name, "")


def _pointed(point: EntryPoint) -> _Named:
    module, _, attribute = point.value.partition("[")[0].strip().partition(":")
    return _Named(point.name, module.strip(), attribute.strip(), _package(point))


def _package(point: EntryPoint) -> str:
    return "an installed package" if point.dist is None else point.dist.name


def _load(one: _Named, named: str) -> Handlers:
    """Import the module, and return its registry; or read the file of commands."""
    if one.text.endswith(COMMANDS):
        return load_commands(one.text)
    try:
        module = importlib.import_module(one.module)
    except ConfigurationError as error:  # what a registration has refused
        raise ConfigurationError(one.said(error.message + places(error), named)) from error
    except (Exception, SystemExit) as error:  # a script may end with sys.exit
        raise ConfigurationError(one.said(_why_not(one, error), named)) from error
    registry: object = module
    for name in one.attribute.split("."):
        registry = getattr(registry, name, None)
    if not isinstance(registry, Handlers):
        known = [name for name, each in vars(module).items() if isinstance(each, Handlers)]
        instead = one.instead(f"{one.module}:{known[0]}", named) if known else ""
        said = no_registry(module, one.module, one.attribute, instead)
        raise ConfigurationError(one.said(said, named))
    return registry


def _why_not(one: _Named, error: BaseException) -> str:
    said = why_not_imported(one.module, error)
    if one.attribute or not isinstance(error, ModuleNotFoundError):
        return said
    names = sorted({point.name for point in entry_points(group=GROUP)})
    near = did_you_mean(one.text, names)
    known = f"of which there are {', '.join(names)}{near}" if names else "of which there are none"
    return f"{said}; nor has an installed package an entry point of that name, {known}"


def _merged(registries: list[tuple[_Named, Handlers]]) -> Handlers:
    merged = Handlers()
    for at, (named, registry) in enumerate(registries):
        for other, known in registries[:at]:
            if known is registry:
                raise ConfigurationError(
                    f"{other.text} and {named.text} are the same registry: name it once"
                )
        merged.include(registry)
    return merged
