"""What `Handlers.register` refuses at import: what could not work, in words that name the mend."""

import math
import re
from collections.abc import Iterator, Mapping
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import AliasChoices, AliasPath, BaseModel
from pydantic.fields import FieldInfo

from kernel.errors import ConfigurationError
from kernel.handlers.limits import CONCURRENCY_WORDS, KINDS, Rate, is_concurrency
from kernel.handlers.registering.results import ResultModel
from kernel.handlers.registering.secret_fields import SecretFields, has_secret_names
from kernel.handlers.registering.words import names_in

TAG = re.compile(r"[a-z0-9][a-z0-9_.:-]{0,99}")
RESERVED = ("select_tag", "callback_url")
# The select_tag of a batch, which no handler runs.
BATCH_TAG = "kernel.batch"
KNOWN = {
    *("time_limit", "soft_limit", "max_runs", "guarded", "together", "reference"),
    *("concurrency", "rate", "per", "title", "says", "result"),
}

# What an order with together=True cannot have.
NOT_TOGETHER = ("soft_limit", "guarded", "concurrency", "rate")


def refuse_tag(tag: Any) -> None:
    """Raise ConfigurationError for a malformed tag."""
    if not isinstance(tag, str) or not TAG.fullmatch(tag):
        raise ConfigurationError(
            f"select_tag {tag!r}: use lower-case letters, digits and _ . : - (at most 100)"
        )
    if tag == BATCH_TAG:
        raise ConfigurationError(f"select_tag {tag!r} is that of batches")


def refuse_prefix(prefix: Any) -> None:
    """Raise ConfigurationError for a prefix that no tag can begin with."""
    if prefix == "":
        return
    if not isinstance(prefix, str) or not TAG.fullmatch(prefix):
        raise ConfigurationError(
            f"prefix {prefix!r}: use lower-case letters, digits and _ . : - (at most 100)"
        )
    if prefix[-1].isalnum():
        raise ConfigurationError(
            f"prefix {prefix!r}: end it with what parts it from the tag, as in {prefix + '.'!r}"
        )


def refuse_given(metadata: tuple[Any, ...], within: Any) -> None:
    """Raise ConfigurationError for what is given to `Handlers` and is no MetaData, or no InApp."""
    for one in metadata:
        if not _is_metadata(one):
            name = getattr(one, "__name__", type(one).__name__)
            known = _is_metadata(getattr(one, "metadata", None))
            mend = "its metadata, as in Handlers(Base.metadata) or Handlers(db.metadata)"
            raise ConfigurationError(
                f"Handlers takes the MetaData of your tables, each by itself, not {name}"
                + (f": give it {mend}" if known else "")
            )
    can = all(callable(getattr(within, name, None)) for name in ("wrap", "check"))
    if within is not None and (isinstance(within, type) or not can):
        raise ConfigurationError(
            f"within is what handlers run in, not {within!r:.100}: write within=InApp(create_app, "
            "db) for a Flask application, with `from kernel import InApp`"
        )


def _is_metadata(given: Any) -> bool:
    """Tell whether this is SQLAlchemy's MetaData; who writes no tables need not load that."""
    return hasattr(given, "sorted_tables") and not isinstance(given, type)


def refuse_model(tag: str, model: Any) -> None:
    """Raise ConfigurationError for a malformed tag, and for a model that cannot be one."""
    refuse_tag(tag)
    if not isinstance(model, type) or not issubclass(model, BaseModel):
        raise ConfigurationError(
            f"select_tag {tag!r}: its model is a subclass of pydantic.BaseModel, not {_kind(model)}"
        )
    for name in model.model_fields:
        if name in RESERVED:
            raise ConfigurationError(f"{model.__name__}.{name} is a member of every order")
        # The order's own are not handed on to the model.
        if (members := members_of(model, name)) and set(members) <= set(RESERVED):
            raise ConfigurationError(
                f"{model.__name__}.{name} is read from {members[0]}, a member of every order: "
                "choose another alias"
            )


