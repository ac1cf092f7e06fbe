"""One attempt by a receiver's shape and terms: rendered, looked up, logged in, sent, judged."""

import json
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import update

from kernel.callers.credentials import Credentials
from kernel.db.tables.callers import Caller
from kernel.db.tables.receivers import RECEIVERS
from kernel.delivery.redeliver import redeliver
from kernel.runtime.kernel import Kernel
from kernel.transport.backoff import Dead, Delivered, RetryIn
from tests.support.factories import delivery, order
from tests.support.receiver import Answer, Receiver
from tests.support.ticketing import attempts, make_receiver, owe, send_due, set_shape

NOTE = {"method": "PATCH", "body": {"work_notes": "{{ reference }} is {{ state }}"}}
# What iTop answers: 200 to everything.
ITOP = {
    "answer": [
        {"is": verdict, "json": {"path": "code", "equals": code}, "tries": 2}
        for code, verdict in [(0, "delivered"), (5, "done"), (100, "retry"), (1, "give_up")]
    ]
}


def at(receiver: Receiver) -> str:
    """The origin of a receiver."""
    return receiver.url[:-1]


def told(code: object) -> Answer:
    """An answer of iTop's."""
    return Answer(200, {"Content-Type": "application/json"}, json.dumps({"code": code}).encode())


def test_callback_has_the_method_body_and_headers_of_the_shape(
    sender: Kernel, tickets: Receiver
) -> None:
    more = {"headers": {"X-Ticket": "{{ reference }}"}, "content_type": "application/merge+json"}
    make_receiver(sender, "itsm", tickets.url, shape=NOTE | more)
    owed = owe(sender, tickets.url + "x")
    send_due(sender)
    [request] = tickets.wait(1)
    assert (request.method, request.path) == ("PATCH", "/x")
    assert json.loads(request.body) == {"work_notes": "INC1 is success"}
    assert request.headers["x-ticket"] == "INC1"
    assert request.headers["content-type"] == "application/merge+json"
    assert request.headers["webhook-id"] == owed


def test_receiver_is_named_and_its_shape_says_where_to_go(
    sender: Kernel, tickets: Receiver
) -> None:
    url = tickets.url + "incident/{{ reference }}"
    make_receiver(sender, "itsm", tickets.url + "incident", shape={"url": url})
    make_receiver(sender, "other", tickets.url + "other")
    for name in ("itsm", "other"):
        owe(sender, f"receiver:{name}", origin=at(tickets))
    send_due(sender)
    assert {one.path for one in tickets.wait(2)} == {"/incident/INC1", "/other"}


def test_retries_have_the_bytes_of_the_outcome_when_the_shape_changes(
    sender: Kernel, tickets: Receiver
) -> None:
    receiver = make_receiver(sender, "itsm", tickets.url, shape=NOTE)
    owed = owe(sender, tickets.url)
    tickets.script(503, 503)
    send_due(sender)
    set_shape(sender, receiver, NOTE | {"body": {"comments": "{{ state }}"}})
    sender.clock.shift(3600)
    send_due(sender)
    assert redeliver(sender, None, owed)
    send_due(sender)
    bodies = [one.body for one in tickets.wait(3)]
    assert [json.loads(one) for one in set(bodies)] == [{"work_notes": "INC1 is success"}]
    assert redeliver(sender, None, owed, with_current_shape=True)
    send_due(sender)
    assert json.loads(tickets.wait(4)[3].body) == {"comments": "success"}


def test_delivery_keeps_its_shape_when_the_receiver_is_removed(
    sender: Kernel, tickets: Receiver
) -> None:
    login = Credentials(bearer=SecretStr("hush-hush"))
    receiver = make_receiver(sender, "itsm", tickets.url, login, shape=NOTE)
    owe(sender, tickets.url)
    set_shape(sender, receiver, None)
    with sender.write() as connection:
        connection.execute(RECEIVERS.delete())
    send_due(sender)
    [request] = tickets.wait(1)
    assert request.method == "PATCH"
    assert "authorization" not in request.headers


