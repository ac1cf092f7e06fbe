"""An example for a JSON schema: the shortest value that says what is meant.

Taken from the schema's own ``examples`` or default where it has them, else made up by type. Not
every schema can be met this way (patterns cannot); the caller checks the result.
"""

from collections.abc import Mapping
from typing import Any

MAX_DEPTH = 8
BY_FORMAT = {
    "date-time": "2026-01-31T12:00:00Z",
    "date": "2026-01-31",
    "time": "12:00:00Z",
    "uuid": "01a1fbbe-f34d-7981-810d-57a278250261",
    "email": "somebody@example.com",
    "uri": "https://example.com/",
}


def example(schema: Any, defs: Mapping[str, Any], depth: int = 0) -> Any:
    """Return a value for ``schema``, whose references lead into ``defs``."""
    if not isinstance(schema, Mapping) or depth > MAX_DEPTH:
        return None
    if "$ref" in schema:
        return example(defs.get(schema["$ref"].rpartition("/")[2]), defs, depth + 1)
    given = _given(schema)
    if given:
        return given[0]
    for name in ("anyOf", "oneOf", "allOf"):
        if name in schema:
            return example(schema[name][0], defs, depth + 1)
    return _by_type(schema, defs, depth)


def _given(schema: Mapping[str, Any]) -> list[Any]:
    """What the schema itself says of its values, the best first."""
    found = [*schema.get("examples", ()), *schema.get("enum", ())]
    return found + [schema[name] for name in ("const", "default") if name in schema]


def _by_type(schema: Mapping[str, Any], defs: Mapping[str, Any], depth: int) -> Any:
    kind = schema.get("type")
    if kind == "object":
        return _object(schema, defs, depth)
    if kind == "array":
        items = schema.get("prefixItems") or [schema.get("items")] * schema.get("minItems", 1)
        return [example(one, defs, depth + 1) for one in items]
    if kind == "string":
        return _text(schema)
    if kind in ("integer", "number"):
        return _number(schema)
    return {"boolean": True}.get(str(kind))


def _object(schema: Mapping[str, Any], defs: Mapping[str, Any], depth: int) -> dict[str, Any]:
    members = schema.get("properties", {})
    return {name: example(members[name], defs, depth + 1) for name in members}


def _text(schema: Mapping[str, Any]) -> str:
    text = BY_FORMAT.get(str(schema.get("format")), "text")
    return text.ljust(schema.get("minLength", 0), "x")[: schema.get("maxLength")]


def _number(schema: Mapping[str, Any]) -> Any:
    step = schema.get("multipleOf", 1)
    if "exclusiveMinimum" in schema:
        return schema["exclusiveMinimum"] + step
    least = schema.get("minimum", min(step, schema.get("maximum", step)))
    return (
        least if "exclusiveMaximum" not in schema else min(least, schema["exclusiveMaximum"] - step)
    )
