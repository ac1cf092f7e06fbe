"""The API document: valid, complete, and kept by the API. schemathesis tries to prove otherwise."""

import json
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings, strategies
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import BaseModel, Field
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from kernel.builtin import handlers as builtin_handlers
from kernel.callers import keys
from kernel.callers.identity import Scope
from kernel.formats.callback_headers import CALLBACK_HEADERS
from kernel.handlers import Handlers
from kernel.runtime.kernel import Kernel
from kernel.testing import drain
from kernel.views.openapi.document import document
from tests.support.clients import Client, client, handlers, is_refusal, serve
from tests.support.factories import make_delivery
from tests.support.guards import by_night
from tests.support.people.terminal import Terminal

# For each operation; submitting is the one that takes much.
SECONDS, SUBMIT_SECONDS = by_night(7, 4) / 10, by_night(6, 3)
BOUNDED = settings(
    max_examples=100,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
DOCUMENT = document(handlers)
OPERATIONS = [(path, method) for path, methods in DOCUMENT["paths"].items() for method in methods]
SUBMIT = ("/v1/orders", "post")
# What browsers ask for: the API's document is for programs.
PEOPLE = re.compile(r"\.dashboard\.|\.event_links\.|\.preferences$|\.docs\.|^root$")
# The original's addresses refuse with HTTP 200, as their clients expect.
REJECTS = checks.negative_data_rejection
HELD = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    REJECTS,
]


@pytest.fixture
def kernel(make_kernel: Callable[..., Kernel], sqlite_url: str) -> Kernel:
    return make_kernel(sqlite_url, handlers)


def operator(kernel: Kernel) -> Client:
    """A client whose key may do everything."""
    with kernel.write_session() as session:
        terms = keys.KeyTerms(frozenset({Scope.OPERATOR}))
        made = keys.add(session, "operator", kernel.clock.now(), terms=terms)
    return Client(serve(kernel), made.api_key.get_secret_value())


def test_document_is_valid_when_made_from_the_handlers() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()
    OpenAPIV31SpecValidator(document(Handlers())).validate()


