"""Which arguments are secret: those of the types SecretStr and SecretBytes, at any depth.

Their places are found in the JSON schema of the handler's model, which pydantic makes of nested
models, lists, optional fields and unions alike. A place that may be secret is taken for one. What
the schema does not tell (an alias among several, a ``Secret[int]``) is found by the value that the
model has read, and where that fails as well all that the order says is taken for a secret.
"""

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, Secret, SecretBytes, SecretStr, ValidationError

from kernel.handlers.registering.models import described

# What stands in the arguments of an order at the place of a secret.
MASK = "•••"
SECRETS = (SecretStr, SecretBytes, Secret)

Path = tuple[str | int, ...]
Schema = Mapping[str, Any]


class SecretFields:
    """Where the arguments of one model hold secrets."""

    def __init__(self, model: type[BaseModel]) -> None:
        # By their aliases, and by their names, which a model may read as well.
        self._schemas = _schemas(model)
        self._any = any(map(_names_secret, self._schemas))

    def __bool__(self) -> bool:
        """Whether there is any."""
        return self._any

    def places(self, args: Any) -> dict[Path, Any]:
        """Return what stands in ``args`` (parsed JSON) at each place of a secret, by its path."""
        if not self._any:
            return {}
        found = [
            path for schema in self._schemas for path in _secret(schema, _Root(schema), args, ())
        ]
        return {path: _at(args, path) for path in found if _at(args, path) is not None}

    def taken(self, args: Any, parsed: BaseModel) -> dict[Path, Any]:
        """Return the secrets of an order as `places`, with those that the model alone has found."""
        found = self.places(args)
        missed = set(map(_key, _values(parsed))) - set(map(_key, found.values()))
        if missed:
            parts = {path: part for path, part in _parts(args, ()) if path}
            more = {path: part for path, part in parts.items() if _key(part) in missed}
            leaves = {path: one for path, one in parts.items() if not isinstance(one, dict | list)}
            found |= more if missed <= set(map(_key, more.values())) else leaves
        return found

    def are_masked(self, args: Any, parse: Callable[[], BaseModel]) -> bool:
        """Tell whether a secret of stored arguments is its mask; ``parse`` has the model read them.

        A mask that the model refuses stands for a secret that was no text.
        """
        if MASK in self.places(args).values():
            return True
        try:
            return MASK in _values(parse())
        except ValidationError as error:
            return any(one["input"] == MASK for one in error.errors(include_url=False))


def has_secret_names(model: type[BaseModel]) -> bool:
    """Tell whether a model has a dict whose keys are secret."""
    return any(map(_has_secret_names, _schemas(model)))


def _has_secret_names(part: Any) -> bool:
    if isinstance(part, dict):
        names = part.get("propertyNames")
        below = any(map(_has_secret_names, part.values()))
        return below or (isinstance(names, dict) and _is_secret(names))
    return isinstance(part, list) and any(map(_has_secret_names, part))


def _schemas(model: type[BaseModel]) -> list[dict[str, Any]]:
    """Return the JSON schemas of a model, by its aliases and by its names."""
    return [described(model, by_alias=by_alias) for by_alias in (True, False)]


def masked(args: Any, secrets: Mapping[Path, Any]) -> Any:
    """Return ``args`` with the mask at the places of ``secrets``."""
    return _replaced(args, dict.fromkeys(secrets, MASK))


def packed(secrets: Mapping[Path, Any]) -> SecretStr:
    """Return secrets with their places as one text, which `restored` takes."""
    return SecretStr(json.dumps([[list(path), value] for path, value in secrets.items()]))


def restored(args: str, secrets: SecretStr) -> str:
    """Return the JSON text of arguments with their secrets in place again."""
    return json.dumps(_replaced(json.loads(args), unpacked(secrets)), ensure_ascii=False)


def unpacked(secrets: SecretStr) -> dict[Path, Any]:
    """Return the secrets by their places, of which `packed` has made one text."""
    return {tuple(path): value for path, value in json.loads(secrets.get_secret_value())}


def without(text: str, secrets: Mapping[Path, Any]) -> str:
    """Return ``text`` with the mask in place of each secret that it quotes.

    Takes its time with each secret, however short the text: give it all texts as one.
    """
    values = {one for value in secrets.values() for one in _quotable(value)}
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, MASK)
    return text


