"""What the operations of the API document are made of."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

SCHEMAS = "#/components/schemas/"
RESPONSES = "#/components/responses/"
UNSIGNED: list[dict[str, list[str]]] = []
PENDING, DONE, ANY = [2], [0], [0, 1, 2, -1]

# Status code, name, what it means; with a header where one is always sent.
REFUSALS = {
    400: ("BadRequest", "not valid HTTP, or not one strict JSON object", None),
    401: (
        "Unauthenticated",
        "credentials are missing or wrong, or work no more",
        "WWW-Authenticate",
    ),
    403: ("Forbidden", "this key lacks the scope, or is for orders of other tags", None),
    404: ("NotFound", "no such thing, or another caller's", None),
    409: ("Conflict", "its state does not allow that, or its name is taken", None),
    413: ("BodyTooLarge", "the body is too large", None),
    415: ("NotJson", "the content type is not application/json", None),
    421: ("Misdirected", "the host of the address is not known to the service", None),
    422: ("Invalid", "members are missing, unknown or wrong; all of them are listed", None),
    429: ("TooManyRequests", "slow down", "Retry-After"),
    503: ("Unavailable", "not now; try again", "Retry-After"),
}
# Without a bound: a longer one is cut, and not refused.
REASON = {
    "name": "X-Reason",
    "in": "header",
    "description": "why, for the audit trail: up to 500 characters",
    "schema": {"type": "string"},
}
ALWAYS = (400, 401, 403, 421, 429, 503)
BODY = (413, 415, 422)


def ref(name: str) -> dict[str, str]:
    """Refer to a schema of the document."""
    return {"$ref": SCHEMAS + name}


def envelope(statuses: list[int], data: dict[str, Any]) -> dict[str, Any]:
    """The schema of an answer: status, msg, data."""
    return {
        "type": "object",
        "properties": {"status": {"enum": statuses}, "msg": {"type": "string"}, "data": data},
        "required": ["status", "msg", "data"],
        "additionalProperties": False,
    }


def share_answers(document: dict[str, Any]) -> None:
    """Move the bodies of a document among its schemas, each once, and refer to them."""
    schemas = document["components"]["schemas"]
    names: dict[str, str] = {}
    shared = {key: one for key, one in document.items() if key != "components"}
    for schema_of in (*_bodies(shared), *_bodies(document["components"]["responses"])):
        schema = schema_of["schema"]
        if "properties" not in schema:
            continue
        text = json.dumps(schema, sort_keys=True)
        if text not in names:
            names[text] = _name_of(schema, schemas)
            schemas[names[text]] = schema
        schema_of["schema"] = ref(names[text])


def _bodies(value: Any) -> Iterator[dict[str, Any]]:
    """Yield what holds the schema of a body."""
    if isinstance(value, list):
        value = dict(enumerate(value))
    if isinstance(value, dict):
        if isinstance(found := value.get("application/json"), dict) and "schema" in found:
            yield found
        for one in value.values():
            yield from _bodies(one)


def _name_of(schema: dict[str, Any], taken: Mapping[str, Any]) -> str:
    """Return a name for a body: its title, or that of its data and that it is an answer."""
    if "title" in schema:
        return str(schema["title"])
    data = schema["properties"]["data"]
    said = [one.get("$ref", "") for one in data.get("anyOf", [data])]
    pending = "Pending" if schema["properties"]["status"].get("enum") == PENDING else ""
    words = "Or".join(one.rpartition("/")[2] for one in said if one) or "Empty"
    name, number = f"{words}{pending}Answer", 2
    while name in taken:
        name, number = f"{words}{pending}Answer{number}", number + 1
    return name


def content(schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A body of JSON."""
    return {"application/json": {"schema": schema, **more}}


def responses() -> dict[str, Any]:
    """The refusals, which all operations share."""
    return {
        name: {
            "description": text,
            "content": content(envelope([-1], ref("Refused"))),
            **({"headers": {header: header_schema("string")}} if header else {}),
        }
        for name, text, header in REFUSALS.values()
    }


def header_schema(kind: str) -> dict[str, Any]:
    """A header that is always there."""
    return {"required": True, "schema": {"type": kind}}


def answer(text: str, statuses: list[int], *names: str, **headers: str) -> dict[str, Any]:
    """An answer in the envelope, with one of the named schemas as its data."""
    data = ref(names[0]) if len(names) == 1 else {"anyOf": [ref(name) for name in names]}
    found = {"description": text, "content": content(envelope(statuses, data))}
    if headers:
        found["headers"] = {
            name.replace("_", "-"): {"schema": {"type": kind}} for name, kind in headers.items()
        }
    return found


def operation(
    name: str, summary: str, answers: dict[int, Any], refused: tuple[int, ...] = (), **more: Any
) -> dict[str, Any]:
    """An operation that needs a key, and the refusals it can meet."""
    all_of_them = {str(status): answer for status, answer in answers.items()}
    for status in sorted({*ALWAYS, *refused}):
        all_of_them[str(status)] = {"$ref": RESPONSES + REFUSALS[status][0]}
    return {"operationId": name, "summary": summary, **more, "responses": all_of_them}


def change(name: str, summary: str, *answers: Any, **more: Any) -> dict[str, Any]:
    """An operation of which an act is kept, with why it was done."""
    parameters = [*more.pop("parameters", ()), REASON]
    return operation(name, summary, *answers, parameters=parameters, **more)


def path_id(name: str, kind: str = "string") -> dict[str, Any]:
    """A parameter in the path."""
    return {"name": name, "in": "path", "required": True, "schema": {"type": kind}}