def test_every_route_stands_in_the_document_and_nothing_else(kernel: Kernel) -> None:
    routes = {
        (rule.rule.replace("<", "{").replace(">", "}"), method.lower())
        for rule in serve(kernel).url_map.iter_rules()
        if "other methods" not in rule.endpoint
        and "path:" not in rule.rule
        and not PEOPLE.search(rule.endpoint)
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    assert set(OPERATIONS) == routes


def examples(registered: Handlers) -> dict[str, Any]:
    """The example of each tag."""
    body = document(registered)["paths"]["/v1/orders"]["post"]["requestBody"]
    found = body["content"]["application/json"]["examples"]
    return {tag: one["value"] for tag, one in found.items()}


@pytest.mark.parametrize("registered", [builtin_handlers, handlers])
def test_every_tag_has_an_example_that_is_accepted(kernel: Kernel, registered: Handlers) -> None:
    zammad = client(kernel)
    assert set(examples(registered)) == set(registered)
    for example in examples(registered).values():
        assert zammad.post("/v1/orders", json=example).status_code == 202


class Odd(BaseModel):
    """A model that no example can be made for, and one field that says its own."""

    word: str = Field(pattern="^a{3}$")


class Told(BaseModel):
    """As `Odd`, but it says what it wants."""

    word: str = Field(pattern="^a{3}$", examples=["aaa"])


def test_example_is_the_models_own_or_none_when_it_cannot_be_made() -> None:
    odd = Handlers()
    odd.register("odd", Odd)(lambda run, args: {})
    odd.register("told", Told)(lambda run, args: {})
    assert {tag: one["word"] for tag, one in examples(odd).items()} == {"told": "aaa"}


def test_callback_is_described_where_the_order_is_submitted() -> None:
    submit = DOCUMENT["paths"]["/v1/orders"]["post"]
    (described,) = submit["callbacks"]["finished"].items()
    assert described == ("{$request.body#/callback_url}", DOCUMENT["webhooks"]["orderFinished"])


def test_every_header_of_a_callback_is_described() -> None:
    described = DOCUMENT["webhooks"]["orderFinished"]["post"]["parameters"]
    # OpenAPI 3.1: the content type is the request body's, a parameter of that name is ignored.
    table = {row.name: row.always for row in CALLBACK_HEADERS if row.name != "content-type"}
    assert {one["name"]: one["required"] for one in described} == table


def test_callback_is_as_described_when_it_is_sent(kernel: Kernel) -> None:
    zammad = client(kernel)
    zammad.submitted()
    zammad.submitted(projname=" ")
    drain(kernel)
    schema = {"components": DOCUMENT["components"], "$ref": "#/components/schemas/Outcome"}
    for sent in kernel.transport.sent:
        body = sent.json()
        Draft202012Validator(schema).validate(body["data"])


def test_header_is_described_wherever_it_is_read() -> None:
    described = {
        one: {said["name"] for said in DOCUMENT["paths"][one[0]][one[1]].get("parameters", [])}
        for one in OPERATIONS
    }
    batch, original = ("/v1/orders/batch", "post"), ("/test/add/", "post")
    keyed = {SUBMIT, batch, original, ("/v1/orders/{order_id}/events", "post")}
    changes = {one for one in OPERATIONS if one[0].startswith("/v1/") and one[1] != "get"}
    assert {one for one in OPERATIONS if "Idempotency-Key" in described[one]} == keyed
    assert {one for one in OPERATIONS if "X-Reason" in described[one]} == changes - {SUBMIT, batch}


def test_document_needs_a_key_when_asked_for(kernel: Kernel) -> None:
    zammad = client(kernel)
    assert is_refusal(Client(zammad.app, None).get("/openapi.json"), 401, "unauthenticated")
    assert zammad.get("/openapi.json").json == DOCUMENT


def test_command_prints_the_document_without_a_database(empty_terminal: Terminal) -> None:
    printed = json.loads(empty_terminal.run("openapi", "--server", "https://k.example").stdout)
    assert printed == document(builtin_handlers, "https://k.example")


def prepared(zammad: Client, kernel: Kernel) -> dict[str, str]:
    """Orders in several states, and ids that lead to some of them."""
    order_id = zammad.submitted()
    zammad.submitted(projname=" ")
    drain(kernel)
    shown = zammad.get(f"/v1/orders/{order_id}").json["data"]
    zammad.submitted()
    make_delivery(kernel)
    zammad.post("/v1/pauses", json={"host": "receiver.example"})
    delivery_id = shown["deliveries"][0]["delivery_id"]
    return {"order_id": order_id, "delivery_id": delivery_id, "pause_id": "1"}


def requests_to(operation: Any, known: dict[str, str]) -> Any:
    """Requests as described and otherwise, half of them to something that is there."""
    either = strategies.one_of(
        *(operation.as_strategy(generation_mode=mode) for mode in schemathesis.GenerationMode)
    )

    def aimed(case: Any, there: bool) -> Any:
        ids = {name: known[name] for name in case.path_parameters if name in known}
        case.path_parameters.update(ids if there else {})
        return case

    return strategies.builds(aimed, either, strategies.booleans())


@pytest.mark.slow
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_answers_are_as_described_when_requests_are_generated(
    kernel: Kernel, path: str, method: str
) -> None:
    zammad = operator(kernel)
    schema = schemathesis.openapi.from_wsgi("/openapi.json", zammad.app, headers=zammad.headers)
    cases = requests_to(schema[path][method], prepared(zammad, kernel))
    deadline = time.monotonic() + (SUBMIT_SECONDS if (path, method) == SUBMIT else SECONDS)
    held = [one for one in HELD if not path.startswith("/test/") or one is not REJECTS]

    @seed(4)
    @settings(BOUNDED)
    @given(case=cases)
    def holds(case: Any) -> None:
        if time.monotonic() < deadline:
            answer = case.call(headers=zammad.headers)
            # A body that is too large is refused for that, whatever it holds.
            checked = [one for one in held if answer.status_code != 413 or one is not REJECTS]
            case.validate_response(answer, checks=checked)

    holds()
