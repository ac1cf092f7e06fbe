"""Why an order and its callback stand as they do, on its page, with what can be done about it."""

import re
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert

from kernel.callers import identity, keys
from kernel.callers.audit.actor import Actor
from kernel.callers.audit.acts import By
from kernel.db.tables.service import Worker
from kernel.pauses.changes import pause
from kernel.pauses.subjects import Subject
from kernel.runtime.kernel import Kernel
from tests.support.clients import Client, FakeHints, serve
from tests.support.factories import delivery, make_attempt, make_delivery, make_order
from tests.support.people.dashboard import HOSTILE, Visitor, operator, said, words
from tests.support.ticketing import make_receiver

HOST = "receiver.example:443"
ORIGIN = f"https://{HOST}"


@pytest.fixture
def visitor(kernel: Kernel) -> Visitor:
    return operator(kernel, FakeHints())


def by(name: str, reason: str) -> By:
    return By(Actor(name, "page"), reason)


def alive(kernel: Kernel, **values: Any) -> None:
    """A worker process that has just been seen."""
    now = kernel.clock.now()
    row = {"id": "w-1", "host": "db-3", "pid": 47, "kind": "worker", "running": "", "broken": ""}
    row |= {"started_at": now, "seen_at": now, "probing": ""} | values
    with kernel.write_session() as session:
        session.execute(insert(Worker).values(row))


def failing(kernel: Kernel, **values: Any) -> tuple[str, str]:
    """An order whose callback was tried six times, and its callback."""
    now = kernel.clock.now()
    order_id = make_order(kernel, state="success", finished_at=now, message="success")
    tried = {"is_retry": True, "tries": 6, "attempt": 6} | values
    owed = make_delivery(kernel, order_id, **tried)
    make_attempt(kernel, owed, now - timedelta(minutes=20), "connect")
    return order_id, owed


def told(visitor: Visitor, order_id: str) -> str:
    return words(visitor.get(f"/dashboard/orders/{order_id}"))


def test_paused_callback_names_who_paused_it_and_is_resumed_where_it_is_read(
    kernel: Kernel, visitor: Visitor
) -> None:
    order_id, owed = failing(kernel)
    pause(kernel, Subject(host=HOST), by=by("Vera", f"maintenance {HOSTILE}"))
    assert delivery(kernel, owed).state == "held"
    page = visitor.get(f"/dashboard/orders/{order_id}")
    assert "<script>alert" not in page.text
    assert re.search(r"held: receiver.example:443 was paused .* by Vera : maintenance", words(page))
    assert "Next callback attempt" not in words(page)
    resume = re.search(r'action="([^"]*/resume[^"]*)"', page.text)
    assert resume is not None
    answer = visitor.post(resume[1].replace("&amp;", "&"))
    assert answer.location.endswith(f"/dashboard/orders/{order_id}")
    assert said(answer) == "done_resumed"
    assert delivery(kernel, owed).state == "pending"


def test_callback_of_a_pause_that_no_sweep_has_seen_is_said_to_be_held(
    kernel: Kernel, visitor: Visitor
) -> None:
    pause(kernel, Subject(host=HOST), by=by("Vera", "maintenance"))
    order_id, _ = failing(kernel)
    found = told(visitor, order_id)
    assert "held: receiver.example:443 was paused" in found
    assert "Retry now" not in found


def test_failing_receiver_says_when_the_next_attempt_is(kernel: Kernel, visitor: Visitor) -> None:
    alive(kernel)
    later = kernel.clock.now() + timedelta(minutes=12)
    order_id, _ = failing(kernel, next_attempt_at=later)
    found = told(visitor, order_id)
    assert "receiver failing: connection refused or not reached , 6 attempts , next" in found
    assert "Next callback attempt" in found
    assert "Retry now" in found


def test_next_attempt_is_not_past_while_every_process_has_the_breaker_open(
    kernel: Kernel, visitor: Visitor
) -> None:
    alive(kernel, broken=f"{ORIGIN}#1")
    order_id, _ = failing(kernel)
    found = told(visitor, order_id)
    assert "nothing is sent before the breaker probes" in found
    assert "Next callback attempt" not in found
    alive(kernel, id="w-2", broken="")  # this one has not seen it fail, and sends it
    assert "the next is due now" in told(visitor, order_id)


def test_breaker_of_another_caller_holds_nothing_up(kernel: Kernel, visitor: Visitor) -> None:
    alive(kernel, broken=f"{ORIGIN}#2")
    order_id, _ = failing(kernel)
    assert "the next is due now" in told(visitor, order_id)


def test_breaker_of_the_own_path_of_a_receiver_is_told_of_its_callbacks_alone(
    kernel: Kernel, visitor: Visitor
) -> None:
    desk = make_receiver(kernel, "desk", f"{ORIGIN}/desk")
    make_receiver(kernel, "crm", f"{ORIGIN}/crm")
    alive(kernel, broken=f"{ORIGIN}/receiver:{desk}#1")
    mine, _ = failing(kernel, url=f"{ORIGIN}/desk/in")
    other, _ = failing(kernel, url=f"{ORIGIN}/crm/in")
    assert "nothing is sent before the breaker probes" in told(visitor, mine)
    assert "the next is due now" in told(visitor, other)


def test_order_says_who_cancelled_it_and_why(kernel: Kernel, visitor: Visitor) -> None:
    order_id = make_order(kernel)
    visitor.post(f"/dashboard/orders/{order_id}/cancel", reason="CHG42")
    found = told(visitor, order_id)
    assert re.search(r"cancelled \S+ \S+ UTC by ops : CHG42", found)
    assert "order.cancel ops: CHG42" in found


def test_order_that_nobody_runs_says_so(kernel: Kernel, visitor: Visitor) -> None:
    order_id = make_order(kernel)
    assert ": no worker is alive" in told(visitor, order_id)
    alive(kernel)
    assert ": waiting for a free worker" in told(visitor, order_id)


def test_failed_order_is_as_far_as_it_came(kernel: Kernel, visitor: Visitor) -> None:
    now = kernel.clock.now()
    far = {"progress_current": 2, "progress_total": 600}
    order_id = make_order(kernel, state="failed", error_code="x", finished_at=now, **far)
    page = visitor.get(f"/dashboard/orders/{order_id}")
    assert "2 of 600 · 0 %" in words(page)
    assert "100 %" not in words(page)
    assert '<progress value="2" max="600"' in page.text


def test_caller_reads_why_without_people(kernel: Kernel) -> None:
    with kernel.write_session() as session:
        key = keys.add(session, "jira", kernel.clock.now()).api_key
        assert key is not None
        caller_id = identity.find(session, "jira").id
    caller = Client(serve(kernel), key.get_secret_value())
    now, own = kernel.clock.now(), {"caller_id": caller_id}
    order_id = make_order(kernel, state="success", finished_at=now, **own)
    make_delivery(kernel, order_id, **own)
    pause(kernel, Subject(host=HOST), by=by("Vera", "maintenance"))
    data = caller.get(f"/v1/orders/{order_id}").get_json()["data"]
    assert data["why"].startswith("done ")
    (owed,) = data["deliveries"]
    assert owed["why"].startswith("held: receiver.example:443 was paused")
    assert "Vera" not in owed["why"]
    (listed,) = caller.get(f"/v1/orders/{order_id}/deliveries").get_json()["data"]["deliveries"]
    assert listed["why"] == owed["why"]
