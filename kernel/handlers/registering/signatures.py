"""Whether a function can be a handler: how it is called, and what its annotations say."""

import inspect
from collections.abc import Iterator, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from kernel.errors import ConfigurationError
from kernel.handlers.events import Wait
from kernel.handlers.run import Partial, Run

RESULTS = (dict, Partial, Wait)


def refuse_function(
    tag: str, function: Any, model: type[BaseModel], result: type[Any] | None = None
) -> None:
    """Raise ConfigurationError for a function that cannot be called as ``function(run, args)``.

    Its annotations may be missing; where they are there, they fit the model and the result. What a
    decorator has wrapped is its own affair: it may await, or be given more arguments.
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
    if not hasattr(function, "__wrapped__"):
        for said in _wrong(function, name, model, result):
            raise ConfigurationError(f"select_tag {tag!r}: {said}")


def _wrong(
    function: Any, name: str, model: type[BaseModel], result: type[Any] | None
) -> Iterator[str]:
    """Say what the annotations have wrong."""
    try:
        signature = inspect.signature(function, follow_wrapped=False, eval_str=True)
    except Exception:  # noqa: BLE001 - a name that type checkers alone import, or any code
        return
    taken = [
        one.annotation
        for one in signature.parameters.values()
        if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
    ]
    if taken and not _takes(taken[0], Run):
        told = f"its first argument is a Run, not {_said(taken[0])}"
        yield f"{name} is called as {name}(run, args): {told}"
    if len(taken) > 1 and not _takes(taken[1], model):
        yield (
            f"{name} takes {_said(taken[1])}, and its orders are validated as {model.__name__}: "
            f"write args: {model.__name__}"
        )
    for one in _each(signature.return_annotation):
        if not _can_be_result(one, result):
            yield f"{name} {_no_result(one, result)}"


def _takes(annotation: Any, given: type[Any]) -> bool:
    """Tell whether an argument may be of the type ``given``, as far as that can be told."""
    kinds = [get_origin(one) or one for one in _each(annotation)]
    return any(
        not isinstance(one, type)
        or one is inspect.Parameter.empty
        or one is Any
        or _is_subclass(given, one)
        for one in kinds
    )


def _can_be_result(annotation: Any, result: type[Any] | None) -> bool:
    kind = get_origin(annotation) or annotation
    if not isinstance(kind, type) or kind in (inspect.Signature.empty, Any, object):
        return True
    if kind is NoneType:
        return False
    if _is_subclass(kind, RESULTS) or _is_subclass(kind, Mapping):
        return True
    return result is not None and (kind is result or _is_subclass(kind, result))


def _no_result(annotation: Any, result: type[Any] | None) -> str:
    if annotation is None or annotation is NoneType:
        return "may return None, which is no result; where there is nothing to say, return {}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and result is None:
        return f"returns {annotation.__name__}: register it with result={annotation.__name__}"
    mine = (
        "a dict, Partial or Wait"
        if result is None
        else f"{result.__name__}, a dict, Partial or Wait"
    )
    return f"returns {_said(annotation)}, which is no result; a handler returns {mine}"


def _each(annotation: Any) -> Iterator[Any]:
    """Yield the types of a union, or the one that it is."""
    if hasattr(annotation, "__value__"):  # of a `type` statement
        yield from _each(annotation.__value__)
    elif get_origin(annotation) is Annotated:
        yield from _each(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        for one in get_args(annotation):
            yield from _each(one)
    else:
        yield NoneType if annotation is None else annotation


def _is_subclass(kind: Any, of: Any) -> bool:
    try:
        return issubclass(kind, of)
    except TypeError:  # a TypedDict, or a Protocol with data: what that is is not told by classes
        return kind is not None and not isinstance(of, tuple)


def _said(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)
