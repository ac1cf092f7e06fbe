"""From an outcome to the request of a shape, each value encoded for its place.

Pure: the same outcome and the same shape make the same bytes at every attempt.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol
from urllib.parse import quote, quote_plus

from kernel.formats.shapes.filling import Filling
from kernel.formats.shapes.rules import ALLOWED, Lookup
from kernel.formats.shapes.shape import Shape
from kernel.formats.shapes.template import ABSENT, If, Own, TemplateFailed, Text, find, paths_of
from kernel.formats.shapes.text_shaping import adf, shape_text, shaper

# What a template may name without its way through ``data``.
_SHORT = ("order_id", "reference", "select_tag", "state", "result", "error", "created_at")
_SHORTER = (*_SHORT, "finished_at")
# Of these, what kernel makes itself: nothing in it is to be escaped.
_MADE = ("order_id", "created_at", "finished_at")


class Secret(Protocol):
    """A value that is not printed, as pydantic's SecretStr."""

    def get_secret_value(self) -> str:
        """Return it."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What templates can name of one delivery; ``body`` is its envelope as it was frozen."""

    values: Mapping[str, Any]
    body: bytes


@dataclass(frozen=True, slots=True)
class Rendered:
    """A request. ``url``: None for the receiver's, or the order's; else see `below`."""

    method: str
    url: str | None = field(repr=False)
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Question:
    """A lookup of one delivery: where to ask, and for what."""

    url: str
    wanted: str


def facts(body: bytes, delivery_id: str, variables: Mapping[str, str]) -> Facts:
    """Return what templates can name: the envelope, its members by short names, the receiver's.

    Raises TemplateFailed for a body that is no envelope.
    """
    try:
        envelope = json.loads(body)
    except (ValueError, RecursionError):
        raise TemplateFailed("the envelope is not JSON") from None
    data = envelope.get("data") if isinstance(envelope, dict) else None
    if not isinstance(data, dict):
        raise TemplateFailed("the envelope has no data")
    data |= {name: Own(data[name]) for name in _MADE if name in data}
    short = {name: data[name] for name in _SHORTER if name in data}
    message = envelope.get("msg")
    named = {"message": message, "delivery_id": Own(delivery_id)}
    if message != data.get("state"):
        # What a note has to say beside the state: a success without words is called "success".
        named["detail"] = message
    return Facts({**envelope, **short, **named, "receiver": Own(dict(variables))}, body)


def question(lookup: Lookup, known: Facts) -> Question:
    """Return what a lookup asks. Raises TemplateFailed, also for a value that it does not allow."""
    values = _with_defaults(known.values, lookup.variables)
    wanted = _filled(lookup.equals, values, "the lookup")
    if not ALLOWED[lookup.allow].fullmatch(wanted):
        shown = wanted[:100]
        raise TemplateFailed(f"the lookup takes {lookup.allow} values alone, not {shown!r}")
    return Question(_url(lookup.url, values), wanted)


def render(
    shape: Shape, known: Facts, secrets: Mapping[str, Secret], found: Any = None
) -> Rendered:
    """Make the request of a delivery; ``found``: what the shape's lookup has found.

    Raises TemplateFailed.
    """
    values = {**_with_defaults(known.values, shape.variables), "found": Own(found)}
    for path in (*shape.needs, *shape.digits):
        written = _filled(Text((path,)), values, "the receiver")
        if path in shape.digits and not ALLOWED["digits"].fullmatch(written):
            raise TemplateFailed(f"{'.'.join(path)} has to be a number")
    values["text"] = Own(_text(shape, values))
    values["outcome"] = _outcome(shape, values)
    url = _secret_url(secrets) if shape.secret_url else None
    if shape.url is not None:
        url = _url(_chosen(shape.url, values), values)
    filling = Filling(values)
    headers = {name: _header(text, filling, shape.percent) for name, text in shape.headers.items()}
    sent = {name: value for name, value in headers.items() if value is not None}
    placed = {**values, "secret": Own({n: s.get_secret_value() for n, s in secrets.items()})}
    _check_secrets(shape, secrets)
    body, content_type = _body(shape, placed, known.body)
    return Rendered(shape.method, url, {**sent, "content-type": content_type}, body)


