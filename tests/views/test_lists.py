"""Lists by filter through the API: pages, counts and files, for callers and for operators."""

import csv
import io
import json
from typing import Any

import pytest

from kernel.runtime.kernel import Kernel
from tests.support.clients import Client, is_refusal, new_key, serve
from tests.support.factories import make_attempt, make_delivery, make_order
from tests.support.people.dashboard import operator_key


@pytest.fixture
def operator(kernel: Kernel) -> Client:
    return Client(serve(kernel), operator_key(kernel))


@pytest.fixture
def made(kernel: Kernel) -> dict[str, str]:
    """Three orders: one that failed with a dead callback, one fine, one pending."""
    now = kernel.clock.now()
    bad = {"state": "failed", "error_code": "timed_out", "reference": "INC1"}
    failed = make_order(kernel, **bad, finished_at=now, message="=cmd()")
    fine = make_order(kernel, state="success", finished_at=now, reference="+INC2")
    dead = make_delivery(kernel, failed, state="dead", died_of="deadline", finished_at=now)
    make_attempt(kernel, dead, now, "timeout")
    return {"failed": failed, "fine": fine, "pending": make_order(kernel), "dead": dead}


def listed(client: Client, query: str, what: str = "orders", name: str = "order_id") -> list[str]:
    answer = client.get(f"/v1/{what}?{query}")
    assert answer.status_code == 200, answer.text
    return [one[name] for one in answer.json["data"][what]]


@pytest.mark.parametrize(
    "query",
    [
        *("state=failed", "error=timed_out", "callback=dead", "reference_prefix=INC"),
        *("text=INC1", "ended_since=1h&state=failed", "host=receiver.example&error=timed_out"),
        *(
            "since=1h&callback=dead",
            "since=00:00&zone=UTC&error=timed_out",
            "caller=anonymous&error=timed_out",
        ),
    ],
)
def test_orders_are_found_by_each_filter(
    operator: Client, made: dict[str, str], query: str
) -> None:
    assert listed(operator, query) == [made["failed"]]
    file = operator.get(f"/v1/orders/export?{query}")
    assert [one["order_id"] for one in json.loads(file.text)] == [made["failed"]]
    assert operator.get(f"/v1/orders/counts?{query}").json["data"]["total"] == 1


@pytest.mark.parametrize(
    "query", ["state=dead", "died_of=deadline", "error=timed_out", "reference=INC1&since=2h"]
)
def test_callbacks_are_found_by_each_filter(
    operator: Client, made: dict[str, str], query: str
) -> None:
    assert listed(operator, query, "deliveries", "delivery_id") == [made["dead"]]
    file = operator.get(f"/v1/deliveries/export?{query}&format=csv")
    (row,) = csv.DictReader(io.StringIO(file.text))
    assert (row["delivery_id"], row["last_reason"]) == (made["dead"], "timeout")
    counts = operator.get(f"/v1/deliveries/counts?{query}").json["data"]
    assert counts["by_error"] == [{"value": "deadline", "count": 1}]


def test_items_have_the_state_of_their_callback(operator: Client, made: dict[str, str]) -> None:
    items = operator.get("/v1/orders").json["data"]["orders"]
    assert [one["callback"] for one in items] == [None, None, "dead"]


def test_counts_are_by_error_tag_caller_and_receiver(
    operator: Client, made: dict[str, str]
) -> None:
    data = operator.get("/v1/orders/counts").json["data"]
    assert (data["total"], data["complete"]) == (3, True)
    assert data["by_error"] == [{"value": None, "count": 2}, {"value": "timed_out", "count": 1}]
    assert data["by_tag"] == [{"value": "create_project", "count": 3}]
    assert data["by_caller"] == [{"value": "anonymous", "count": 3}]
    assert data["by_receiver"] == [{"value": "https://receiver.example:443", "count": 3}]


