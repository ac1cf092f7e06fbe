"""Whether the models of handlers are whole once their module is: names may be defined late."""

import warnings
from collections.abc import Mapping
from typing import Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    PlainValidator,
    PydanticUserError,
    RootModel,
    WrapValidator,
)
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticUndefinedAnnotation
from pydantic.json_schema import PydanticJsonSchemaWarning

from kernel.errors import ConfigurationError

# What pydantic says of a model that has no schema; before 2.14 also of a `Secret` by default.
UNDESCRIBED = (
    *(PydanticInvalidForJsonSchema, PydanticUndefinedAnnotation, PydanticUserError),
    TypeError,
)


def refuse_unfinished(models: Mapping[str, type[BaseModel]]) -> None:
    """Raise ConfigurationError for a model, by its tag, that no order could ever fit."""
    for tag, model in models.items():
        if said := what_is_missing(model):
            raise ConfigurationError(f"select_tag {tag!r}: {said}")
        is_judged = issubclass(model, RootModel) and not _reads_by_itself(model)
        kind = resolved(described(model)).get("type") if is_judged else None
        if kind not in (None, "object"):
            raise ConfigurationError(
                f"select_tag {tag!r}: an order's members are a JSON object, and {model.__name__} "
                f"is of type {kind}: make it a BaseModel with a field for it"
            )


def _reads_by_itself(model: type[BaseModel]) -> bool:
    """Tell whether a function of the model's own may make what it holds of an object."""
    decorators = model.__pydantic_decorators__
    own: list[Any] = [*decorators.model_validators.values(), *decorators.field_validators.values()]
    early = (BeforeValidator, WrapValidator, PlainValidator)
    metadata = model.model_fields["root"].metadata
    return any(one.info.mode != "after" for one in own) or any(
        isinstance(one, early) for one in metadata
    )


def what_is_missing(model: type[BaseModel]) -> str:
    """Say which name in a model is defined nowhere; "" for a model that is whole."""
    try:
        model.model_rebuild()
    except PydanticUndefinedAnnotation as error:
        return (
            f"{model.__name__} names {error.name}, which is not defined in {model.__module__}: "
            "import or define it there, and not below TYPE_CHECKING"
        )
    except PydanticUserError as error:
        return f"{model.__name__}: {str(error).splitlines()[0]}"
    return ""


def described(model: type[BaseModel], *, by_alias: bool = True) -> dict[str, Any]:
    """Return the JSON schema of a model; an empty one for a model that pydantic cannot describe."""
    try:
        with warnings.catch_warnings(action="ignore", category=PydanticJsonSchemaWarning):
            return model.model_json_schema(by_alias=by_alias)
    except UNDESCRIBED:
        return {}


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """Return what a schema that refers to itself means."""
    while "$ref" in schema:
        schema = schema.get("$defs", {}).get(schema["$ref"].rpartition("/")[2], {"type": "object"})
    return schema
