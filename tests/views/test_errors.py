"""Errors and rules of notifications by API: for operators, as pages and commands have them."""

import pytest

from kernel.callers.people import people
from kernel.callers.people.roles import Role
from kernel.insight.failures.counting import count_failures
from kernel.runtime.kernel import Kernel
from tests.support.clients import Client, client, serve
from tests.support.failures import BOOKED, PLACE, REFUSED, make_error, make_failure, make_refusal
from tests.views.test_bulk import operator


def test_errors_are_listed_shown_resolved_and_reopened(kernel: Kernel) -> None:
    order_id = make_failure(kernel)
    count_failures(kernel)
    boss = operator(kernel)
    (listed,) = boss.get("/v1/errors").json["data"]["errors"]
    assert (listed["fingerprint"], listed["count"], listed["state"]) == (BOOKED, 1, "open")
    assert listed["order_id"] == order_id
    shown = boss.get(f"/v1/errors/{BOOKED}").json["data"]
    assert shown["failures"][0]["traceback"] == "Traceback:\n  in book"
    assert (shown["hours"][-1]["count"], shown["days"][-1]["count"]) == (1, 1)
    done = boss.post(f"/v1/errors/{BOOKED}/resolve", headers={"X-Reason": "1.4.1"}).json["data"]
    assert (done["state"], done["resolved_by"], done["resolved_because"], done["changed"]) == (
        *("resolved", "boss", "1.4.1", True),
    )
    assert not boss.post(f"/v1/errors/{BOOKED}/resolve").json["data"]["changed"]
    assert boss.get("/v1/errors").json["data"]["errors"] == []
    assert boss.post(f"/v1/errors/{BOOKED}/reopen").json["data"]["state"] == "open"


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_text_of_an_exception_is_told_from_the_role_of_operator_on(
    kernel: Kernel, role: Role
) -> None:
    make_error(kernel)
    make_refusal(kernel)
    count_failures(kernel)
    with kernel.write_session() as session:
        key = people.add_person(session, "Eve", role, kernel.clock.now()).get_secret_value()
    eve, tells = Client(serve(kernel), key), role is not Role.VIEWER
    listed = eve.get("/v1/errors").json["data"]["errors"]
    said = {one["fingerprint"]: (one["error_type"], one["message"]) for one in listed}
    assert said[BOOKED] == ("ValueError", "no such customer" if tells else None)
    assert said[REFUSED] == (None, "there is no room")  # what its caller reads
    one = eve.get(f"/v1/errors/{BOOKED}")
    (failure,) = one.json["data"]["failures"]
    assert failure["place"] == PLACE
    assert (failure["message"] is not None, failure["traceback"] is not None) == (tells, tells)
    assert ("no such customer" in one.text, "in book" in one.text) == (tells, tells)


def test_pages_follow_by_cursor(kernel: Kernel) -> None:
    make_error(kernel)
    make_refusal(kernel)
    count_failures(kernel)
    boss = operator(kernel)
    first = boss.get("/v1/errors?limit=1&state=all").json["data"]
    query = f"/v1/errors?limit=1&state=all&cursor={first['next_cursor']}"
    second = boss.get(query).json["data"]
    found = {one["fingerprint"] for page in (first, second) for one in page["errors"]}
    assert found == {BOOKED, REFUSED}
    assert second["next_cursor"] is None


@pytest.mark.parametrize("query", ["state=odd", "cursor=x", "limit=0", "color=red", "tag=a&tag=b"])
def test_query_that_makes_no_sense_is_refused(kernel: Kernel, query: str) -> None:
    assert operator(kernel).get(f"/v1/errors?{query}").status_code == 422


def test_callers_are_told_of_no_errors_and_no_rules(kernel: Kernel) -> None:
    make_error(kernel)
    zammad = client(kernel)
    for path in ("/v1/errors", f"/v1/errors/{BOOKED}", "/v1/notifications"):
        assert zammad.get(path).status_code == 403
    assert zammad.post(f"/v1/errors/{BOOKED}/resolve").status_code == 403


def test_rule_is_added_listed_and_removed(kernel: Kernel) -> None:
    boss = operator(kernel)
    body = {"name": "night", "receiver": "chat", "conditions": ["new_error"]}
    made = boss.post("/v1/notifications", json=body)
    rule = {**body, "origin": None, "recovers": True}
    assert (made.status_code, made.json["data"]) == (201, rule)
    assert boss.get("/v1/notifications").json["data"]["rules"] == [rule]
    assert boss.post("/v1/notifications", json=body).status_code == 409
    assert boss.post("/v1/notifications/night/test").status_code == 404  # its receiver is missing
    assert boss.open("DELETE", "/v1/notifications/night").json["data"] == {"removed": "night"}
    assert boss.open("DELETE", "/v1/notifications/night").status_code == 404


@pytest.mark.parametrize("body", [{}, {"name": "x"}, {"name": "x", "receiver": "y", "a": 1}])
def test_rule_that_is_not_whole_is_refused(kernel: Kernel, body: dict[str, object]) -> None:
    assert operator(kernel).post("/v1/notifications", json=body).status_code == 422
