"""The one extension point: a registry of the functions that do the work, by select_tag.

    handlers = Handlers()

    @handlers.register("create_project", CreateProject)
    def create_project(run: Run, args: CreateProject) -> dict: ...

This module knows nothing of queues, HTTP or how a run is claimed and finished.
"""

import importlib
import inspect
import json
import math
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import BaseModel, ValidationError

from kernel.errors import ConfigurationError

if TYPE_CHECKING:
    from sqlalchemy import MetaData
    from sqlalchemy.orm import Session, SessionTransaction

    from kernel.db.guard import Guard

TAG = re.compile(r"[a-z0-9][a-z0-9_.:-]{0,99}")
RESERVED = ("select_tag", "callback_url")
MAX_STATE_BYTES = 262_144


@dataclass(frozen=True, slots=True)
class Partial:
    """Return it from a handler that could do only part of the work: outcome ``warning``."""

    result: dict[str, Any]
    message: str


@dataclass(frozen=True, slots=True)
class Progress:
    """An order's progress, as given to the last checkpoint."""

    current: int
    total: int | None = None
    note: str | None = None


class SaveCheckpoint(Protocol):
    """Commits a run's writes so far together with its progress and its state (JSON text)."""

    def __call__(self, run: "Run", progress: Progress, state: str | None) -> None: ...


@dataclass(slots=True, eq=False)
class Run:
    """One execution of a handler for an order; the handler's first argument.

    ``session``   SQLAlchemy session whose writes commit together with the outcome
    ``order_id``  the idempotency key for effects outside the database
    ``number``    1 for the first run of the order, 2 for the next, ...
    ``now``       the database's time when this run began (aware, UTC)
    ``progress``  as the last checkpoint, of this run or an earlier one, left it, or None
    ``state``     the JSON value given to that checkpoint, or None
    ``request_id``, ``traceparent``   those of the submit (W3C Trace Context), to pass on
    """

    order_id: str
    number: int
    now: datetime
    session: "Session"
    progress: Progress | None
    state: Any
    time_limit: float
    _save: SaveCheckpoint
    guard: "Guard"
    # Number of checkpoints of the order: with ``number`` it is the fence of each commit.
    checkpoints: int = 0
    # Set by the kernel: monotonic times (seconds) of the start and of the last renewal of the
    # lease, and whether the lease was lost, the order cancelled, or the worker told to stop.
    started: float = field(default_factory=time.monotonic)
    renewed: float = field(default_factory=time.monotonic)
    lost: bool = False
    cancelled: bool = False
    stopping: bool = False
    request_id: str | None = None
    traceparent: str | None = None

    def checkpoint(
        self,
        current: int,
        total: int | None = None,
        note: str | None = None,
        state: Any = None,
    ) -> None:
        """Commit the work so far, show progress, and remember ``state`` to resume from.

        ``current`` and ``total`` are in a unit of the handler's choice; ``note`` is a line for
        people (cut to 1,000 characters); ``state`` is any JSON value up to 256 KiB. After a crash
        the next run finds them in ``run.progress`` and ``run.state``.

        Raises RunInterrupted (LeaseLost, OrderCancelled, RunBroken, WorkerStopping) when this run
        must not go on: let it pass. Raises ValueError for a state that is not JSON or too large.
        """
        encoded = None if state is None else json.dumps(state, allow_nan=False)
        if encoded is not None and len(encoded) > MAX_STATE_BYTES:
            raise ValueError(f"a checkpoint's state is at most {MAX_STATE_BYTES} bytes of JSON")
        progress = Progress(current, total, None if note is None else _shown(note))
        self._save(self, progress, encoded)
        self.progress, self.state = progress, state

    def savepoint(self) -> "AbstractContextManager[SessionTransaction]":
        """Open a block of writes that may fail alone::

            try:
                with run.savepoint():
                    run.session.execute(insert(rows).values(...))
            except IntegrityError: ...

        When the block raises, its own writes are rolled back and no others. A deadlock or a lost
        connection is different: it ends the run, even if the handler catches the error.
        """
        return self.session.begin_nested()


def _shown(note: str) -> str:
    """Cut a note to the 1,000 characters of its column; lone surrogates become ``?``."""
    return note.encode("utf-8", "replace").decode()[:1000]


Function = Callable[[Run, Any], dict[str, Any] | Partial]