def test_delivery_is_dead_and_its_order_as_it_was_when_a_template_fails(
    sender: Kernel, tickets: Receiver
) -> None:
    make_receiver(sender, "itsm", tickets.url, shape={"url": tickets.url + "{{ nothing }}"})
    owed = owe(sender, tickets.url)
    [finished] = send_due(sender)
    found = delivery(sender, owed)
    assert (found.state, found.died_of, finished.verdict) == ("dead", "template", Dead("template"))
    assert (order(sender, found.order_id).state, tickets.requests) == ("success", [])
    assert attempts(sender)[0][1] == "template"


def test_delivery_waits_for_a_process_that_can_read_its_shape(
    sender: Kernel, tickets: Receiver
) -> None:
    """A newer release may have written it, whose processes run beside this one."""
    make_receiver(sender, "itsm", tickets.url, shape={"method": "PATCH", "new": 1})
    owed = owe(sender, tickets.url)
    send_due(sender)
    [(_, reason, judged)] = attempts(sender)
    assert (delivery(sender, owed).state, reason, tickets.requests) == ("pending", "template", [])
    assert "/new" in (judged or "")


def test_listed_caller_sends_to_its_receivers_alone(sender: Kernel, tickets: Receiver) -> None:
    make_receiver(sender, "itsm", tickets.url + "api")
    with sender.write() as connection:
        connection.execute(update(Caller).values(is_listed=True))
    owe(sender, tickets.url + "api/x")
    owe(sender, tickets.url + "other")
    owe(sender, "receiver:gone", origin="receiver:gone")
    send_due(sender)
    assert [one.path for one in tickets.wait(1)] == ["/api/x"]
    assert set(attempts(sender)) == {
        (200, None, None),
        (None, "refused", "no receiver of the caller matches the URL"),
        (None, "refused", "the caller has no receiver 'gone'"),
    }


@pytest.mark.parametrize(
    ("code", "kind", "reason"),
    [
        *[(0, Delivered, None), (5, Delivered, None)],
        *[(100, RetryIn, "answer"), (7, RetryIn, "answer")],
    ],
)
def test_answer_is_judged_by_the_receivers_rules_and_what_they_saw_is_kept(
    sender: Kernel, tickets: Receiver, code: object, kind: type, reason: str | None
) -> None:
    make_receiver(sender, "itop", tickets.url, shape=ITOP)
    tickets.script(told(code))
    owe(sender, tickets.url)
    [finished] = send_due(sender)
    assert isinstance(finished.verdict, kind)
    [(status, why, judged)] = attempts(sender)
    assert (status, why) == (200, reason)
    assert str(code) in (judged or "")


def test_receiver_gives_up_at_once_or_after_its_tries_when_its_rules_say_so(
    sender: Kernel, tickets: Receiver
) -> None:
    make_receiver(sender, "itop", tickets.url, shape=ITOP)
    tickets.script(told(1), told(100), told(100))
    refused = owe(sender, tickets.url)
    send_due(sender)
    owed = owe(sender, tickets.url)
    for _ in range(2):
        send_due(sender)
        sender.clock.shift(3600)
    for one in (refused, owed):
        assert (delivery(sender, one).state, delivery(sender, one).died_of) == ("dead", "answer")


def test_ticket_is_looked_up_before_it_is_written_to(sender: Kernel, tickets: Receiver) -> None:
    login = Credentials(bearer=SecretStr("hush-hush"))
    make_receiver(sender, "itsm", tickets.url + "table", login, shape=lookup(tickets))
    tickets.script(rows({"sys_id": "a1", "number": "INC1"}), path="/table?number=INC1")
    owe(sender, "receiver:itsm", origin=at(tickets))
    send_due(sender)
    asked, written = tickets.wait(2)
    assert (asked.method, asked.body, written.path) == ("GET", b"", "/table/a1")
    assert asked.headers["authorization"] == written.headers["authorization"] == "Bearer hush-hush"


@pytest.mark.parametrize(("found", "asked"), [(["INC1", "INC1"], 1), ([], 4), (["INC2"], 4)])
def test_delivery_is_dead_when_there_is_more_than_one_ticket_or_none_at_several_times(
    sender: Kernel, tickets: Receiver, found: list[str], asked: int
) -> None:
    make_receiver(sender, "itsm", tickets.url + "table", shape=lookup(tickets))
    tickets.default = rows(*({"sys_id": "a1", "number": one} for one in found))
    owed = owe(sender, "receiver:itsm", origin=at(tickets))
    for _ in range(6):
        send_due(sender)
        sender.clock.shift(3600)
    assert (delivery(sender, owed).died_of, len(tickets.requests)) == ("lookup", asked)
    assert attempts(sender)[0][1] == "lookup"


