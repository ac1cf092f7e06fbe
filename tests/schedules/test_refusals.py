"""Times that make no order: missed, refused, left to another process. The next one goes on."""

import logging
from collections.abc import Callable

import pytest
from sqlalchemy import update

from kernel.callers import keys
from kernel.db.tables.schedules import SCHEDULES
from kernel.db.tables.service import SelectTag
from kernel.handlers import Handlers
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.job import Swept
from kernel.worker.maintenance.schedules import fire_schedules, not_fired
from tests.support.factories import sweep_for
from tests.support.recurring import DAY, HOUR, add, keyed, orders, row, swept, to

MakeKernel = Callable[..., Kernel]


@pytest.fixture
def lite(make_kernel: MakeKernel, sqlite_url: str) -> Kernel:
    """A kernel where the kind of database makes no difference."""
    return make_kernel(sqlite_url)


def test_time_that_is_too_old_is_not_made_up_and_said_to_be_missed(
    lite: Kernel, caplog: pytest.LogCaptureFixture
) -> None:
    add(lite, catch_up=1800)
    first = row(lite).next_at
    to(lite, first + HOUR)
    with caplog.at_level(logging.ERROR):
        assert swept(lite) == []
    now = row(lite)
    assert now.last_error == "missed: no process looked within 30m after it"
    assert (now.failed_at, now.next_at, now.last_order_id) == (first, first + DAY, None)
    (said,) = caplog.records
    assert "schedule made no order: missed" in said.getMessage()
    assert said.__dict__["schedule"] == "nightly"
    to(lite, first + DAY)  # the next one is fired, and clears the error
    assert len(swept(lite)) == 1
    assert (row(lite).last_error, row(lite).failed_at) == (None, None)


def test_schedule_of_a_disabled_caller_goes_on_without_orders(lite: Kernel) -> None:
    with lite.write_session() as session:
        keys.add(session, "zammad", lite.clock.now())
    add(lite, caller="zammad")
    first = row(lite).next_at
    with lite.write_session() as session:
        keys.revoke(session, "zammad", lite.clock.now())
    to(lite, first)
    assert swept(lite) == []
    assert row(lite).last_error == "caller_disabled: all keys of zammad are revoked"
    assert row(lite).next_at == first + DAY


def test_refused_order_is_the_last_error_and_the_next_time_goes_on(
    make_kernel: MakeKernel, sqlite_url: str
) -> None:
    known = make_kernel(sqlite_url)
    add(known)
    first = row(known).next_at
    unknown = make_kernel(sqlite_url, Handlers())
    to(unknown, first)
    sweep_for(unknown, 3700)
    assert swept(unknown) == []
    said = row(unknown).last_error
    assert said == "unknown_select_tag: /select_tag no handler has this tag"
    assert row(unknown).next_at == first + DAY
    stricter = make_kernel(sqlite_url)
    with stricter.write() as connection:
        connection.execute(update(SCHEDULES).values(args='{"projname":5}'))
    to(stricter, first + DAY)
    assert swept(stricter) == []
    assert row(stricter).last_error == "string_type: /args/projname Input should be a valid string"
    assert row(stricter).next_at == first + 2 * DAY


def test_tag_that_another_worker_knows_is_left_to_it(
    make_kernel: MakeKernel, sqlite_url: str
) -> None:
    known = make_kernel(sqlite_url)
    add(known)
    first = row(known).next_at
    to(known, first)
    with known.write() as connection:
        seen = {"tag": "create_project", "seen_at": known.clock.sql()}
        connection.execute(SelectTag.__table__.insert().values(seen))  # type: ignore[attr-defined]
    unknown = make_kernel(sqlite_url, Handlers())
    to(unknown, first)
    assert swept(unknown) == []
    assert (row(unknown).next_at, row(unknown).last_error) == (first, None)
    assert len(swept(known)) == 1


def test_time_is_left_to_workers_that_start_later_after_an_outage(
    make_kernel: MakeKernel, sqlite_url: str
) -> None:
    known = make_kernel(sqlite_url)
    add(known, catch_up=4 * 3600)
    first = row(known).next_at
    unknown = make_kernel(sqlite_url, Handlers())
    to(unknown, first + HOUR / 6)
    for seconds in (0, 3500):
        sweep_for(unknown, seconds)
        assert swept(unknown) == []
        assert (row(unknown).next_at, row(unknown).last_error) == (first, None)
    to(known, first + HOUR / 6)
    assert len(swept(known)) == 1


def test_time_that_was_left_to_others_for_too_long_is_missed(
    make_kernel: MakeKernel, sqlite_url: str
) -> None:
    """An order that is later than its window may do harm."""
    add(make_kernel(sqlite_url), catch_up=1800)
    unknown = make_kernel(sqlite_url, Handlers())
    first = row(unknown).next_at
    for late, said in ((HOUR / 3, None), (HOUR, "missed: no process that knows its tag looked")):
        to(unknown, first + late)
        sweep_for(unknown, 3000)
        assert swept(unknown) == []
        assert (row(unknown).last_error or "").startswith(said or "")
        assert (row(unknown).next_at == first) is (said is None)


def test_schedule_that_cannot_be_fired_keeps_no_other_from_its_turn(
    lite: Kernel, caplog: pytest.LogCaptureFixture
) -> None:
    add(lite)
    add(lite, "other")
    with lite.write() as connection:  # as of a host that knows more zones than this one
        named = SCHEDULES.c.name == "nightly"
        connection.execute(update(SCHEDULES).where(named).values(zone="Mars/Phobos"))
    first = row(lite).next_at
    to(lite, first)
    aside, done = not_fired(), Swept()
    with caplog.at_level(logging.ERROR):
        for _ in range(2):
            fire_schedules(lite, done, aside)
    assert [one.idempotency_key for one in orders(lite)] == keyed(lite, first, name="other")
    (said,) = caplog.records
    assert "schedule not fired: 'Mars/Phobos' is no time zone that is known here" in said.message
    assert row(lite).next_at == first
