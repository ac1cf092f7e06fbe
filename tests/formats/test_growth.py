"""Parsers of strangers' text: twice the text costs at most about twice as much.

Two measures, as one alone is blind to the other: what Python's functions are called with, counted,
and CPU seconds, for work inside of C that a wrong expression makes a thousand times as long.
"""

import json
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr, ValidationError

from kernel.cli.local.listener import age_of, envelope_of
from kernel.config.logging import printable
from kernel.db.statements.sorting import sort_statement
from kernel.errors import InvalidJson, InvalidOrder
from kernel.formats.envelope import encode
from kernel.formats.order_request import SHOWN_POINTERS, SHOWN_PROBLEMS, order_request
from kernel.formats.reference import as_reference
from kernel.formats.signing import SignatureInvalid, verify
from kernel.formats.strictjson import MAX_POINTERS, parse_json
from kernel.formats.tracecontext import request_id_from, traceparent_from
from kernel.handlers import Handlers
from kernel.handlers.registering.secret_fields import SecretFields

SECRET = "whsec_" + "A" * 32
MIB, LONG = 1_048_576, 262_144


class Lists(BaseModel):
    """Arguments under names of the caller's choice."""

    by_name: dict[str, list[str]] = {}


class Named(BaseModel):
    """Arguments with a text that becomes the order's reference."""

    ticket: str


class Pins(BaseModel):
    """Arguments with as many secrets as a caller likes."""

    pins: list[SecretStr] = []
    counts: list[int] = []


class Left(BaseModel):
    """A model that is in itself along two ways at every level."""

    child: "Left | Right | None" = None
    pin: SecretStr | None = None


class Right(BaseModel):
    """The other way."""

    child: "Left | Right | None" = None
    word: SecretStr | None = None


Left.model_rebuild()
handlers = Handlers()
handlers.register("pins", Pins)(lambda run, args: {})
handlers.register("lists", Lists)(lambda run, args: {})
handlers.register("named", Named, reference="ticket")(lambda run, args: {})


def size_of(value: Any) -> int:
    return 1 + len(value) if isinstance(value, str | bytes) else 1


def work(call: Callable[[], object]) -> int:
    """Count the calls of Python functions below ``call``, and the characters they were given."""
    counted = 0

    def note(frame: FrameType, event: str, _: Any) -> None:
        nonlocal counted
        if event == "call":
            counted += 1 + sum(map(size_of, frame.f_locals.values()))

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(before)
    return counted


def cpu(call: Callable[[], object]) -> float:
    """The CPU seconds of ``call`` in this thread, the least of two."""

    def once() -> float:
        began = time.thread_time()
        call()
        return time.thread_time() - began

    return min(once() for _ in range(2))


def order(tag: str, **args: Any) -> dict[str, Any]:
    return {"select_tag": tag, "callback_url": "https://example.com/"} | args


def parsed(body: str) -> object:
    with suppress(InvalidJson, InvalidOrder):
        return order_request(parse_json(body.encode()), handlers)
    return None


