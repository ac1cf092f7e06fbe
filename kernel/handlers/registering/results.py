"""The model of a handler's result: looked at at import, and used on what is returned."""

from dataclasses import is_dataclass
from functools import cached_property
from typing import Any, is_typeddict

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic_core import PydanticSerializationError
from typing_extensions import is_typeddict as is_typeddict_too

from kernel.errors import ConfigurationError
from kernel.handlers.registering.models import resolved


class ResultModel:
    """What a handler's results look like: a pydantic model, a TypedDict or a dataclass."""

    def __init__(self, model: type[Any]) -> None:
        self.model = model

    @cached_property
    def adapter(self) -> TypeAdapter[Any]:
        """Its validator and serializer."""
        return TypeAdapter(self.model)

    @cached_property
    def schema(self) -> dict[str, Any]:
        """What its JSON looks like. Raises pydantic's errors for what cannot be JSON."""
        return self.adapter.json_schema(mode="serialization")

    @property
    def members(self) -> list[str]:
        """The names of its members, in its JSON."""
        return list(resolved(self.schema).get("properties", {}))

    def dump(self, value: Any, what: str = "result") -> Any:
        """Return a result as JSON's types. Raises ValueError, which names each wrong member.

        ``value``: an instance, or a dict with the names of its fields or their aliases.
        """
        adapter, extra = self.adapter, None if self._says_extra() else "forbid"
        try:
            made = adapter.validate_python(value, extra=extra, by_alias=True, by_name=True)  # type: ignore[arg-type]
            try:
                return adapter.dump_python(made, mode="json", by_alias=True, warnings="error")
            except PydanticSerializationError:
                # An instance that was changed, or never validated: look where.
                loose = adapter.dump_python(made, by_alias=True, warnings=False)
                adapter.validate_python(loose, by_alias=True, by_name=True)
                raise ValueError(
                    f"{what} holds what {self.model.__name__} cannot write as JSON"
                ) from None
        except ValidationError as error:
            found = error.errors(include_input=False, include_url=False, include_context=False)
            said = "; ".join(f"{_place(what, one['loc'])}: {one['msg']}" for one in found[:20])
            raise ValueError(f"{said} (a {self.model.__name__} is returned)") from None

    def _says_extra(self) -> bool:
        of = self.model
        config = getattr(of, "model_config", None) or getattr(of, "__pydantic_config__", {})
        return "extra" in config


def refuse_result(tag: str, model: Any) -> None:
    """Raise ConfigurationError for what is no model of results, or cannot be a JSON object."""
    if not is_result_model(model):
        raise ConfigurationError(
            f"select_tag {tag!r}: result is a pydantic model, a TypedDict or a dataclass, "
            f"not {model!r:.100}"
        )
    try:
        schema = ResultModel(model).schema
    except PydanticUserError as error:
        raise ConfigurationError(
            f"select_tag {tag!r}: result={model.__name__} cannot be JSON: "
            f"{_culprit(model)}{str(error).splitlines()[0]}"
        ) from None
    if resolved(schema).get("type") != "object":
        raise ConfigurationError(
            f"select_tag {tag!r}: a result is a JSON object, and {model.__name__} is none"
        )


def is_result_model(model: Any) -> bool:
    """Tell whether results can be of this type."""
    if is_typeddict(model) or is_typeddict_too(model):
        return True
    return isinstance(model, type) and (issubclass(model, BaseModel) or is_dataclass(model))


def _culprit(model: Any) -> str:
    """Name the member that cannot be JSON, as ``price: ``."""
    for name, field in getattr(model, "model_fields", {}).items():
        try:
            TypeAdapter(field.rebuild_annotation(), config=None).json_schema(mode="serialization")
        except PydanticUserError:
            return f"{name}: "
    return ""


def _place(what: str, path: tuple[int | str, ...]) -> str:
    """Write a place as Python does."""
    return what + "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in path)