def _quotable(value: Any) -> Iterator[str]:
    """Yield how a secret may stand in a text: as it is, or stripped, as models may read it; and as
    Python or JSON quote it, as text or as bytes.
    """
    for _, given in _parts(value, ()):
        if isinstance(given, int | float) and not isinstance(given, bool):
            yield str(given)
        for one in (given, given.strip()) if isinstance(given, str) else ():
            as_bytes = repr(one.encode("utf-8", "replace"))[2:-1]
            forms = (one, repr(one)[1:-1], json.dumps(one)[1:-1], as_bytes)
            yield from (form for form in forms if form)


def _names_secret(part: Any) -> bool:
    if isinstance(part, dict):
        return _is_secret(part) or any(map(_names_secret, part.values()))
    return isinstance(part, list) and any(map(_names_secret, part))


def _is_secret(schema: Schema) -> bool:
    return schema.get("format") == "password" and schema.get("writeOnly") is True


def _key(value: Any) -> str:
    """Return what two values are compared by: a float, or a Decimal, is read from an int, too."""
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)


class _Root:
    """A whole schema, and at which places which of its definitions was asked about already.

    Recursive models in a union lead to the same one along twice as many ways at every level.
    """

    def __init__(self, schema: Schema) -> None:
        self._named: Schema = schema.get("$defs", {})
        self._seen: set[tuple[str, Path]] = set()

    def definition(self, reference: str, path: Path) -> Schema | None:
        """Return the schema that is referred to; None at a place where it was asked for before."""
        name = reference.removeprefix("#/$defs/")
        if (name, path) in self._seen:
            return None
        self._seen.add((name, path))
        found: Schema = self._named[name]
        return found


def _secret(schema: Any, root: _Root, value: Any, path: Path) -> Iterator[Path]:
    """Yield the paths below ``path`` at which ``value`` has what may be a secret."""
    if not isinstance(schema, dict):
        return
    if _is_secret(schema):
        yield path
        return
    if "$ref" in schema:
        yield from _secret(root.definition(schema["$ref"], path), root, value, path)
    for several in ("anyOf", "oneOf", "allOf"):
        for one in schema.get(several, ()):
            yield from _secret(one, root, value, path)
    if isinstance(value, dict):
        known = schema.get("properties", {})
        for name, one in value.items():
            below = known.get(name, schema.get("additionalProperties"))
            yield from _secret(below, root, one, (*path, name))
            for other in schema.get("patternProperties", {}).values():
                yield from _secret(other, root, one, (*path, name))
    elif isinstance(value, list):
        first = schema.get("prefixItems", ())
        for number, one in enumerate(value):
            below = first[number] if number < len(first) else schema.get("items")
            yield from _secret(below, root, one, (*path, number))


def _at(value: Any, path: Path) -> Any:
    for part in path:
        value = value[part]
    return value


def _replaced(value: Any, places: Mapping[Path, Any], path: Path = ()) -> Any:
    if path in places:
        return places[path]
    if isinstance(value, dict):
        return {name: _replaced(one, places, (*path, name)) for name, one in value.items()}
    if isinstance(value, list):
        return [_replaced(one, places, (*path, number)) for number, one in enumerate(value)]
    return value


def _parts(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    """Yield each value at ``path`` and below it but null, also dicts and lists as a whole."""
    if value is not None:
        yield path, value
    below = enumerate(value) if isinstance(value, list) else ()
    for name, one in value.items() if isinstance(value, dict) else below:
        yield from _parts(one, (*path, name))


def _values(parsed: Any) -> Iterator[Any]:
    """Yield the secrets that a model has read; what its fields have by default is none."""
    if isinstance(parsed, SECRETS):
        value = parsed.get_secret_value()
        if value is not None:
            yield value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    elif isinstance(parsed, BaseModel):
        for name in parsed.model_fields_set:
            yield from _values(getattr(parsed, name, None))
    elif dataclasses.is_dataclass(parsed):
        for field in dataclasses.fields(parsed):
            yield from _values(getattr(parsed, field.name, None))
    elif isinstance(parsed, Mapping):
        for one in (*parsed, *parsed.values()):
            yield from _values(one)
    elif isinstance(parsed, Sequence | set | frozenset) and not isinstance(parsed, str | bytes):
        for one in parsed:
            yield from _values(one)