def test_delivery_is_tried_again_when_the_lookup_fails(sender: Kernel, tickets: Receiver) -> None:
    make_receiver(sender, "itsm", tickets.url + "table", shape=lookup(tickets))
    tickets.script(503)
    owed = owe(sender, "receiver:itsm", origin=at(tickets))
    send_due(sender)
    assert (delivery(sender, owed).state, attempts(sender)[0][:2]) == ("pending", (503, "http_5xx"))


def lookup(receiver: Receiver) -> dict[str, Any]:
    """A shape that looks the ticket's id up by its number."""
    table = receiver.url + "table"
    asked = {"url": table + "?number={{ reference }}", "equals": "{{ reference }}"}
    asked |= {"rows": "result", "match": "number", "value": "sys_id"}
    return {"lookup": asked, "url": table + "/{{ found }}"}


def rows(*found: dict[str, str]) -> Answer:
    """An answer of ServiceNow's to a lookup."""
    body = json.dumps({"result": found}).encode()
    return Answer(200, {"Content-Type": "application/json"}, body)


@pytest.mark.parametrize(
    ("verdict", "kind", "reason"),
    [("give_up", Dead, "redirect"), ("delivered", Delivered, None), (None, RetryIn, "redirect")],
)
def test_redirect_is_judged_by_the_rules_that_ask_for_the_status_alone(
    sender: Kernel, tickets: Receiver, verdict: str | None, kind: type, reason: str | None
) -> None:
    rules = [{"is": "done", "status": "3xx", "json": {"path": "code", "equals": 0}}]
    rules += [{"is": verdict, "status": "3xx"}] if verdict else []
    make_receiver(sender, "itop", tickets.url, shape={"answer": rules})
    tickets.script(Answer(302, {"Location": tickets.url + "login"}))
    owe(sender, tickets.url)
    [finished] = send_due(sender)
    assert isinstance(finished.verdict, kind)
    assert attempts(sender) == [(302, reason, "status 302" if verdict else None)]


def test_redirect_of_a_lookup_is_not_judged_by_the_rules_of_the_answer(
    sender: Kernel, tickets: Receiver
) -> None:
    shape = lookup(tickets) | {"answer": [{"is": "delivered", "status": "3xx"}]}
    make_receiver(sender, "itsm", tickets.url + "table", shape=shape)
    tickets.script(Answer(302, {"Location": tickets.url}))
    owe(sender, "receiver:itsm", origin=at(tickets))
    [finished] = send_due(sender)
    assert isinstance(finished.verdict, RetryIn)


def test_schedule_and_give_up_are_the_receivers(sender: Kernel, tickets: Receiver) -> None:
    make_receiver(sender, "itsm", tickets.url, schedule=[100.0], give_up=150.0)
    tickets.default = 500
    owed = owe(sender, tickets.url)
    [finished] = send_due(sender)
    assert isinstance(finished.verdict, RetryIn)
    assert timedelta(seconds=100) <= finished.verdict.pause <= timedelta(seconds=110)
    sender.clock.shift(111)
    send_due(sender)
    assert delivery(sender, owed).died_of == "deadline"


def test_timeout_is_the_receivers(sender: Kernel, tickets: Receiver) -> None:
    make_receiver(sender, "itsm", tickets.url, timeout=0.3)
    tickets.script(Answer(200, delay=3.0))
    owe(sender, tickets.url)
    [finished] = send_due(sender)
    assert (finished.reason, finished.duration_ms < 2000) == ("timeout", True)


def test_claim_lasts_as_long_as_a_receiver_with_a_long_timeout_may_take(
    sender: Kernel, tickets: Receiver
) -> None:
    make_receiver(sender, "itsm", tickets.url, timeout=300.0)
    owed, seen = owe(sender, tickets.url), []
    tickets.script(lambda exchange: seen.append(delivery(sender, owed).next_attempt_at))
    send_due(sender)
    assert seen[0] - sender.clock.now() > timedelta(seconds=300)