def under_a_long_name(n: int, item: str) -> str:
    """A body whose one half is a name and whose other half are values below it."""
    values = ",".join([item] * (n // 2 // (len(item) + 1)))
    name = "a" * (n // 2)
    return f'{{"select_tag":"lists","callback_url":"x","by_name":{{"{name}":[{values}]}}}}'


def nested(n: int) -> str:
    """Names of equal length inside each other, and a list of values in the innermost."""
    name = "b" * (n // 80)
    return f'{{"{name}":' * 40 + "[" + ",".join("0" * (n // 4)) + "]" + "}" * 40


def twice_named(n: int) -> str:
    """Many names, of which the last is one of the others."""
    names = ",".join(f'"{number}":0' for number in range(n // 8))
    return f'{{{names},"0":0}}'


def secrets(n: int, counts: str = "1") -> str:
    """A body of very many secrets, each another one; ``counts`` are no secrets."""
    pins = ",".join(f'"{number:06}"' for number in range(n // 9))
    head = '"select_tag":"pins","callback_url":"x"'
    return f'{{{head},"pins":[{pins}],"counts":[{counts}]}}'


def verified(headers: dict[str, str]) -> None:
    with suppress(SignatureInvalid):
        verify([SECRET], headers, b"", 0)


def sorted_statement(sql: str) -> object:
    return sort_statement(f"SELECT {sql}", nests_comments=True)


def signed(stamp: str, signatures: str) -> dict[str, str]:
    values = ("m", stamp, signatures)
    return dict(zip(("webhook-id", "webhook-timestamp", "webhook-signature"), values, strict=True))


PARSERS: dict[str, Callable[[int], object]] = {
    "texts under a long name": lambda n: parsed(under_a_long_name(n, '""')),
    "lists under a long name": lambda n: parsed(under_a_long_name(n, "[]")),
    "mistakes under a long name": lambda n: parsed(under_a_long_name(n, "1")),
    "secrets": lambda n: parsed(secrets(n)),
    "secrets beside mistakes": lambda n: parsed(secrets(n, ",".join(['""'] * 200))),
    "numbers that are refused": lambda n: parsed(f'{{"a":[{",".join(["NaN"] * (n // 4))}]}}'),
    "names inside names": lambda n: parsed(nested(n)),
    "names to be escaped": lambda n: parsed(f'{{"{"~/" * (n // 2)}":"\\u0000"}}'),
    "a name twice": lambda n: parsed(twice_named(n)),
    "escapes in a text": lambda n: parsed('{"a":"' + "\\u00e9" * (n // 6) + '"}'),
    "digits": lambda n: parsed('{"a":' + "9" * n + "}"),
    "a long fraction": lambda n: parsed('{"a":0.' + "9" * n + "}"),
    "unclosed lists": lambda n: parsed("[" * n),
    "spaces inside a reference": lambda n: as_reference("a" + " " * n + "b"),
    "spaces around a reference": lambda n: as_reference(" " * n + "b" + " " * n),
    "controls in a reference": lambda n: as_reference("\x00a" * (n // 2)),
    "a long traceparent": lambda n: traceparent_from(
        f"01-{'1' * 32}-{'2' * 16}-01" + "-a" * (n // 2) + "\n"
    ),
    "a long request id": lambda n: request_id_from("a" * n + " "),
    "many signatures": lambda n: verified(signed("0", "v1,a " * (n // 5))),
    "a long timestamp": lambda n: verified(signed("9" * n, "v1,a")),
    "age by a long timestamp": lambda n: age_of(signed("9" * n, ""), 0),
    "a callback that is no JSON": lambda n: envelope_of(b'{"a":' * n),
    "controls for a terminal": lambda n: printable("\x1b" * n),
}  # fmt: skip
# Of a handler's own statements, each handed on whole: only CPU seconds tell.
TOKENIZED: dict[str, Callable[[int], object]] = {
    "quotes in SQL": lambda n: sort_statement("SELECT " + "'a''" * (n // 4)),
    "dollars in SQL": lambda n: sort_statement("SELECT " + "$a " * (n // 3), nests_comments=True),
    "comments in SQL": lambda n: sort_statement("SELECT " + "/*" * (n // 2), nests_comments=True),
}


@pytest.mark.parametrize("what", PARSERS)
def test_parser_does_twice_the_work_at_most_when_the_text_is_doubled(what: str) -> None:
    parse = PARSERS[what]
    parse(100)  # what is made once, such as a model's validator
    once, twice = (work(lambda n=n: parse(n)) for n in (20_000, 40_000))
    assert twice <= 2.1 * once + 100


@pytest.mark.parametrize("what", PARSERS | TOKENIZED)
def test_parser_takes_sixteen_times_the_text_in_about_sixteen_times_the_time(what: str) -> None:
    """A quadratic one would take 256 times as long."""
    parse = (PARSERS | TOKENIZED)[what]
    parse(100)
    small = cpu(lambda: parse(LONG // 16))
    assert cpu(lambda: parse(LONG)) <= 64 * small + 0.5


def test_secrets_of_recursive_models_are_found_in_a_time_that_does_not_double_with_each_level() -> (
    None
):
    """The value alone: pydantic itself tries both ways at every level."""
    fields, value = SecretFields(Left), dict[str, Any](pin="7319")
    for _ in range(60):
        value = {"child": value}
    seconds = cpu(lambda: fields.places(value))
    assert list(fields.places(value)) == [("child",) * 60 + ("pin",)]
    assert seconds < 1


def test_body_is_refused_with_its_place_when_its_pointers_would_fill_the_memory() -> None:
    body = under_a_long_name(MIB, "1")
    with pytest.raises(InvalidJson) as refused:
        parse_json(body.encode())
    assert str(MAX_POINTERS) in refused.value.message
    assert refused.value.data["pointer"].startswith("/by_name/aaa")


def test_body_of_very_many_values_is_taken_when_their_names_are_usual() -> None:
    body = encode(order("lists", by_name={"the quantities ordered": ["1"] * 150_000}))
    assert len(body) < MIB
    assert order_request(parse_json(body), handlers)


def test_problems_are_listed_in_few_bytes_when_each_has_a_long_pointer() -> None:
    body = order("lists", by_name={"a" * 100_000: [1] * 50})
    with pytest.raises(InvalidOrder) as refused:
        order_request(body, handlers)
    assert len(json.dumps(refused.value.data)) < 2 * 100_000 + SHOWN_POINTERS
    assert [one["code"] for one in refused.value.data["errors"]] == [
        "string_type",
        "too_many_problems",
    ]


def test_problems_are_listed_up_to_a_number_when_their_pointers_are_short() -> None:
    with pytest.raises(InvalidOrder) as refused:
        order_request(order("lists", by_name={"a": [1] * 500}), handlers)
    assert len(refused.value.data["errors"]) == SHOWN_PROBLEMS + 1


def test_model_itself_would_repeat_the_name_for_every_value() -> None:
    """Why the body is refused: pydantic's errors each hold the whole place."""
    with pytest.raises(ValidationError) as found:
        Lists.model_validate({"by_name": {"a" * 1000: [1] * 10}})
    places = [one["loc"] for one in found.value.errors()]
    assert sum(len(str(place[1])) for place in places) == 10_000
