"""Schedules are fired by the sweep: once for each time, by the rule, whatever happens meanwhile."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Barrier, Thread
from typing import Self

import pytest
from pydantic import BaseModel, model_validator
from sqlalchemy import update

from kernel import Handlers
from kernel.db.tables.schedules import SCHEDULES
from kernel.runtime.kernel import Kernel
from kernel.schedules import changes
from kernel.schedules.firing import due_schedules, fire
from kernel.testing import drain
from kernel.worker.maintenance.schedules import SCHEDULES as AT_ONCE
from tests.support.batches import ONE, send
from tests.support.clients import client
from tests.support.recurring import DAY, add, keyed, orders, row, swept, to

MakeKernel = Callable[..., Kernel]


@pytest.fixture
def lite(make_kernel: MakeKernel, sqlite_url: str) -> Kernel:
    """A kernel where the kind of database makes no difference."""
    return make_kernel(sqlite_url)


def test_order_is_submitted_at_its_time_and_once(kernel: Kernel) -> None:
    add(kernel)
    first = row(kernel).next_at
    assert swept(kernel) == []
    to(kernel, first - timedelta(seconds=2))
    assert swept(kernel) == []
    to(kernel, first + timedelta(seconds=1))
    (order_id,) = swept(kernel)
    assert swept(kernel) == []
    (made,) = orders(kernel)
    assert (made.id, made.state, made.caller_id) == (order_id, "pending", 1)
    assert (made.reference, made.callback_url, made.select_tag) == ("nightly", "", "create_project")
    assert [made.idempotency_key] == keyed(kernel, first)
    now = row(kernel)
    assert (now.last_at, now.last_order_id, now.last_error) == (first, order_id, None)
    assert (now.next_at, now.last_state) == (first + DAY, "pending")
    assert drain(kernel)
    assert row(kernel).last_state == "success"


def test_latest_missed_time_is_fired_once_after_an_outage(kernel: Kernel) -> None:
    add(kernel, name="often", cron="*/15 * * * *")
    add(kernel)
    first = row(kernel).next_at
    back = first + 3 * DAY + timedelta(minutes=50)
    to(kernel, back)
    assert len(swept(kernel)) == 2
    assert {one.idempotency_key for one in orders(kernel)} == {
        *keyed(kernel, first + 3 * DAY),
        *keyed(kernel, first + 3 * DAY + timedelta(minutes=45), name="often"),
    }
    assert row(kernel).next_at == first + 4 * DAY


def test_two_sweepers_make_one_order_of_a_time(kernel: Kernel) -> None:
    for number in range(6):
        add(kernel, f"s{number}")
    to(kernel, row(kernel, "s0").next_at)
    due, together = due_schedules(kernel, 100), Barrier(2)
    made: list[str] = []

    def sweep() -> None:
        together.wait()
        made.extend(one for one in [fire(kernel, row) for row in due] if one is not None)

    threads = [Thread(target=sweep) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = orders(kernel)
    assert len(due) == len(found) == 6
    assert {one.id for one in found} == set(made)
    assert {row(kernel, f"s{number}").last_order_id for number in range(6)} == set(made)


def test_order_is_not_made_twice_when_the_schedule_stands_where_it_stood(kernel: Kernel) -> None:
    """As after a restored backup of its table, or of a release that would move it later."""
    add(kernel)
    first = row(kernel).next_at
    to(kernel, first)
    (order_id,) = swept(kernel)
    for change in ({}, {"args": '{"projname":"Another","prodesc":"x"}'}):
        with kernel.write() as connection:
            connection.execute(
                update(SCHEDULES).values(next_at=first, last_order_id=None, **change)
            )
        swept(kernel)
        assert [one.id for one in orders(kernel)] == [order_id]
        now = row(kernel)
        assert (now.last_order_id, now.next_at) == (order_id, first + DAY)


def test_nothing_is_left_half_done_when_the_move_fails(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(kernel)
    first = row(kernel).next_at
    to(kernel, first)
    (due,) = due_schedules(kernel, 100)
    changes.pause(kernel, "nightly")  # between the look and the submit
    assert fire(kernel, due) is None
    assert orders(kernel) == []
    assert row(kernel).next_at is None
    changes.resume(kernel, "nightly")
    changes.remove(kernel, "nightly")
    assert fire(kernel, due) is None
    assert orders(kernel) == []


def test_paused_times_are_not_made_up(lite: Kernel) -> None:
    add(lite)
    first = row(lite).next_at
    assert changes.pause(lite, "nightly")
    assert not changes.pause(lite, "nightly")
    to(lite, first + timedelta(minutes=5))
    assert swept(lite) == []
    assert changes.resume(lite, "nightly")
    assert not changes.resume(lite, "nightly")
    assert swept(lite) == []
    assert row(lite).next_at == first + DAY


def test_paused_schedule_is_not_fired_when_a_racing_change_has_left_it_a_time(lite: Kernel) -> None:
    add(lite)
    first = row(lite).next_at
    assert changes.pause(lite, "nightly")
    with lite.write() as connection:
        connection.execute(update(SCHEDULES).values(next_at=first))
    to(lite, first + timedelta(minutes=5))
    assert swept(lite) == []
    assert orders(lite) == []


def test_changed_definition_holds_from_the_next_time_on(lite: Kernel) -> None:
    add(lite)
    first = row(lite).next_at
    assert changes.change(lite, "nightly", {"args": {"projname": "Other", "prodesc": "y"}})
    assert row(lite).next_at == first
    assert not changes.change(lite, "nightly", {"reference": "nightly"})
    assert changes.change(lite, "nightly", {"cron": "0 4 * * *"})
    assert row(lite).next_at.hour == 4
    to(lite, row(lite).next_at)
    swept(lite)
    (made,) = orders(lite)
    assert "Other" in made.args


def test_changed_times_hold_though_it_is_resumed_at_that_moment(
    make_kernel: MakeKernel, sqlite_url: str
) -> None:
    meanwhile: list[Callable[[], object]] = []

    class Asked(BaseModel):
        @model_validator(mode="after")
        def asked(self) -> Self:
            """A change has the order checked, between its look at the schedule and its write."""
            for one in meanwhile:
                one()
            return self

    registry = Handlers()
    registry.register("asked", Asked)(lambda run, args: {})
    kernel = make_kernel(sqlite_url, registry)
    add(kernel, select_tag="asked", args={})
    changes.pause(kernel, "nightly")
    meanwhile.append(lambda: changes.resume(kernel, "nightly"))
    changes.change(kernel, "nightly", {"cron": "0 4 * * *"})
    assert row(kernel).paused_at is None
    assert row(kernel).next_at.hour == 4


def test_a_sweep_fires_so_many_schedules_and_the_next_one_the_others(lite: Kernel) -> None:
    add(lite)
    due = row(lite).next_at
    copied = {column.name: getattr(row(lite), column.name) for column in SCHEDULES.c}
    del copied["id"]
    with lite.write() as connection:
        more = [copied | {"name": f"s{number}"} for number in range(AT_ONCE)]
        connection.execute(SCHEDULES.insert(), more)
    to(lite, due)
    assert [len(swept(lite)) for _ in range(3)] == [AT_ONCE, 1, 0]


@pytest.mark.parametrize(
    ("eve", "expected"),
    [
        # 2:30 does not exist on the 28th, and exists twice on the 31st.
        (datetime(2027, 3, 27, 12, tzinfo=UTC), ["2027-03-28T01:00:00Z", "2027-03-29T00:30:00Z"]),
        (datetime(2027, 10, 30, 12, tzinfo=UTC), ["2027-10-31T00:30:00Z", "2027-11-01T01:30:00Z"]),
    ],
)
def test_time_of_day_is_fired_once_when_clocks_change(
    lite: Kernel, eve: datetime, expected: list[str]
) -> None:
    to(lite, eve)
    add(lite, cron="30 2 * * *", zone="Europe/Berlin")
    for minutes in range(0, 40 * 60, 20):
        to(lite, eve + timedelta(minutes=minutes))
        swept(lite)
    assert [one.idempotency_key.split(":", 2)[2] for one in orders(lite)] == expected


def test_run_now_leaves_the_times_as_they_are(lite: Kernel) -> None:
    add(lite)
    first = row(lite).next_at
    changes.pause(lite, "nightly")
    order_id = changes.run_now(lite, "nightly")
    assert row(lite).last_order_id == order_id
    assert row(lite).next_at is None
    changes.resume(lite, "nightly")
    assert row(lite).next_at == first


def test_no_caller_takes_the_place_of_an_order_that_is_due(lite: Kernel) -> None:
    caller = client(lite, "zammad")
    add(lite, caller="zammad")
    (key,) = keyed(lite, first := row(lite).next_at)
    order = {"projname": "another", "callback_url": None}
    answers = [
        caller.submit(key, **order),
        send(caller, [ONE | order], key, select_tag="kernel.batch"),
        send(caller, [ONE | order | {"idempotency_key": key}]),
    ]
    assert all("invalid_idempotency_key" in answer.text for answer in answers)
    assert orders(lite) == []
    to(lite, first + timedelta(seconds=1))
    assert len(swept(lite)) == 1
    (made,) = orders(lite)
    assert "Bridge" in made.args
    # Told as an event's id it takes no order's place.
    path = f"/v1/orders/{made.id}/events"
    told = caller.post(path, json={"name": "seen"}, headers={"Idempotency-Key": key})
    assert told.status_code in (200, 201, 202), told.text