def test_file_holds_no_formula_when_it_is_for_a_spreadsheet(
    operator: Client, made: dict[str, str]
) -> None:
    answer = operator.get("/v1/orders/export?format=csv")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="orders.csv"'
    rows = {row["order_id"]: row for row in csv.DictReader(io.StringIO(answer.text))}
    assert rows[made["failed"]]["message"] == "'=cmd()"
    assert rows[made["fine"]]["reference"] == "'+INC2"


def test_file_holds_every_order_once_when_there_are_more_than_a_page(
    kernel: Kernel, operator: Client
) -> None:
    every = {make_order(kernel) for _ in range(203)}
    for query in ("", "host=receiver.example"):
        found = json.loads(operator.get(f"/v1/orders/export?{query}").text)
        assert [one["order_id"] for one in found] == sorted(every, reverse=True)


def test_callers_key_sees_its_own_and_makes_no_file(kernel: Kernel, made: dict[str, str]) -> None:
    zammad = Client(serve(kernel), new_key(kernel, "zammad"))
    mine = zammad.submitted(reference="INC1")
    assert listed(zammad, "host=receiver.example") == [mine]
    assert listed(zammad, "text=INC1") == [mine]
    assert listed(zammad, f"text={made['dead']}") == []
    assert listed(zammad, "", "deliveries", "delivery_id") == []
    for path in ("orders/export", "orders/counts", "deliveries/export", "deliveries/counts"):
        assert is_refusal(zammad.get(f"/v1/{path}"), 403, "forbidden")


def test_callers_key_is_told_no_other_callers_name(kernel: Kernel) -> None:
    new_key(kernel, "zammad-secret")
    zammad = Client(serve(kernel), new_key(kernel, "zammad"))
    assert listed(zammad, "caller=zammad") == []
    answer = zammad.get("/v1/orders?caller=zammad-secre")
    assert is_refusal(answer, 422, "invalid_query")
    assert "zammad-secret?" not in answer.text


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("since=14:00", "/since"),
        ("since=14:00&zone=Mars", "/zone"),
        ("ended_until=never", "/ended_until"),
        ("callback=lost", "/callback"),
        ("caller=nobody", "/caller"),
        ("died_of=deadline", "/died_of"),
        ("error=two%20words", "/error"),
    ],
)
def test_list_names_the_field_that_is_wrong(operator: Client, query: str, pointer: str) -> None:
    answer = operator.get(f"/v1/orders?{query}")
    assert is_refusal(answer, 422, "invalid_query")
    assert pointer in [one["pointer"] for one in answer.json["data"]["errors"]]


def test_pages_of_callbacks_follow_each_other(kernel: Kernel, operator: Client) -> None:
    now = kernel.clock.now()
    dead: dict[str, Any] = {"state": "dead", "finished_at": now}
    made = {make_delivery(kernel, **dead) for _ in range(5)}
    for query in ("state=dead", "host=receiver.example"):
        seen, cursor = [], ""
        while cursor is not None:
            data = operator.get(f"/v1/deliveries?{query}&limit=2{cursor}").json["data"]
            seen += [one["delivery_id"] for one in data["deliveries"]]
            cursor = data["next_cursor"] and f"&cursor={data['next_cursor']}"
        assert (len(seen), set(seen)) == (5, made)


OTHERS = f"{'0' * 8}-0000-7000-8000-{'0' * 12}"


@pytest.mark.parametrize(
    "asked",
    [
        *("deliveries?cursor=abc", "deliveries?cursor=2026~x", "orders?cursor=abc"),
        # The dead are listed by their end; an id alone is no cursor of theirs.
        f"deliveries?state=dead&cursor={OTHERS}",
        f"deliveries?cursor=2026-11-20T08:00:00.000000Z~{OTHERS}",
        *("bulk?cursor=abc", "bulk?cursor=", "errors?cursor=abc"),
    ],
)
def test_cursor_that_no_page_has_named_is_refused(operator: Client, asked: str) -> None:
    answer = operator.get(f"/v1/{asked}")
    assert answer.status_code == 422
    assert [one["pointer"] for one in answer.json["data"]["errors"]] == ["/cursor"]
