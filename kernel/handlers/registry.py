"""The registry of handlers, and how the one that KERNEL_HANDLERS names is found."""

import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from pydantic import BaseModel

from kernel.errors import ConfigurationError
from kernel.handlers.events import Wait
from kernel.handlers.limits import Limit, Rate, value_of
from kernel.handlers.registering.importing import no_registry, places, why_not_imported
from kernel.handlers.registering.refusals import (
    members_of,
    refuse_function,
    refuse_limits,
    refuse_model,
    refuse_per,
    refuse_reference,
    refuse_secret_names,
    refuse_words,
    takes_member,
)
from kernel.handlers.registering.secret_fields import SecretFields
from kernel.handlers.registering.words import Said, arguments_named, filled, names_in
from kernel.handlers.run import Partial, Run

if TYPE_CHECKING:
    from sqlalchemy import MetaData

Function = Callable[[Run, Any], dict[str, Any] | Partial | Wait]


@dataclass(frozen=True)
class Handler:
    """A registered handler and its limits; None means the setting's default."""

    tag: str
    model: type[BaseModel]
    function: Function
    time_limit: float | None = None
    max_runs: int = 5
    soft_limit: float | None = None
    guarded: bool = False
    # The argument that names the order where its caller gives no reference.
    reference: str | None = None
    # How many of its orders run at once, how often one begins, and per which argument.
    concurrency: int | None = None
    rate: str | None = None
    per: str | None = None
    # What the person who ordered reads: of the order, and of its result.
    title: Said | None = None
    says: Said | None = None

    @cached_property
    def limit(self) -> Limit:
        """What its orders must find free before they begin, as the code has it."""
        rate = None if self.rate is None else Rate.parse(self.rate)
        return Limit(self.concurrency, rate, self.per)

    def limited_by(self, args: str) -> str:
        """Return the value of ``per`` in an order's arguments, JSON text; "" without ``per``."""
        names = () if self.per is None else members_of(self.model, self.per)
        return value_of(self.model, self.per, names, args)

    def title_of(self, args: str, language: str) -> str | None:
        """Return the title of an order with these arguments, JSON text; None without one."""
        if self.title is None:
            return None
        names = {one: members_of(self.model, one) for one in names_in(self.title)}
        return filled(self.title, language, arguments_named(self.model, names, args))

    def said_of(self, result: Mapping[str, Any], language: str) -> str | None:
        """Return what a result means, in words; None where it is told as it is."""
        return None if self.says is None else filled(self.says, language, result)

    @cached_property
    def secrets(self) -> SecretFields:
        """Which of its arguments are secret."""
        return SecretFields(self.model)

    def takes(self, member: str) -> bool:
        """Tell whether the model itself makes something of a member of this name."""
        return takes_member(self.model, member)

    def parse(self, args: str) -> BaseModel:
        """Validate ``args`` (JSON text) strictly; unknown members are errors unless the model
        says otherwise. Raises pydantic's ValidationError.
        """
        if "extra" in self.model.model_config:
            return self.model.model_validate_json(args, strict=True)
        return self.model.model_validate_json(args, strict=True, extra="forbid")


class Limits(TypedDict, total=False):
    """What `Handlers.register` may be told by name; what is left out is as `Handler` has it."""

    time_limit: float | None
    soft_limit: float | None
    max_runs: int
    guarded: bool
    reference: str | None
    concurrency: int | None
    rate: str | None
    per: str | None
    title: Said | None
    says: Said | None


class Handlers(Mapping[str, Handler]):
    """Handlers by select_tag. Rows keep tags longer than code does: choose them to stay.

    ``metadata``: the tables that its handlers write to, if SQLAlchemy knows them. A process
    refuses to start when one of them cannot take part in the run's transaction (see
    `kernel.runtime.startup`).
    """

    def __init__(self, *metadata: "MetaData") -> None:
        self.metadata = metadata
        self._by_tag: dict[str, Handler] = {}

    def register(
        self, tag: str, model: type[BaseModel], **limits: Unpack[Limits]
    ) -> Callable[[Function], Function]:
        """Register the decorated function for ``tag``; its arguments are validated as ``model``.

        ``time_limit`` in seconds (default: KERNEL_TIME_LIMIT_SECONDS); ``max_runs`` is how often
        a worker may die in it, without a checkpoint in between, before the order fails.
        ``soft_limit`` in seconds: TimeLimit is raised in the handler then, so that it can tidy up.
        ``guarded``: the server itself refuses what would end the run's transaction.
        ``reference``: the argument (a str) that is the order's reference if its caller gives none.
        ``concurrency``: how many of its orders run at once, over all workers; ``rate``: how often
        one begins, such as ``30/m``; ``per``: the argument (text or a number) for each of whose
        values these two hold by themselves.
        ``title`` and ``says``: what the person who ordered reads of the order and of its result, as
        `kernel.handlers.registering.words` has it: ``title="New project {projname}"``.
        Raises ConfigurationError, at import, for what could not work: a tag that is malformed or
        taken, a model that is none or whose members collide with the order's own, limits that
        are no positive numbers, a soft limit that is not below the time limit, a ``reference`` that
        is no argument of text, a ``per`` that is none of text or a number, words that cannot be
        filled, a function that is asynchronous or does not take (run, args).
        """
        refuse_model(tag, model)
        if tag in self._by_tag:
            raise ConfigurationError(f"select_tag {tag!r} is registered twice")
        refuse_limits(tag, limits)
        refuse_reference(tag, model, limits.get("reference"))
        refuse_per(tag, model, limits.get("per"))
        refuse_words(tag, model, limits.get("title"), limits.get("says"))
        refuse_secret_names(tag, model)

        def decorate(function: Function) -> Function:
            refuse_function(tag, function)
            self._by_tag[tag] = Handler(tag, model, function, **limits)
            return function

        return decorate

    def __getitem__(self, tag: str) -> Handler:
        return self._by_tag[tag]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_tag)

    def __len__(self) -> int:
        return len(self._by_tag)


def load_handlers(path: str) -> Handlers:
    """Import the registry named by ``module:attribute``, as KERNEL_HANDLERS does.

    Raises ConfigurationError, which says what is missing or wrong, in which line of which file,
    and what to type. The error of the module itself is its cause.
    """
    module_name, _, attribute = path.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ConfigurationError as error:  # what a registration has refused
        raise ConfigurationError(
            f"KERNEL_HANDLERS={path}: {error.message}{places(error)}"
        ) from error
    except Exception as error:
        said = why_not_imported(module_name, error)
        raise ConfigurationError(f"KERNEL_HANDLERS={path}: {said}") from error
    registry = getattr(module, attribute, None)
    if not isinstance(registry, Handlers):
        known = [name for name, one in vars(module).items() if isinstance(one, Handlers)]
        raise ConfigurationError(
            f"KERNEL_HANDLERS={path}: {no_registry(module_name, attribute, known)}"
        )
    return registry
