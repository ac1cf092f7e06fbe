"""A shape: how an outcome becomes a request, and how the answer is judged; read from JSON.

`parse_shape` refuses what it does not know and lists every problem, so that a typing mistake is
seen when a receiver is set up, and not when the first callback is due.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from kernel.formats.callback_headers import is_callback_header
from kernel.formats.shapes.reading import (
    InvalidShape,
    Reader,
    one_of,
    read_count,
    read_flag,
    read_object,
    read_paths,
    read_string,
    read_strings,
    read_text,
    read_urls,
)
from kernel.formats.shapes.rules import Lookup, Rule, read_lookup, read_rules
from kernel.formats.shapes.template import (
    MAX_TEMPLATE_BYTES,
    If,
    Path,
    Template,
    Text,
    parse_template,
    parse_text,
    paths_of,
)
from kernel.formats.shapes.text_shaping import FORMATS
from kernel.transport.headers import is_transport_header

METHODS = ("POST", "PUT", "PATCH")
# All hold ASCII unchanged, so that JSON and forms stay what they are.
CHARSETS = ("utf-8", "us-ascii", "iso-8859-1", "iso-8859-15", "windows-1252")
STATES = ("success", "warning", "failed", "cancelled")
# How a header says when to come back: a Unix time, a date of ISO 8601, or seconds.
WAITS = ("unix", "iso", "seconds")
DEFAULT_TEXT = "{{ message }}\n\nref {{ delivery_id }}"
SECRET_URL = "{{ secret.url }}"  # noqa: S105 - its name
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+(?:; *[a-z-]+=[\w./:-]+)*")


@dataclass(frozen=True, slots=True)
class TextRule:
    """How ``{{ text }}`` is made: what it says, in which format, with how many characters.

    ``tail`` is the last line, which a cut leaves alone; what is the operator's own in it stands as
    it is, so that it can be searched for.
    """

    template: Text
    format: str = "plain"
    limit: int | None = None
    tail: Text | None = None


@dataclass(frozen=True, slots=True)
class Shape:
    """What `parse_shape` reads. ``url`` None: the receiver's own, ``body`` None: the envelope.

    ``variables``: the defaults of the receiver's. ``needs``: without these values nothing is sent,
    ``digits``: nor without whole numbers at these places. ``secret_url``: the URL is a secret of
    the receiver's. ``percent``: header values are percent-encoded (CloudEvents, HTTP binding
    §3.1.3.2) instead of left out.
    """

    method: str = "POST"
    url: Text | If | None = None
    secret_url: bool = False
    content_type: str = "application/json"
    charset: str = "utf-8"
    headers: Mapping[str, Text] = field(default_factory=dict)
    percent: bool = False
    body: Template = None
    form: Mapping[str, Template] | None = None
    text: TextRule = TextRule(parse_text(DEFAULT_TEXT))
    outcomes: Mapping[str, Mapping[str, Template]] = field(default_factory=dict)
    lookup: Lookup | None = None
    answer: tuple[Rule, ...] = ()
    wait: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[Path, ...] = ()
    digits: tuple[Path, ...] = ()


DEFAULT = Shape()


def parse_shape(value: object) -> Shape:
    """Read a shape from its JSON value. Raises InvalidShape, which lists every problem."""
    if not isinstance(value, dict):
        raise InvalidShape([("", "a shape is a JSON object")])
    try:
        size = len(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        raise InvalidShape([("", "a shape is made of JSON values")]) from None
    if size > MAX_TEMPLATE_BYTES:
        raise InvalidShape([("", f"a shape has at most {MAX_TEMPLATE_BYTES} bytes, this {size}")])
    problems: list[tuple[str, str]] = []
    shape = _shape(value, problems)
    problems += _misplaced(shape)
    if problems:
        raise InvalidShape(problems)
    return shape


def _shape(value: dict[str, Any], problems: list[tuple[str, str]]) -> Shape:
    read = Reader(value, "", problems)
    is_secret = value.get("url") == SECRET_URL
    variables = read.get("variables", read_strings, {})
    lookup = read.get("lookup", read_lookup)
    shape = Shape(
        method=read.get("method", one_of(METHODS), "POST"),
        url=read.get("url", lambda one, at: None if is_secret else read_urls(one, at)),
        secret_url=is_secret,
        content_type=read.get("content_type", _media_type, "application/json"),
        charset=read.get("charset", _charset, "utf-8"),
        headers=read.get("headers", _headers, {}),
        percent=read.get("percent", read_flag, False),
        body=read.get("body", parse_template),
        form=read.get("form", _form),
        text=read.get("text", _text_rule, DEFAULT.text),
        outcomes=read.get("outcomes", _outcomes, {}),
        lookup=lookup and replace(lookup, variables=variables),
        answer=read.get("answer", read_rules, ()),
        wait=read.get("wait", _wait, {}),
        variables=variables,
        needs=read.get("needs", read_paths, ()),
        digits=read.get("digits", read_paths, ()),
    )
    read.end()
    return shape


def _misplaced(shape: Shape) -> Iterator[tuple[str, str]]:
    if shape.body is not None and shape.form is not None:
        yield "/form", "a request has a body or a form, not both"
    secret = "a secret is placed in a body or a form alone"  # noqa: S105 - words
    places: dict[str, Template] = {"/url": shape.url, "/text/template": shape.text.template}
    places |= {"/text/tail": shape.text.tail}
    places |= {f"/headers/{name}": one for name, one in shape.headers.items()}
    if shape.lookup is not None:
        places |= {"/lookup/url": shape.lookup.url, "/lookup/equals": shape.lookup.equals}
    for pointer, text in places.items():
        if any(path[0] == "secret" for path in paths_of(text)):
            yield pointer, secret
    for state, entry in shape.outcomes.items():
        for name, template in entry.items():
            if any(path[0] in ("secret", "outcome") for path in paths_of(template)):
                yield f"/outcomes/{state}/{name}", "an outcome names no secret and no outcome"
    if any(
        path[0] == "text" for path in (*paths_of(shape.text.template), *paths_of(shape.text.tail))
    ):
        yield "/text/template", "the text cannot be part of itself"


def _media_type(value: Any, pointer: str) -> str:
    if not _MEDIA_TYPE.fullmatch(read_string(value, pointer)):
        raise ValueError("a content type is like application/json")
    return str(value)


def _charset(value: Any, pointer: str) -> str:
    name = read_string(value, pointer).lower()
    if name not in CHARSETS:
        raise ValueError(f"a charset is one of {', '.join(CHARSETS)}")
    return name


def _headers(value: Any, pointer: str) -> dict[str, Text]:
    problems = [(f"{pointer}/{name}", text) for name in read_object(value, pointer)
                if (text := _refused_header(name))]  # fmt: skip
    if problems:
        raise InvalidShape(problems)
    return {name: read_text(one, f"{pointer}/{name}") for name, one in value.items()}


def _refused_header(name: str) -> str | None:
    if not HEADER_NAME.fullmatch(name):
        return "this is no header name"
    if name.lower() == "authorization":
        return "credentials are set for the receiver, not in its shape"
    if is_transport_header(name) or is_callback_header(name):
        return "kernel sets this header itself, or never sends it"
    return None


def _form(value: Any, pointer: str) -> dict[str, Template]:
    fields = read_object(value, pointer)
    return {name: parse_template(one, f"{pointer}/{name}") for name, one in fields.items()}


def _text_rule(value: Any, pointer: str) -> TextRule:
    problems: list[tuple[str, str]] = []
    read = Reader(read_object(value, pointer), pointer, problems)
    rule = TextRule(
        read.get("template", read_text, DEFAULT.text.template),
        read.get("format", one_of(tuple(FORMATS)), "plain"),
        read.get("limit", read_count),
        read.get("tail", read_text),
    )
    read.end()
    if problems:
        raise InvalidShape(problems)
    return rule


def _outcomes(value: Any, pointer: str) -> dict[str, dict[str, Template]]:
    found = {}
    for state, entry in read_object(value, pointer).items():
        if state not in STATES:
            raise InvalidShape([(f"{pointer}/{state}", f"a state is one of {', '.join(STATES)}")])
        found[state] = _form(entry, f"{pointer}/{state}")
    return found


def _wait(value: Any, pointer: str) -> dict[str, str]:
    found = read_object(value, pointer)
    return {name.lower(): one_of(WAITS)(one, pointer) for name, one in found.items()}