def below(base: str, url: str | None) -> str:
    """Return a rendered URL in full: ``base`` without one; what is no URL itself goes below it.

    The query of ``base`` stays there, before its own.
    """
    if url is None:
        return base
    if _is_full(url):
        return url
    place, _, query = base.partition("?")
    path, _, more = url.partition("?")
    queries = "&".join(filter(None, (query, more)))
    whole = f"{place.rstrip('/')}/{path.removeprefix('/')}"
    return f"{whole}?{queries}" if queries else whole


def _is_full(url: str) -> bool:
    return "://" in url.partition("?")[0]


def _with_defaults(values: Mapping[str, Any], defaults: Mapping[str, str]) -> dict[str, Any]:
    given = values.get("receiver")
    own = given.value if isinstance(given, Own) else {}
    return {**values, "receiver": Own({**defaults, **own})}


def _chosen(url: Text | If, values: Mapping[str, Any]) -> Text:
    if isinstance(url, Text):
        return url
    chosen: Text = url.then if Filling(values).holds(url.path) else url.otherwise
    return chosen


def secret_names(shape: Shape) -> frozenset[str]:
    """Return the secrets without which nothing can be made of any outcome."""
    paths = (*paths_of(shape.body), *paths_of(shape.form))
    named = {".".join(path[1:]) for path in paths if path[0] == "secret"}
    return frozenset(named | {"url"} if shape.secret_url else named)


def names_of(shape: Shape, kind: str) -> frozenset[str]:
    """Return what a shape places below ``outcome`` or ``receiver``; nothing if it places all."""
    lookup = () if shape.lookup is None else (shape.lookup.url, shape.lookup.equals)
    texts = (shape.text.template, shape.text.tail, *lookup, *shape.headers.values())
    values = (shape.url, shape.body, shape.form, dict(shape.outcomes))
    placed = [path for one in (*texts, *values) for path in paths_of(one)]
    found = [path for path in (*placed, *shape.needs, *shape.digits) if path[0] == kind]
    is_whole = any(len(path) == 1 for path in found)
    return frozenset() if is_whole else frozenset(path[1] for path in found)


def full_urls(shape: Shape) -> list[str]:
    """Return the beginning, up to a place in it, of each URL that does not go below another."""
    urls = [shape.url.then, shape.url.otherwise] if isinstance(shape.url, If) else [shape.url]
    urls.append(None if shape.lookup is None else shape.lookup.url)
    begun = [str(one.parts[0]) for one in urls if one is not None and one.parts]
    return list(filter(_is_full, begun))


def _check_secrets(shape: Shape, secrets: Mapping[str, Secret]) -> None:
    """Raise TemplateFailed when the body names a secret that the receiver does not have."""
    for path in (*paths_of(shape.body), *paths_of(shape.form)):
        if path[0] == "secret" and (len(path) != 2 or path[1] not in secrets):
            raise TemplateFailed(f"the receiver has no secret named {'.'.join(path[1:])}")


def _text(shape: Shape, values: Mapping[str, Any]) -> Any:
    rule = shape.text
    text = Filling(values).text(rule.template, _written).rstrip()
    tail = ""
    if rule.tail is not None:
        tail = Filling(values, shaper(rule.format)).text(rule.tail, _written)
        tail = shape_text("\n\n", rule.format, None) + tail
    room = None if rule.limit is None else max(0, rule.limit - len(tail))
    shaped = shape_text(text, rule.format, room) + tail
    return adf(shaped) if rule.format == "adf" else shaped


def _outcome(shape: Shape, values: Mapping[str, Any]) -> Any:
    entry = shape.outcomes.get(str(values.get("state")), {})
    return Filling(values, shaper(shape.text.format)).laid_out(entry)


