"""The schemas of the handlers' models, arguments and results, each once and under its own name."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from kernel.handlers import Handler
from kernel.handlers.registering.models import UNDESCRIBED
from kernel.views.openapi.parts import SCHEMAS

Schema = dict[str, Any]
ARGS, RESULT = "validation", "serialization"


@dataclass(frozen=True, slots=True)
class Models:
    """The schemas of all handlers' models, and where each tag's stand among them."""

    schemas: dict[str, Schema]
    args: Mapping[str, str]
    results: Mapping[str, str]


def models_of(handlers: Mapping[str, Handler], taken: Iterable[str]) -> Models:
    """Return the schemas of the models, with none of the names that are ``taken``.

    pydantic parts models of one name by their modules, and what differs as argument and as result
    by ``-Input`` and ``-Output``.
    """
    wanted: list[Any] = []
    for tag, handler in handlers.items():
        wanted.append(((tag, ARGS), ARGS, TypeAdapter(handler.model)))
        if handler.result is not None:
            wanted.append(((tag, RESULT), RESULT, handler.result.adapter))
    named, found = _schemas(wanted)
    known = dict(found.get("$defs", {}))
    places: dict[str, dict[str, str]] = {ARGS: {}, RESULT: {}}
    # What pydantic writes in place, as it may do with a model that is used once.
    for ((tag, mode), _), schema in named.items():
        name = schema.get("$ref", "").rpartition("/")[2]
        if not name:
            name = free_name(f"{schema.get('title', tag)}", known)
            known[name] = schema
        places[mode][tag] = name
    for tag in handlers.keys() - places[ARGS].keys():  # pydantic cannot describe it: any member
        places[ARGS][tag] = name = free_name(handlers[tag].model.__name__, known)
        known[name] = {"type": "object", "additionalProperties": True}
    names = _renamed(known, set(taken))
    return Models(
        _pointed(known, names),
        {tag: names[name] for tag, name in places[ARGS].items()},
        {tag: names[name] for tag, name in places[RESULT].items()},
    )


def _schemas(wanted: list[Any]) -> tuple[Any, Any]:
    """Return what pydantic can describe: each schema, and the definitions that they share."""
    try:
        return TypeAdapter.json_schemas(wanted, ref_template=SCHEMAS + "{model}")
    except UNDESCRIBED:
        kept = [one for one in wanted if _is_described(one[2], one[1])]
        return TypeAdapter.json_schemas(kept, ref_template=SCHEMAS + "{model}")


def _is_described(adapter: TypeAdapter[Any], mode: Any) -> bool:
    try:
        adapter.json_schema(mode=mode)
    except UNDESCRIBED:
        return False
    return True


def _renamed(schemas: Mapping[str, Schema], taken: set[str]) -> dict[str, str]:
    """Return new names by the old ones: a handler's model may be called as one of ours is."""
    names: dict[str, str] = {}
    for name in schemas:
        names[name] = free_name(name, {*taken, *names.values(), *(schemas.keys() - {name})})
    return names


def free_name(name: str, taken: Iterable[str]) -> str:
    """Return the name, or the first with a number that is free."""
    known, number, free = set(taken), 2, name
    while free in known:
        free, number = f"{name}-{number}", number + 1
    return free


def _pointed(schemas: Mapping[str, Schema], names: Mapping[str, str]) -> dict[str, Schema]:
    """Return the schemas under their new names, and all references to them."""
    made: dict[str, Schema] = {
        names[name]: _with_references(schema, names) for name, schema in schemas.items()
    }
    return made


def _with_references(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_with_references(one, names) for one in value]
    if not isinstance(value, dict):
        return value
    made = {key: _with_references(one, names) for key, one in value.items()}
    of = made.get("$ref")
    if isinstance(of, str) and of.startswith(SCHEMAS):
        made["$ref"] = SCHEMAS + names.get(of.removeprefix(SCHEMAS), of.removeprefix(SCHEMAS))
    mapping = made.get("discriminator", {})
    if isinstance(mapping, dict) and isinstance(mapping.get("mapping"), dict):
        made["discriminator"] = mapping | {
            "mapping": {
                key: SCHEMAS + names.get(one.removeprefix(SCHEMAS), one.removeprefix(SCHEMAS))
                for key, one in mapping["mapping"].items()
            }
        }
    return made


def used(document: Mapping[str, Any]) -> dict[str, Schema]:
    """Return the schemas of a document that something in it refers to."""
    schemas: dict[str, Schema] = document["components"]["schemas"]
    rest = {**document, "components": {**document["components"], "schemas": {}}}
    found: dict[str, Schema] = {}
    texts = [json.dumps(rest)]
    while texts:
        text = texts.pop()
        for name in schemas.keys() - found.keys():
            if json.dumps(SCHEMAS + name) in text:
                found[name] = schemas[name]
                texts.append(json.dumps(schemas[name]))
    return {name: schema for name, schema in schemas.items() if name in found}
