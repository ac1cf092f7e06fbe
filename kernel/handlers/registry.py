"""The registry of handlers, by select_tag, and how one takes in those of another."""

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, TypedDict, TypeVar, Unpack, overload

from pydantic import BaseModel

from kernel.errors import ConfigurationError
from kernel.handlers.events import Wait
from kernel.handlers.limits import Limit, Rate, shown
from kernel.handlers.registering.arguments import Argument, arguments_named
from kernel.handlers.registering.declared import Declared
from kernel.handlers.registering.refusals import (
    refuse_given,
    refuse_limits,
    refuse_model,
    refuse_per,
    refuse_prefix,
    refuse_reference,
    refuse_secret_names,
    refuse_tag,
    refuse_words,
    takes_member,
)
from kernel.handlers.registering.results import ResultModel, refuse_result
from kernel.handlers.registering.secret_fields import SecretFields
from kernel.handlers.registering.signatures import refuse_function
from kernel.handlers.registering.words import Said, filled, names_in
from kernel.handlers.run import Partial, Run

if TYPE_CHECKING:
    from sqlalchemy import MetaData

Function = Callable[[Run, Any], Any]
ModelT = TypeVar("ModelT", bound=BaseModel)
ResultT = TypeVar("ResultT")
# What a handler without a model of its results returns.
PlainT = TypeVar("PlainT", bound=Mapping[str, Any] | Partial[Any] | Wait)