@dataclass(frozen=True, slots=True)
class Handler:
    """A registered handler and its limits; None means the setting's default."""

    tag: str
    model: type[BaseModel]
    function: Function
    time_limit: float | None = None
    max_runs: int = 5

    def parse(self, args: str) -> BaseModel:
        """Validate ``args`` (JSON text) strictly; unknown members are errors unless the model
        says otherwise. Raises pydantic's ValidationError.
        """
        if "extra" in self.model.model_config:
            return self.model.model_validate_json(args, strict=True)
        return self.model.model_validate_json(args, strict=True, extra="forbid")


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
        self,
        tag: str,
        model: type[BaseModel],
        *,
        time_limit: float | None = None,
        max_runs: int = 5,
    ) -> Callable[[Function], Function]:
        """Register the decorated function for ``tag``; its arguments are validated as ``model``.

        ``time_limit`` in seconds (default: KERNEL_TIME_LIMIT_SECONDS); ``max_runs`` is how often
        a worker may die in it, without a checkpoint in between, before the order fails.
        Raises ConfigurationError, at import, for what could not work: a tag that is malformed or
        taken, a model that is none or whose members collide with the order's own, limits that
        are no positive numbers, a function that is asynchronous or does not take (run, args).
        """
        self._refuse_model(tag, model)
        _refuse_limits(tag, time_limit, max_runs)

        def decorate(function: Function) -> Function:
            _refuse_function(tag, function)
            self._by_tag[tag] = Handler(tag, model, function, time_limit, max_runs)
            return function

        return decorate

    def _refuse_model(self, tag: str, model: Any) -> None:
        if not TAG.fullmatch(tag):
            raise ConfigurationError(
                f"select_tag {tag!r}: use lower-case letters, digits and _ . : - (at most 100)"
            )
        if tag in self._by_tag:
            raise ConfigurationError(f"select_tag {tag!r} is registered twice")
        if not isinstance(model, type) or not issubclass(model, BaseModel):
            raise ConfigurationError(
                f"select_tag {tag!r}: its model is a subclass of pydantic.BaseModel, not {model!r}"
            )
        taken = [name for name in RESERVED if name in model.model_fields]
        if taken:
            raise ConfigurationError(f"{model.__name__}.{taken[0]} is a member of every order")

    def __getitem__(self, tag: str) -> Handler:
        return self._by_tag[tag]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_tag)

    def __len__(self) -> int:
        return len(self._by_tag)


def _refuse_limits(tag: str, time_limit: Any, max_runs: Any) -> None:
    """Raise ConfigurationError for a time limit or a number of runs that allows no run."""
    number = isinstance(time_limit, int | float) and not isinstance(time_limit, bool)
    if time_limit is not None and not (number and 0 < time_limit < math.inf):
        raise ConfigurationError(
            f"select_tag {tag!r}: time_limit is in seconds, more than 0, not {time_limit!r}"
        )
    if not isinstance(max_runs, int) or isinstance(max_runs, bool) or max_runs < 1:
        raise ConfigurationError(
            f"select_tag {tag!r}: max_runs is an int and at least 1, not {max_runs!r}"
        )


def _refuse_function(tag: str, function: Any) -> None:
    """Raise ConfigurationError for a function that cannot be called as ``function(run, args)``.

    What a decorator has wrapped is its own affair: it may await, or be given more arguments.
    """
    if not callable(function) or isinstance(function, type):
        raise ConfigurationError(f"select_tag {tag!r}: {function!r} is no function")
    name = getattr(function, "__name__", type(function).__name__)
    for called in (function, getattr(function, "__call__", None)):  # noqa: B004
        if inspect.iscoroutinefunction(called) or inspect.isasyncgenfunction(called):
            raise ConfigurationError(
                f"select_tag {tag!r}: {name} is async, and a worker calls plain functions. "
                f"Register one that runs it:\n"
                f"    def {name}_order(run, args):\n"
                f"        return asyncio.run({name}(run, args))"
            )
        if inspect.isgeneratorfunction(called):
            raise ConfigurationError(
                f"select_tag {tag!r}: {name} yields; a handler returns its result"
            )
    try:
        inspect.signature(function, follow_wrapped=False).bind(None, None)
    except TypeError as error:
        raise ConfigurationError(
            f"select_tag {tag!r}: {name} is called as {name}(run, args), and does not take that: "
            f"{error}"
        ) from None
    except ValueError:  # a function of C code that says nothing about its parameters
        return


def load_handlers(path: str) -> Handlers:
    """Import the registry named by ``module:attribute``, as KERNEL_HANDLERS does.

    Raises ConfigurationError, which says which part is missing. An error raised by the module
    itself passes unchanged: its author needs the traceback.
    """
    module_name, _, attribute = path.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not module_name.startswith(error.name):
            raise
        raise ConfigurationError(
            f"KERNEL_HANDLERS={path}: there is no module {error.name!r} on the import path"
        ) from None
    registry = getattr(module, attribute, None)
    if not isinstance(registry, Handlers):
        raise ConfigurationError(f"KERNEL_HANDLERS={path}: {attribute} is not a Handlers object")
    return registry


__all__ = ["Handler", "Handlers", "Partial", "Progress", "Run", "ValidationError", "load_handlers"]