def _kind(model: Any) -> str:
    """Say what was given for a model, and what to write instead."""
    if isinstance(model, BaseModel):
        name = type(model).__name__
        return f"an instance of one: write {name}, without brackets"
    if not isinstance(model, type):
        return f"{model!r:.100}"
    if any(one.__module__.startswith("pydantic.v1.") for one in model.__mro__):
        return f"{model.__name__} of pydantic.v1: write `from pydantic import BaseModel`"
    return f"{model.__name__}: write class {model.__name__}(BaseModel)"


def refuse_limits(tag: str, model: type[BaseModel], limits: Mapping[str, Any]) -> None:
    """Raise ConfigurationError for limits, by name, that allow no run or that do not exist."""
    for name in ("time_limit", "soft_limit"):
        limit = limits.get(name)
        if limit is not None and not _is_seconds(limit):
            raise ConfigurationError(
                f"select_tag {tag!r}: {name} is in seconds, more than 0, not {limit!r}"
            )
    soft_limit, time_limit = limits.get("soft_limit"), limits.get("time_limit")
    if soft_limit is not None and time_limit is not None:
        refuse_late_soft_limit(tag, soft_limit, time_limit, "time_limit")
    max_runs = limits.get("max_runs", 1)
    if not isinstance(max_runs, int) or isinstance(max_runs, bool) or max_runs < 1:
        raise ConfigurationError(
            f"select_tag {tag!r}: max_runs is an int and at least 1, not {max_runs!r}"
        )
    for name in ("guarded", "together"):
        if not isinstance(given := limits.get(name, False), bool):
            raise ConfigurationError(f"select_tag {tag!r}: {name} is True or False, not {given!r}")
    _refuse_pace(tag, limits.get("concurrency"), limits.get("rate"))
    if limits.get("together"):
        _refuse_together(tag, model, limits)
    if unknown := sorted(set(limits) - KNOWN):
        raise ConfigurationError(
            f"select_tag {tag!r}: there is no {unknown[0]}; there are {', '.join(sorted(KNOWN))}"
        )


def _refuse_together(tag: str, model: type[BaseModel], limits: Mapping[str, Any]) -> None:
    """Raise ConfigurationError for what only an order with a commit of its own can have."""
    wrong = [f"{name}=" for name in NOT_TOGETHER if limits.get(name)]
    if SecretFields(model):
        wrong.append("secret arguments")
    if wrong:
        raise ConfigurationError(
            f"select_tag {tag!r}: together=True and {wrong[0]} exclude each other, for its orders "
            "share a commit"
        )


def _refuse_pace(tag: str, concurrency: Any, rate: Any) -> None:
    if concurrency is not None and not is_concurrency(concurrency):
        raise ConfigurationError(f"select_tag {tag!r}: {CONCURRENCY_WORDS}, not {concurrency!r}")
    if rate is not None:
        try:
            Rate.parse(rate)
        except ValueError as error:
            raise ConfigurationError(f"select_tag {tag!r}: {error}, not {rate!r}") from None


def refuse_per(tag: str, model: type[BaseModel], name: Any) -> None:
    """Raise ConfigurationError unless ``name`` is None or an argument of text or a number."""
    if name is None:
        return
    field = _argument(tag, model, "per", name)
    if not _is_a(field.annotation, KINDS):
        raise ConfigurationError(
            f"select_tag {tag!r}: per={name!r} is an argument of text or a number, or None"
        )


def _argument(tag: str, model: type[BaseModel], what: str, name: Any) -> FieldInfo:
    """Return the field that is called ``name``. Raises ConfigurationError if there is none."""
    field = model.model_fields.get(name) if isinstance(name, str) else None
    if field is None:
        raise ConfigurationError(
            f"select_tag {tag!r}: {what}={name!r} is no argument of {model.__name__}; "
            f"there are {', '.join(model.model_fields) or 'none'}"
        )
    return field


def refuse_reference(tag: str, model: type[BaseModel], name: Any) -> None:
    """Raise ConfigurationError unless ``name`` is None or an argument that is a str (or None)."""
    if name is None:
        return
    field = _argument(tag, model, "reference", name)
    if not _is_a(field.annotation, (str,)):
        raise ConfigurationError(
            f"select_tag {tag!r}: reference={name!r} is an argument of type str or str | None"
        )


