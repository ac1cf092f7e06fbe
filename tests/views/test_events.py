"""Events of an order by API, and what callers are told of an order that waits."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from kernel import Handlers, Run, Wait
from kernel.orders.gates import events
from kernel.runtime.kernel import Kernel
from kernel.testing import drain
from tests.support.clients import Client, client, codes, is_refusal, new_key, serve
from tests.support.factories import CALLBACK, make_order
from tests.support.handlers.misbehaving import Named
from tests.support.hints import FakeHints
from tests.support.people.dashboard import operator, words

approvals = Handlers()


@approvals.register("approval", Named)
def approval(run: Run, args: Named) -> Any:
    """Wait for an approval."""
    if not run.has_waited:
        return Wait("approved", "rejected")
    return {"told": [one.name for one in run.events]}


@pytest.fixture
def kernel(make_kernel: Callable[..., Kernel], sqlite_url: str) -> Kernel:
    return make_kernel(sqlite_url, approvals)


@pytest.fixture
def hints() -> FakeHints:
    return FakeHints()


@pytest.fixture
def zammad(kernel: Kernel, hints: FakeHints) -> Client:
    return Client(serve(kernel, hints), new_key(kernel, "zammad"))


def waiting(kernel: Kernel, zammad: Client) -> str:
    """An order that waits for an approval."""
    body = {"select_tag": "approval", "callback_url": CALLBACK}
    order_id = str(zammad.post("/v1/orders", json=body).json["data"]["order_id"])
    drain(kernel)
    return order_id


def test_order_that_waits_is_pending_and_says_for_what_and_since_when(
    kernel: Kernel, zammad: Client
) -> None:
    order_id = waiting(kernel, zammad)
    answer = zammad.get(f"/v1/orders/{order_id}")
    assert (answer.status_code, answer.json["status"], answer.json["msg"]) == (202, 2, "pending")
    for data in (answer.json["data"], zammad.get("/v1/orders").json["data"]["orders"][0]):
        assert data["state"] == "pending"
        assert data["waiting_for"] == "event:approved,rejected"
        assert data["since"].endswith("Z")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", "pw"),
        ("?state=pending", "pw"),
        ("?waiting=any", "w"),
        ("?waiting=event:approved,rejected", "w"),
        ("?waiting=event:approved", ""),
        ("?waiting=any&state=pending", "w"),
        ("?waiting=any&state=running", ""),
        ("?waiting=any&reference=R", ""),
        ("?waiting=event:approved,rejected&select_tag=approval", "w"),
        ("?waiting=event:approved,rejected&select_tag=other", ""),
    ],
)
def test_list_finds_orders_by_what_they_wait_for(
    kernel: Kernel, zammad: Client, query: str, found: str
) -> None:
    ids = {waiting(kernel, zammad): "w"}
    body = {"select_tag": "approval", "callback_url": CALLBACK}
    ids[zammad.post("/v1/orders", json=body).json["data"]["order_id"]] = "p"
    given = zammad.get(f"/v1/orders{query}").json["data"]["orders"]
    assert "".join(ids[one["order_id"]] for one in given) == found


def test_state_that_callers_are_never_told_is_no_filter(zammad: Client) -> None:
    assert codes(zammad.get("/v1/orders?state=waiting")) == [("/state", "literal_error")]


def test_told_order_goes_on_and_is_hinted(kernel: Kernel, zammad: Client, hints: FakeHints) -> None:
    order_id = waiting(kernel, zammad)
    hints.hinted.clear()
    told = zammad.post(
        f"/v1/orders/{order_id}/events", json={"name": "approved", "data": {"by": "Ada"}}
    )
    assert told.status_code == 202
    assert told.json["data"]["order_id"] == order_id
    assert hints.hinted == [order_id]
    drain(kernel)
    assert zammad.get(f"/v1/orders/{order_id}").json["data"]["result"] == {"told": ["approved"]}
    (event,) = zammad.get(f"/v1/orders/{order_id}/events").json["data"]["events"]
    assert (event["name"], event["data"], event["told_by"]) == ("approved", {"by": "Ada"}, "zammad")
    assert "waiting_for" not in zammad.get(f"/v1/orders/{order_id}").json["data"]
    assert not {"waiting_for", "since"} & set(kernel.transport.sent[0].json()["data"])


@pytest.mark.parametrize("by", ["header", "body"])
def test_repeat_of_an_event_is_answered_with_the_first_one(
    kernel: Kernel, zammad: Client, by: str
) -> None:
    order_id = waiting(kernel, zammad)
    headers = {"Idempotency-Key": "e-1"} if by == "header" else {}
    named = {"event_id": "e-1"} if by == "body" else {}

    def tell(name: str) -> Any:
        path, body = f"/v1/orders/{order_id}/events", {"name": name, **named}
        return zammad.post(path, json=body, headers=headers)

    first = tell("approved")
    drain(kernel)  # the order ends; a repeat is none the less one
    again = tell("approved")
    assert (again.status_code, again.json) == (202, first.json)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers
    assert is_refusal(tell("rejected"), 422, "idempotency_key_reused")
    assert len(zammad.get(f"/v1/orders/{order_id}/events").json["data"]["events"]) == 1


def test_event_is_repeated_when_its_members_come_in_another_order(
    kernel: Kernel, zammad: Client
) -> None:
    order_id = waiting(kernel, zammad)

    def tell(data: dict[str, Any]) -> Any:
        # As text: the test client sorts what it writes as JSON.
        body = json.dumps({"name": "approved", "data": data, "event_id": "e-1"})
        path = f"/v1/orders/{order_id}/events"
        return zammad.post(path, data=body, content_type="application/json")

    first = tell({"by": {"name": "桥", "id": 1}, "sure": True})
    again = tell({"sure": True, "by": {"id": 1, "name": "桥"}})
    assert (again.status_code, again.json) == (202, first.json)
    for other in ({"by": {"id": 1.0, "name": "桥"}, "sure": True}, {"sure": 1}, {}):
        assert is_refusal(tell(other), 422, "idempotency_key_reused")


def test_order_that_has_ended_takes_no_event(kernel: Kernel, zammad: Client) -> None:
    order_id = waiting(kernel, zammad)
    zammad.post(f"/v1/orders/{order_id}/cancel")
    answer = zammad.post(f"/v1/orders/{order_id}/events", json={"name": "approved"})
    assert is_refusal(answer, 409, "conflict")


def test_order_takes_a_hundred_events_at_most(kernel: Kernel, zammad: Client) -> None:
    order_id = waiting(kernel, zammad)
    for _ in range(events.MAX_EVENTS):
        events.tell(kernel, order_id, events.Told("seen"))
    answer = zammad.post(f"/v1/orders/{order_id}/events", json={"name": "approved"})
    assert is_refusal(answer, 409, "conflict")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/name"),
        ({"name": "Approved"}, "/name"),
        ({"name": "a" * 101}, "/name"),
        ({"name": "a", "data": []}, "/data"),
        ({"name": "a", "data": {"x": "y" * events.MAX_DATA_BYTES}}, "/data"),
        ({"name": "a", "event_id": ""}, "/event_id"),
        ({"name": "a", "event_id": "x" * 256}, "/event_id"),
        ({"name": "a", "more": 1}, "/more"),
    ],
)
def test_event_that_is_none_is_refused_with_its_place(
    kernel: Kernel, zammad: Client, body: dict[str, Any], pointer: str
) -> None:
    answer = zammad.post(f"/v1/orders/{waiting(kernel, zammad)}/events", json=body)
    assert [one[0] for one in codes(answer)] == [pointer]


def test_order_of_another_caller_is_not_found(kernel: Kernel, zammad: Client) -> None:
    order_id = waiting(kernel, zammad)
    other = client(kernel, "other")
    for answer in (
        other.post(f"/v1/orders/{order_id}/events", json={"name": "approved"}),
        other.get(f"/v1/orders/{order_id}/events"),
    ):
        assert is_refusal(answer, 404, "not_found")


def test_orders_that_wait_count_on_their_own(
    make_kernel: Callable[..., Kernel], sqlite_url: str
) -> None:
    kernel = make_kernel(sqlite_url, approvals, max_pending=1, max_waiting=2)
    body = {"select_tag": "approval", "callback_url": CALLBACK}
    for _ in range(2):
        zammad = client(kernel, f"z{_}")
        assert zammad.post("/v1/orders", json=body).status_code == 202
        drain(kernel)
    for _ in range(2):
        make_order(kernel, caller_id=caller_of(zammad, kernel), select_tag="approval", args="{}")
        drain(kernel)
    full = Client(serve(kernel), None)
    full.headers = zammad.headers
    refused = full.post("/v1/orders", json=body)
    assert is_refusal(refused, 503, "too_many_waiting")


def caller_of(zammad: Client, kernel: Kernel) -> int:
    """The caller of the newest order."""
    order_id = zammad.get("/v1/orders").json["data"]["orders"][0]["order_id"]
    with kernel.read_session() as session:
        return events.get_order(session, None, order_id).caller_id


def test_dashboard_shows_what_an_order_waits_for_and_what_it_was_told(
    kernel: Kernel, zammad: Client
) -> None:
    order_id = waiting(kernel, zammad)
    visitor = operator(kernel)
    assert "event:approved,rejected" in words(visitor.get("/dashboard/orders?state=waiting"))
    page = visitor.get(f"/dashboard/orders/{order_id}")
    assert "waits for event approved,rejected until" in words(page)
    assert "waiting 1" in words(visitor.get("/dashboard/"))
    zammad.post(f"/v1/orders/{order_id}/events", json={"name": "approved", "data": {"x": "<b>"}})
    page = visitor.get(f"/dashboard/orders/{order_id}")
    assert "Told approved, zammad" in words(page)
    assert "&lt;b&gt;" in page.text
