"""A key that is limited to tags: what it may submit, and what it sees of its caller's orders."""

import json
from typing import Any

import pytest

from kernel.callers import keys
from kernel.callers.identity import find
from kernel.callers.key_terms import KeyTerms
from kernel.runtime.kernel import Kernel
from tests.support.clients import ORDER, Client, handlers, is_refusal, new_key, serve
from tests.support.factories import make_delivery

OWN, OTHER = "create_project", "import_projects"


@pytest.fixture
def kernel(make_kernel, database_url: str) -> Kernel:  # type: ignore[no-untyped-def]
    made: Kernel = make_kernel(database_url, handlers)
    return made


@pytest.fixture
def wide(kernel: Kernel) -> Client:
    """The caller's key for all its orders."""
    return Client(serve(kernel), new_key(kernel, "zammad"))


@pytest.fixture
def narrow(kernel: Kernel, wide: Client) -> Client:
    """A key of the same caller for one tag."""
    with kernel.write_session() as session:
        terms = KeyTerms(tags=frozenset({OWN}))
        made = keys.add_key(session, "zammad", kernel.clock.now(), terms).api_key
    assert made is not None
    return Client(wide.app, made.get_secret_value())


@pytest.fixture
def hidden(wide: Client) -> str:
    """An order of the caller that the limited key is not for."""
    return wide.submitted(select_tag="anything", reference="INC1")


def test_order_of_another_tag_is_refused_in_words(narrow: Client) -> None:
    assert narrow.submit().status_code == 202
    for tag in ("anything", "unheard_of", "x" * 3000):
        answer = narrow.submit(select_tag=tag)
        assert is_refusal(answer, 403, "forbidden")
        assert answer.json["data"]["detail"].endswith(f": {OWN}")
        assert len(answer.json["data"]["detail"]) < 300
    assert narrow.submit(select_tag=7).status_code == 422
    original = narrow.post("/test/add/", json=ORDER | {"select_tag": "anything"})
    assert (original.status_code, original.json["status"], original.json["data"]) == (200, -1, {})
    assert original.json["msg"].endswith(f": {OWN}")


def test_project_without_a_description_tells_a_key_for_others_nothing_more(
    kernel: Kernel, wide: Client
) -> None:
    with kernel.write_session() as session:
        terms = KeyTerms(tags=frozenset({OTHER}))
        made = keys.add_key(session, "zammad", kernel.clock.now(), terms).api_key
    assert made is not None
    other = Client(wide.app, made.get_secret_value())
    said = other.post("/test/add/", json={"select_tag": OWN}).json["msg"]
    assert said.endswith(f": {OTHER}")
    assert "projname" not in said


def test_order_of_another_tag_is_as_unknown_as_an_invented_one(narrow: Client, hidden: str) -> None:
    for method, path in (("GET", ""), ("POST", "/cancel"), ("GET", "/deliveries")):
        answers = [
            narrow.open(method, f"/v1/orders/{one}{path}") for one in (hidden, hidden[:-4] + "0000")
        ]
        assert [one.status_code for one in answers] == [404, 404], path
        said = [one.text.replace(hidden, "").replace(hidden[:-4] + "0000", "") for one in answers]
        assert said[0] == said[1]


def test_lists_hold_orders_of_the_keys_tags_alone(
    narrow: Client, wide: Client, hidden: str
) -> None:
    own = narrow.submitted(reference="INC1")
    for query in ("", "?state=pending", "?reference=INC1", f"?select_tag={OWN}", "?limit=1"):
        found = narrow.get(f"/v1/orders{query}").json["data"]["orders"]
        assert [one["order_id"] for one in found] == [own], query
    assert narrow.get("/v1/orders?select_tag=anything").json["data"]["orders"] == []
    assert len(wide.get("/v1/orders?reference=INC1").json["data"]["orders"]) == 2


def test_deliveries_of_other_tags_are_neither_sent_again_nor_counted(
    kernel: Kernel, narrow: Client, wide: Client, hidden: str
) -> None:
    with kernel.read_session() as session:
        owner = find(session, "zammad").id
    ended = kernel.clock.now()
    dead: Any = {"state": "dead", "caller_id": owner, "finished_at": ended}
    other = make_delivery(kernel, hidden, **dead)
    own = make_delivery(kernel, narrow.submitted(), **dead)
    assert narrow.post(f"/v1/deliveries/{other}/redeliver").status_code == 404
    count = {"dry_run": True}
    counted = [one.post("/v1/deliveries/replay", json=count).json["data"] for one in (narrow, wide)]
    assert [one["count"] for one in counted] == [1, 2]
    replayed = narrow.post("/v1/deliveries/replay", json={}).json["data"]
    assert (replayed["count"], replayed["replayed"]) == (1, 1)
    assert narrow.post(f"/v1/deliveries/{own}/redeliver").status_code == 202


def test_document_shows_the_tags_of_the_key_alone(narrow: Client, wide: Client) -> None:
    seen, everything = (json.dumps(one.get("/openapi.json").json) for one in (narrow, wide))
    assert OWN in seen
    for word in (f'"{OTHER}"', '"anything"', '"order.nested"', '"Item"', '"nested"'):
        assert word in everything
        assert word not in seen