def refuse_words(
    tag: str, model: type[BaseModel], title: Any, says: Any, result: ResultModel | None
) -> None:
    """Raise ConfigurationError unless both are None or words that can be filled.

    A title's names are arguments; those of what a result means are its members, if it has a model.
    """
    for what, said in (("title", title), ("says", says)):
        try:
            names = set() if said is None else names_in(said)
        except ValueError as error:
            raise ConfigurationError(f"select_tag {tag!r}: {what}: {error}") from None
        if what == "says" and result is not None and (odd := names - set(result.members)):
            raise ConfigurationError(
                f"select_tag {tag!r}: says: {{{min(odd)}}} is no member of "
                f"{result.model.__name__}; there are {', '.join(result.members) or 'none'}"
            )
        for name in sorted(names) if what == "title" else ():
            if not _is_a(_argument(tag, model, "title", name).annotation, KINDS):
                raise ConfigurationError(
                    f"select_tag {tag!r}: title: {{{name}}} is an argument of text or a number"
                )


def refuse_secret_names(tag: str, model: type[BaseModel]) -> None:
    """Raise ConfigurationError for a dict whose keys are secret: names of members are stored."""
    if has_secret_names(model):
        raise ConfigurationError(
            f"select_tag {tag!r}: {model.__name__} has a dict with keys of a secret type; "
            "names of members are stored and shown: make the values secret"
        )


def _is_a(annotation: Any, wanted: tuple[type, ...]) -> bool:
    """Tell whether a type is one of ``wanted``, or that or None; a truth value is no number."""
    kinds = list(_kinds(annotation))
    fits = [isinstance(one, type) and issubclass(one, wanted) and one is not bool for one in kinds]
    return bool(kinds) and all(fits)


def _kinds(annotation: Any) -> Iterator[Any]:
    """Yield what values of a type are, but None: of choices, and below the names of types."""
    if (below := getattr(annotation, "__supertype__", None)) is not None:  # of a NewType
        yield from _kinds(below)
    elif hasattr(annotation, "__value__"):  # of a `type` statement
        yield from _kinds(annotation.__value__)
    elif get_origin(annotation) is Annotated:
        yield from _kinds(get_args(annotation)[0])
    elif get_origin(annotation) is Literal:
        yield from (type(one) for one in get_args(annotation) if one is not None)
    elif get_origin(annotation) in (Union, UnionType):
        for one in get_args(annotation):
            yield from _kinds(one)
    elif annotation not in (None, NoneType):
        yield annotation


@cache
def takes_member(model: type[BaseModel], member: str) -> bool:
    """Tell whether ``model`` reads a member of this name, or keeps any.

    One that ignores what it does not know reads no more than its fields. Asked for each order, for
    names that are ours: a caller's would be remembered for ever.
    """
    return model.model_config.get("extra") == "allow" or names_member(model, member)


@cache
def names_member(model: type[BaseModel], member: str) -> bool:
    """Tell whether a field of ``model`` is read from a member of this name; as `takes_member`."""
    config = model.model_config
    by_name = config.get("populate_by_name", False) or config.get("validate_by_name", False)
    return any(member in _names(name, field, by_name) for name, field in model.model_fields.items())


def members_of(model: type[BaseModel], name: str) -> list[str]:
    """Return the members of an order that the field called ``name`` may be read from."""
    config = model.model_config
    by_name = config.get("populate_by_name", False) or config.get("validate_by_name", False)
    names = _names(name, model.model_fields[name], by_name)
    return [one for one in names if isinstance(one, str)]


def _names(name: str, field: FieldInfo, by_name: bool) -> list[Any]:
    """Return the members that a field is read from."""
    alias = field.validation_alias
    choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
    found = [one.path[0] if isinstance(one, AliasPath) else one for one in choices]
    return [name, *found] if by_name or alias is None else found


def refuse_late_soft_limit(tag: str, soft_limit: float, time_limit: float, named: str) -> None:
    """Raise ConfigurationError for a soft limit that the time limit ends before it is reached."""
    if soft_limit >= time_limit:
        raise ConfigurationError(
            f"select_tag {tag!r}: soft_limit={soft_limit:g} must be smaller than {named}, which is "
            f"{time_limit:g} s: the process is ended then, and the handler cannot tidy up"
        )


def _is_seconds(limit: Any) -> bool:
    number = isinstance(limit, int | float) and not isinstance(limit, bool)
    return number and 0 < limit < math.inf