class Within(Protocol):
    """What handlers run in; see `kernel.handlers.hosted`."""

    def wrap(self, function: Function) -> Function:
        """Return the function as kernel calls it."""
        ...

    def check(self, installation: str, *, forks: bool) -> None:
        """Raise ConfigurationError when it cannot work with the installation of this name."""
        ...


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
    together: bool = False
    # The argument that names the order where its caller gives no reference.
    reference: str | None = None
    # How many of its orders run at once, how often one begins, and per which argument.
    concurrency: int | None = None
    rate: str | None = None
    per: str | None = None
    # What the person who ordered reads: of the order, and of its result.
    title: Said | None = None
    says: Said | None = None
    # What its results look like, if they have a model.
    result: ResultModel | None = None
    # The settings that its registry has.
    declared: Declared = field(default_factory=Declared, compare=False)
    # The file and the line that registered it.
    where: str = field(default="", compare=False)

    @cached_property
    def limit(self) -> Limit:
        """What its orders must find free before they begin, as the code has it."""
        rate = None if self.rate is None else Rate.parse(self.rate)
        return Limit(self.concurrency, rate, self.per)

    def limited_by(self, args: str) -> str:
        """Return the value of ``per`` in an order's arguments, JSON text; "" without ``per``."""
        return "" if self.per is None else shown(self._named({self.per}, args)[self.per])

    def title_of(self, args: str, language: str) -> str | None:
        """Return the title of an order with these arguments, JSON text; None without one."""
        if self.title is None:
            return None
        return filled(self.title, language, self._named(names_in(self.title), args))

    def _named(self, names: set[str], args: str) -> dict[str, Argument | None]:
        return arguments_named(self.model, self.parse, names, args)

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
    together: bool
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
    `kernel.runtime.startup`). ``within``: what its handlers run in, such as `kernel.InApp`.
    """

    def __init__(self, *metadata: "MetaData", within: Within | None = None) -> None:
        refuse_given(metadata, within)
        self.metadata = metadata
        self.within, self.declared = within, Declared()
        self._by_tag: dict[str, Handler] = {}
        self._included: list[Handlers] = []
        # The file and the line that included this registry in another one.
        self._closed_at: str | None = None

    @property
    def parts(self) -> Iterator["Handlers"]:
        """This registry and all that it includes, each once."""
        found: list[Handlers] = [self]
        for one in found:
            yield one
            found += [each for each in one._included if not any(each is known for known in found)]

    def include(self, other: "Handlers", prefix: str = "") -> None:
        """Take in the handlers of ``other``, and its tables; ``prefix`` is put before each tag.

        ::

            handlers.include(gitlab.handlers, prefix="gitlab.")

        One registry may be included under several prefixes. It is complete then: registering in
        ``other`` afterwards is refused, for the handler would be missing here. Raises
        ConfigurationError for a tag that is taken, a prefix that no tag can begin with or that
        does not end with one of ``. _ : -``, and a registry that is, or includes, this one.
        """
        self._refuse_other(other)
        self._refuse_closed("include")
        refuse_prefix(prefix)
        where = _place(2)
        taken_in = [replace(one, tag=prefix + tag) for tag, one in other.items()]
        for handler in taken_in:
            refuse_tag(handler.tag)
            self._refuse_taken(handler.tag, handler.where)
        self._by_tag |= {handler.tag: handler for handler in taken_in}
        new = [one for one in other.metadata if not any(one is known for known in self.metadata)]
        self.metadata = (*self.metadata, *new)
        self._included.append(other)
        other._closed_at = where

    @overload
    def register(
        self, tag: str, model: type[ModelT], *, result: None = None, **limits: Unpack[Limits]
    ) -> Callable[[Callable[[Run, ModelT], PlainT]], Callable[[Run, ModelT], PlainT]]: ...

    @overload
    def register(
        self, tag: str, model: type[ModelT], *, result: type[ResultT], **limits: Unpack[Limits]
    ) -> Callable[
        [Callable[[Run, ModelT], ResultT | Mapping[str, Any] | Partial[Any] | Wait]],
        Callable[[Run, ModelT], ResultT | Mapping[str, Any] | Partial[Any] | Wait],
    ]: ...

    def register(
        self, tag: str, model: type[Any], *, result: Any = None, **limits: Unpack[Limits]
    ) -> Any:
        """Register the decorated function for ``tag``; its arguments are validated as ``model``.

        ``time_limit`` in seconds (default: KERNEL_TIME_LIMIT_SECONDS); ``max_runs`` is how often
        a worker may die in it, without a checkpoint in between, before the order fails.
        ``soft_limit`` in seconds: TimeLimit is raised in the handler then, so that it can tidy up.
        ``guarded``: the server itself refuses what would end the run's transaction.
        ``together``: short orders of one message share a commit; see docs/handlers.md.
        ``reference``: the argument (a str) that is the order's reference if its caller gives none.
        ``concurrency``: how many of its orders run at once, over all workers; ``rate``: how often
        one begins, such as ``30/m``; ``per``: the argument (text or a number) for each of whose
        values these two hold by themselves.
        ``result``: the model of its results, a pydantic model, a TypedDict or a dataclass. What the
        function returns, an instance or a dict, is validated and written by it; the API document
        has it.
        ``title`` and ``says``: what the person who ordered reads of the order and of its result, as
        `kernel.handlers.registering.words` has it: ``title="New project {projname}"``.
        Raises ConfigurationError, at import, for what could not work: a tag that is malformed or
        taken, a model that is none or whose members collide with the order's own, limits that
        are no positive numbers, a soft limit that is not below the time limit, a ``reference`` that
        is no argument of text, a ``per`` that is none of text or a number, words that cannot be
        filled, a ``result`` that can be no JSON object, a function that is asynchronous, does not
        take (run, args), or is annotated with another model or with what is no result.
        """
        refuse_model(tag, model)
        where = _place(2)
        self._refuse_closed(f"select_tag {tag!r}")
        self._refuse_taken(tag, where)
        refuse_limits(tag, model, limits)
        refuse_reference(tag, model, limits.get("reference"))
        refuse_per(tag, model, limits.get("per"))
        shape = None
        if result is not None:
            refuse_result(tag, result)
            shape = ResultModel(result)
        refuse_words(tag, model, limits.get("title"), limits.get("says"), shape)
        refuse_secret_names(tag, model)

        def decorate(function: Function) -> Function:
            refuse_function(tag, function, model, result)
            called = function if self.within is None else self.within.wrap(function)
            own: dict[str, Any] = {"result": shape, "declared": self.declared, "where": where}
            self._by_tag[tag] = Handler(tag, model, called, **limits, **own)
            return function

        return decorate

    def settings(self, model: type[ModelT], name: str = "") -> type[ModelT]:
        """Have ``run.settings`` be an instance of ``model`` in this registry's handlers.

        Its values are those of ``[handlers.NAME]`` in kernel.toml and of KERNEL_HANDLERS_NAME_FIELD
        in the environment, read and checked at the start; the name of ``GitlabSettings`` is
        ``gitlab`` unless another is given. Returns the model, so it decorates one, too. Raises
        ConfigurationError for what is no model or no name, and for a second model.
        """
        self.declared.take(model, name)
        return model

    def _refuse_other(self, other: Any) -> None:
        if not isinstance(other, Handlers):
            name = getattr(other, "__name__", "")
            mend = f"; write {name.rpartition('.')[2]}.handlers" if name else ""
            raise ConfigurationError(f"include takes a Handlers object, not {other!r:.100}{mend}")
        if any(one is self for one in other.parts):
            said = "itself" if other is self else "one that includes it"
            raise ConfigurationError(f"a registry cannot include {said}")

    def _refuse_taken(self, tag: str, where: str) -> None:
        if (known := self._by_tag.get(tag)) is not None:
            raise ConfigurationError(
                f"select_tag {tag!r} is registered twice, in {known.where} and in {where}"
            )

    def _refuse_closed(self, what: str) -> None:
        if self._closed_at is not None:
            raise ConfigurationError(
                f"{what}: this registry was included already, in {self._closed_at}; "
                "import the module that registers in it before that line"
            )

    def __getitem__(self, tag: str) -> Handler:
        return self._by_tag[tag]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_tag)

    def __len__(self) -> int:
        return len(self._by_tag)


def _place(depth: int) -> str:
    """Return the file and the line that called, ``depth`` calls up."""
    frame = sys._getframe(depth)
    return f"{frame.f_code.co_filename}, line {frame.f_lineno}"