def _secret_url(secrets: Mapping[str, Secret]) -> str:
    if "url" not in secrets:
        raise TemplateFailed("the receiver has no secret named url")
    return secrets["url"].get_secret_value()


def _body(shape: Shape, values: Mapping[str, Any], envelope: bytes) -> tuple[bytes, str]:
    filling = Filling(values, shaper(shape.text.format))
    if shape.form is not None:
        made = ((name, filling.fill(one)) for name, one in shape.form.items())
        fields = [(name, _field(value)) for name, value in made if value is not ABSENT]
        return _form(fields, shape.charset), "application/x-www-form-urlencoded"
    content_type = shape.content_type
    if shape.charset != "utf-8" and "charset=" not in content_type:
        content_type += f"; charset={shape.charset}"
    if shape.body is None:
        return envelope, content_type
    value = filling.fill(shape.body)
    is_json = content_type.partition(";")[0].endswith(("/json", "+json"))
    if isinstance(value, str) and not is_json:
        return value.encode(shape.charset, "replace"), content_type
    return _json(None if value is ABSENT else value, shape.charset), content_type


def _json(value: Any, charset: str) -> bytes:
    """Encode JSON; outside UTF-8 everything that is not ASCII is written as ``\\u``."""
    plain = charset.lower() not in ("utf-8", "utf8")
    text = json.dumps(value, ensure_ascii=plain, separators=(",", ":"))
    return text.encode(charset, "replace")


def _field(value: Any) -> str:
    """Write a form's field: strings as they are, everything else as JSON text."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _form(fields: list[tuple[str, str]], charset: str) -> bytes:
    """Encode a form as the URL standard does (application/x-www-form-urlencoded)."""
    encode: Callable[[str], str] = partial(quote_plus, encoding=charset, errors="replace")
    return "&".join(f"{encode(name)}={encode(value)}" for name, value in fields).encode("ascii")


def _header(text: Text, filling: Filling, percent: bool) -> str | None:
    """Return a header's value; None when it is left out: no value, or not visible ASCII."""
    if any(filling.value(path) is ABSENT for path in text.paths):
        return None
    value = filling.text(text, _percent if percent else _written)
    inner = value.isascii() and value.isprintable()
    return value if inner and value and value == value.strip() and len(value) <= 4096 else None


def _percent(value: Any) -> str:
    """Encode as CloudEvents' HTTP binding does (§3.1.3.2): space, quote, percent, not ASCII."""
    return quote(_written(value), safe="!#$&'()*+,-./:;<=>?@[\\]^_`{|}~")


def _url(text: Text, values: Mapping[str, Any]) -> str:
    """Return a URL; a value is one percent-encoded segment, or a part of one, or of the query.

    Raises TemplateFailed for a value that is missing, and for one that would make a segment empty,
    ``.`` or ``..``.
    """
    _require(text, values, "the URL")
    filled = Filling(values).text(text, lambda value: quote(_written(value), safe=""))
    # Of a template below the receiver's URL all segments count, of a full URL those of its path.
    head, mark, tail = filled.partition("?")[0].partition("://")
    segments = tail.split("/")[1:] if mark else head.removeprefix("/").split("/")
    for at, segment in enumerate(segments):
        if segment in (".", "..") or (segment == "" and at < len(segments) - 1):
            raise TemplateFailed(f"a segment of the URL would be {segment!r}")
    return filled


def _filled(text: Text, values: Mapping[str, Any], place: str) -> str:
    """Fill a text in which no place may be without a value, and none is an object or a list."""
    _require(text, values, place)
    return Filling(values).text(text, _written)


def _require(text: Text, values: Mapping[str, Any], place: str) -> None:
    for path in text.paths:
        value, _ = find(values, path)
        if value is ABSENT or value == "":
            raise TemplateFailed(f"{place} needs {'.'.join(path)}, and the order has none")
        if isinstance(value, dict | list):
            raise TemplateFailed(f"{place} takes no object or list: {'.'.join(path)}")


def _written(value: Any) -> str:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    return json.dumps(value, ensure_ascii=False)
