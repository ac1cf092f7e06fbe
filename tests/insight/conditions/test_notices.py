"""Notifications: told once, and when it is over, without a worker, by callbacks like all others."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, select

from kernel.db.tables.audit import ACTS
from kernel.db.tables.callers import Caller
from kernel.db.tables.deliveries import DELIVERIES
from kernel.db.tables.operating.conditions import TOLD
from kernel.db.tables.orders import ORDERS
from kernel.errors import Conflict, NotFound
from kernel.insight.conditions import rules
from kernel.insight.conditions.judge import judge
from kernel.insight.conditions.known import CALM, note
from kernel.insight.conditions.look import look
from kernel.insight.conditions.notices import rows
from kernel.insight.conditions.notices.telling import send_test, tell_due
from kernel.insight.conditions.rules import Condition
from kernel.runtime.kernel import Kernel
from kernel.testing import drain
from tests.support.failures import make_error
from tests.support.ticketing import make_receiver

NO_WORKER = Condition(rule=rules.NO_WORKER, values={"waiting": 3})
PAUSED = Condition(rule=rules.PAUSED, subject="host a", cause="host", values={"name": "a"})
SECOND = timedelta(seconds=1)
WAITS = rules.NO_WORKER.lasts


def rule(kernel: Kernel, name: str = "night", *conditions: str, recovers: bool = True) -> None:
    """Add a rule, and the receiver that it names."""
    rows.add(kernel, name, name, conditions, recovers=recovers)
    with kernel.read_session() as session:
        caller = session.scalar(select(Caller.id).where(Caller.name == rows.CALLER))
    make_receiver(kernel, name, "https://chat.example/hook", caller_id=caller)


def orders(kernel: Kernel) -> list[Any]:
    with kernel.read() as connection:
        asked = select(ORDERS).where(ORDERS.c.select_tag == "notify").order_by(ORDERS.c.id)
        return list(connection.execute(asked))


def owed(kernel: Kernel) -> list[dict[str, Any]]:
    with kernel.read() as connection:
        found = connection.execute(select(DELIVERIES.c.body).order_by(DELIVERIES.c.id))
        return [json.loads(row.body) for row in found]


def told_of(kernel: Kernel, now: datetime, *found: Condition) -> int:
    """Sweep once: note what is found, and tell; return how many notifications were sent."""
    note(kernel, found, now)
    return len(tell_due(kernel, now))


def test_condition_is_told_once_when_it_has_lasted_and_again_when_it_is_over(
    kernel: Kernel,
) -> None:
    rule(kernel)
    now = kernel.clock.now()
    assert told_of(kernel, now, NO_WORKER) == 0
    assert told_of(kernel, now + WAITS, NO_WORKER) == 1
    assert told_of(kernel, now + 2 * WAITS, NO_WORKER) == 0
    assert told_of(kernel, now + 3 * WAITS) == 0  # it may come back
    assert told_of(kernel, now + 3 * WAITS + CALM) == 1
    assert told_of(kernel, now + 4 * WAITS + CALM) == 0
    begun, over = owed(kernel)
    assert begun["data"]["state"] == "warning"
    assert "No worker is alive" in begun["msg"]
    assert "docs/operations.md#an-order-is-stuck" in begun["msg"]
    assert begun["data"]["result"]["condition"] == "no_worker"
    assert over["data"]["state"] == "success"
    assert over["msg"].startswith("Over: No worker is alive")
    assert [one.reference for one in orders(kernel)] == ["no_worker", "no_worker"]


def test_new_error_is_told_once_and_when_it_is_resolved_and_again_when_it_comes_back(
    kernel: Kernel,
) -> None:
    rule(kernel, "night", "new_error")
    error = make_error(kernel)
    now = kernel.clock.now()
    (found,) = (one for one in judge(look(kernel)) if one.key == "new_error")
    assert told_of(kernel, now, found) == 1
    assert told_of(kernel, now + WAITS, found) == 0
    assert told_of(kernel, now + 2 * WAITS) == 0  # resolved
    assert told_of(kernel, now + 2 * WAITS + CALM) == 1
    assert told_of(kernel, now + 4 * WAITS + CALM, found) == 1  # it came back
    begun, over, back = owed(kernel)
    assert begun["msg"].startswith("New error in create_project: ValueError in ")
    assert over["msg"].startswith("Resolved, or known for a day: New error in")
    assert [one["data"]["result"]["subject"] for one in (begun, over, back)] == [error] * 3


def test_condition_that_comes_and_goes_is_told_of_once(kernel: Kernel) -> None:
    rule(kernel)
    now = kernel.clock.now()
    told_of(kernel, now, NO_WORKER)
    assert told_of(kernel, now + WAITS, NO_WORKER) == 1
    for number in range(1, 6):
        at = now + WAITS + number * CALM
        assert told_of(kernel, at) == 0
        assert told_of(kernel, at + CALM - SECOND, NO_WORKER) == 0
    assert len(orders(kernel)) == 1


def test_condition_that_begins_anew_is_told_of_anew(kernel: Kernel) -> None:
    rule(kernel)
    now = kernel.clock.now()
    told_of(kernel, now, NO_WORKER)
    told_of(kernel, now + WAITS, NO_WORKER)
    told_of(kernel, now + 2 * WAITS)
    later = now + 3 * WAITS + 2 * CALM
    assert told_of(kernel, later, NO_WORKER) == 1  # that it was over
    assert told_of(kernel, later + WAITS, NO_WORKER) == 1
    assert len(orders(kernel)) == 3


@pytest.mark.parametrize("name", ["night", "day"])
def test_rule_in_the_place_of_another_tells_what_stands(kernel: Kernel, name: str) -> None:
    """On SQLite the new rule has the number of the one that was removed."""
    rule(kernel)
    now = kernel.clock.now()
    told_of(kernel, now, NO_WORKER)
    assert told_of(kernel, now + WAITS, NO_WORKER) == 1
    rows.remove(kernel, "night")
    rows.add(kernel, name, "night")
    assert told_of(kernel, now + 2 * WAITS, NO_WORKER) == 1
    assert told_of(kernel, now + 3 * WAITS, NO_WORKER) == 0
    assert len(owed(kernel)) == 2


def test_notification_reaches_its_receiver_although_no_worker_lives(kernel: Kernel) -> None:
    rule(kernel)
    now = kernel.clock.now()
    told_of(kernel, now, NO_WORKER)
    told_of(kernel, now + WAITS, NO_WORKER)
    drain(kernel)
    (sent,) = kernel.transport.sent  # type: ignore[attr-defined]
    assert sent.url.startswith("https://chat.example/hook")
    assert b"No worker is alive" in sent.body


def test_rule_tells_of_its_conditions_alone_and_of_notices_only_when_named(
    kernel: Kernel,
) -> None:
    rule(kernel, "all")
    rule(kernel, "pauses", "paused")
    now = kernel.clock.now()
    told_of(kernel, now, NO_WORKER, PAUSED)
    told_of(kernel, now + WAITS, NO_WORKER, PAUSED)
    assert sorted((one.reference, one.callback_url) for one in orders(kernel)) == [
        ("no_worker", "receiver:all"),
        ("paused host a", "receiver:pauses"),
    ]


def test_end_is_not_told_when_the_rule_says_so(kernel: Kernel) -> None:
    rule(kernel, recovers=False)
    now = kernel.clock.now()
    told_of(kernel, now, NO_WORKER)
    told_of(kernel, now + WAITS, NO_WORKER)
    assert told_of(kernel, now + 2 * WAITS) == 0
    assert told_of(kernel, now + 3 * WAITS + CALM) == 0
    with kernel.read() as connection:
        assert connection.scalars(select(TOLD.c.recovered_at)).one() is not None


def test_two_sweepers_and_a_lost_note_make_one_order(kernel: Kernel) -> None:
    rule(kernel)
    now = kernel.clock.now()
    told_of(kernel, now, NO_WORKER)
    told_of(kernel, now + WAITS, NO_WORKER)
    with kernel.write() as connection:
        connection.execute(delete(TOLD))
    tell_due(kernel, now + WAITS)
    tell_due(kernel, now + WAITS)
    assert len(orders(kernel)) == 1
    assert len(owed(kernel)) == 1


def test_rule_waits_for_its_receiver_when_there_is_none(kernel: Kernel) -> None:
    rows.add(kernel, "night", "chat")
    now = kernel.clock.now()
    told_of(kernel, now, NO_WORKER)
    assert told_of(kernel, now + WAITS, NO_WORKER) == 0
    with pytest.raises(NotFound, match="kernel receivers add"):
        send_test(kernel, "night")


def test_test_is_one_order_and_one_act_each_time(kernel: Kernel) -> None:
    rule(kernel)
    ids = [send_test(kernel, "night") for _ in range(2)]
    assert [one.id for one in orders(kernel)] == sorted(ids)
    assert "test of the notification rule night" in owed(kernel)[0]["msg"]
    with kernel.read() as connection:
        verbs = list(connection.scalars(select(ACTS.c.verb).order_by(ACTS.c.id)))
    assert verbs == ["notice.add", "notice.test", "notice.test"]


def test_rules_are_refused_that_cannot_work(kernel: Kernel) -> None:
    rows.add(kernel, "night", "chat")
    for wrong in ("night", "two words", ""):
        with pytest.raises(Conflict):
            rows.add(kernel, wrong, "chat")
    with pytest.raises(Conflict):
        rows.add(kernel, "day", "two words")
    with pytest.raises(NotFound, match="broker_gone"):
        rows.add(kernel, "day", "chat", ["unheard_of"])
    rows.remove(kernel, "night")
    with pytest.raises(NotFound):
        rows.remove(kernel, "night")
