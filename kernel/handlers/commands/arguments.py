"""The model that checks an order of a command, made of the tables of its arguments."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, create_model
from pydantic_core import SchemaError

from kernel.handlers.commands.tables import COMMON, KEYS, Argument, Command
from kernel.handlers.commands.templates import Value


def make_model(tag: str, command: Command, leading: set[str]) -> type[BaseModel]:
    """Make the model of a command's arguments.

    ``leading``: those whose values may be the beginning of an entry of argv, so that one with a
    ``-`` in front would be an option. Raises ValueError, which begins with the argument's name.
    """
    fields = {
        name: _field(name, argument, name in leading and not argument.dash)
        for name, argument in command.arguments.items()
    }
    said = "".join(part.title() for part in re.split(r"[^a-z0-9]+", tag)) or "Command"
    model: type[BaseModel] = create_model(  # type: ignore[call-overload]
        said, __config__=ConfigDict(protected_namespaces=()), __doc__=command.description, **fields
    )
    return model


def values_of(command: Command, args: BaseModel) -> dict[str, Value]:
    """Return the arguments of an order as texts, or lists of texts; None for what is not given."""
    return {
        name: _value(argument, getattr(args, name)) for name, argument in command.arguments.items()
    }


def _value(argument: Argument, given: Any) -> Value:
    if given is None:
        return None
    if isinstance(given, list):
        texts = [_text(one) for one in given]
        return texts if argument.join is None else argument.join.join(texts)
    return _text(given)


def _text(given: Any) -> str:
    if isinstance(given, SecretStr):
        return given.get_secret_value()
    if isinstance(given, bool):
        return "true" if given else "false"
    return str(given)


def _field(name: str, argument: Argument, no_dash: bool) -> tuple[Any, Any]:
    if hasattr(BaseModel, name):
        raise ValueError(f"{name}: pydantic has this name for itself; take another one")
    _refuse_keys(name, argument)
    try:
        kind = _type(argument, no_dash)
        default = _default(argument)
        described = Field(
            default, description=argument.description or None, examples=argument.examples or None
        )
        made = (kind if argument.required else kind | None, described)
        # Of what the file itself says, so that a mistake is told at the start.
        one = create_model("One", value=made)
        for given in (
            *argument.examples,
            *([] if argument.default is None else [argument.default]),
        ):
            one.model_validate({"value": given}, strict=True)
    except SchemaError as error:  # what else may be wrong was looked at before
        why = str(error).rpartition("error: ")[2].strip()
        raise ValueError(
            f"{name}: pattern: {argument.pattern!r} is no regular expression of Rust's: {why}"
        ) from None
    except (ValueError, TypeError) as error:
        raise ValueError(f"{name}: {_said(error)}") from None
    return made


def _said(error: Exception) -> str:
    errors = getattr(error, "errors", None)
    if errors is None:
        return str(error)
    first = errors()[0]
    said = str(first["msg"]).removeprefix("Value error, ")
    return f"the example or default {first['input']!r} does not fit: {said}"


def _refuse_keys(name: str, argument: Argument) -> None:
    allowed = KEYS[argument.type]
    wrong = sorted(argument.model_fields_set - allowed - COMMON)
    if argument.type == "list":
        wrong += sorted(argument.model_fields_set & (allowed - KEYS[argument.items]) & KEYS["int"])
        wrong += sorted(argument.model_fields_set & (KEYS["str"] - KEYS[argument.items]))
    if wrong:
        kind = f"{argument.type} of {argument.items}" if argument.type == "list" else argument.type
        raise ValueError(f"{name}: an argument of type {kind} has no {wrong[0]}")
    if not argument.required and argument.default is not None:
        raise ValueError(f"{name}: with a default it need not be given; leave out `required`")
    if argument.type == "bool" and not argument.required:
        raise ValueError(f"{name}: write `default = false` for one that need not be given")


def _default(argument: Argument) -> Any:
    if argument.default is not None:
        return argument.default
    return ... if argument.required else None


def _type(argument: Argument, no_dash: bool) -> Any:
    if argument.type == "secret":
        bounds = Field(min_length=argument.min_length, max_length=argument.max_length)
        return Annotated[SecretStr, bounds, AfterValidator(_secret_without_nul)]
    if argument.type == "bool":
        return bool
    if argument.type != "list":
        return _plain(argument, argument.type, no_dash)
    item: Any = _plain(argument, argument.items, no_dash)
    if argument.join is not None:
        item = Annotated[item, AfterValidator(_without(argument.join))]
    return Annotated[
        list[item], Field(min_length=argument.min_items, max_length=argument.max_items)
    ]


def _plain(argument: Argument, kind: str, no_dash: bool) -> Any:
    if argument.choices is not None:
        return _choice(argument, kind, no_dash)
    if kind == "int":
        lowest = argument.minimum
        if no_dash:
            lowest = max(0, lowest or 0)
        return Annotated[int, Field(ge=lowest, le=argument.maximum)]
    pattern = None if argument.pattern is None else f"^(?:{argument.pattern})$"
    bounds = Field(min_length=argument.min_length, max_length=argument.max_length, pattern=pattern)
    text: Any = Annotated[str, bounds, AfterValidator(_without_nul)]
    if no_dash:
        shown = Field(json_schema_extra={"not": {"pattern": "^-"}})
        text = Annotated[text, shown, AfterValidator(_without_dash)]
    return text


def _choice(argument: Argument, kind: str, no_dash: bool) -> Any:
    choices = argument.choices or []
    wanted = int if kind == "int" else str
    if not choices or not all(type(one) is wanted for one in choices):
        raise ValueError(f"choices are a list of {kind}s, of one at least")
    dashed = [one for one in choices if str(one).startswith("-")]
    if no_dash and dashed:
        raise ValueError(f"the choice {dashed[0]!r} would be an option; if it may, `dash = true`")
    return Literal[tuple(choices)]


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("has a NUL character, which no program can be given")
    return text


def _secret_without_nul(secret: SecretStr) -> SecretStr:
    _without_nul(secret.get_secret_value())
    return secret


def _without_dash(text: str) -> str:
    if text.startswith("-"):
        raise ValueError("may not begin with -: it would be an option")
    return text


def _without(separator: str) -> Any:
    def refuse(given: Any) -> Any:
        if separator in str(given):
            raise ValueError(f"may not have {separator!r} in it")
        return given

    return refuse


def given_of(args: BaseModel) -> Mapping[str, Any]:
    """Return the arguments of an order as its model has read them."""
    return {name: getattr(args, name) for name in type(args).model_fields}
