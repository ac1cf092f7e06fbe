"""Errors as people see them: listed a page at a time, with their course, resolved and reopened."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from kernel.callers.audit.actor import Actor
from kernel.callers.audit.acts import By
from kernel.db.tables.audit import ACTS
from kernel.db.tables.operating.errors import ERRORS
from kernel.errors import NotFound
from kernel.insight.conditions.judge import judge
from kernel.insight.conditions.look import look
from kernel.insight.conditions.words import Words, sentence
from kernel.insight.failures import errors
from kernel.insight.failures.counting import count_failures
from kernel.insight.failures.errors import Which
from kernel.insight.failures.new import NEW
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.prune import delete_orders
from tests.support.factories import rows
from tests.support.failures import BOOKED, PLACE, REFUSED, make_error, make_failure, make_refusal

ADA = By(Actor("ada", "page", None), "mended in 1.4.1")
HOUR = timedelta(hours=1)


def listed(kernel: Kernel, *given: Any, **more: Any) -> list[str]:
    with kernel.read_session() as session:
        found = errors.list_errors(session, kernel.clock.now(), *given, **more)
    return [one.row.fingerprint for one in found.errors]


def test_tag_that_no_order_can_have_has_no_errors(kernel: Kernel) -> None:
    make_failure(kernel)
    count_failures(kernel)
    assert listed(kernel, Which.ALL, tag="桥") == []


def new(kernel: Kernel) -> list[Any]:
    """The conditions that tell of new errors."""
    return [one for one in judge(look(kernel)) if one.key == "new_error"]


def test_errors_are_listed_by_state_and_tag_the_latest_seen_first(kernel: Kernel) -> None:
    now = kernel.clock.now()
    make_refusal(kernel, at=now - HOUR)
    make_failure(kernel, at=now - 2 * HOUR)
    count_failures(kernel)
    assert listed(kernel) == [REFUSED, BOOKED]
    errors.resolve(kernel, REFUSED)
    assert listed(kernel) == [BOOKED]
    assert listed(kernel, Which.RESOLVED) == [REFUSED]
    assert listed(kernel, Which.ALL) == [REFUSED, BOOKED]
    assert listed(kernel, Which.ALL, "create_project") == [REFUSED, BOOKED]
    assert listed(kernel, Which.ALL, "other") == []


def test_pages_follow_each_other_when_errors_were_seen_at_the_same_moment(kernel: Kernel) -> None:
    now = kernel.clock.now()
    for code in ("a", "b", "c", "d", "e"):
        make_refusal(kernel, code, at=now)
    count_failures(kernel)
    seen, below = [], None
    while True:
        with kernel.read_session() as session:
            page = errors.list_errors(session, now, below=below, limit=2)
        seen += [one.row.fingerprint for one in page.errors]
        if page.next is None:
            break
        below = errors.place_of(errors.written_place(page.next) or "")
    assert len(seen) == len(set(seen)) == 5


def test_error_has_the_words_of_its_latest_failure_and_its_hours_and_days(kernel: Kernel) -> None:
    now = kernel.clock.now().replace(hour=12)
    for back in (0, 0, 1, 23, 24, 24 * 13, 24 * 14):
        make_failure(kernel, at=now - back * HOUR, message=f"{back} hours ago")
    count_failures(kernel)
    with kernel.read_session() as session:
        one = errors.find_error(session, BOOKED, now)
        days = errors.days_of(session, BOOKED, now)
        latest = errors.latest_of(session, BOOKED)
    assert one.said == "0 hours ago"
    assert [point.number for point in one.hours] == [1, *[0] * 21, 1, 2]
    assert [point.number for point in days] == [1, *[0] * 11, 2, 3]
    assert len(latest) == 7
    assert latest[0].traceback == "Traceback:\n  in book"


def test_error_stays_when_its_orders_are_deleted(kernel: Kernel) -> None:
    order_id = make_failure(kernel)
    count_failures(kernel)
    delete_orders(kernel, [order_id])
    with kernel.read_session() as session:
        one = errors.find_error(session, BOOKED, kernel.clock.now())
        assert errors.latest_of(session, BOOKED) == []
    assert (one.row.number, one.said) == (1, "")


@pytest.mark.parametrize("unknown", ["0" * 16, "x" * 300, "é"])
def test_error_that_is_unknown_is_not_found(kernel: Kernel, unknown: str) -> None:
    with kernel.read_session() as session, pytest.raises(NotFound):
        errors.find_error(session, unknown, kernel.clock.now())
    with pytest.raises(NotFound):
        errors.resolve(kernel, unknown)


@pytest.mark.parametrize("text", ["", "~", "2026-11-20~x", "2026-11-20T08:00:00Z~", "é~é"])
def test_text_that_is_no_place_is_none(text: str) -> None:
    assert errors.place_of(text) is None
    assert errors.place_of(f"2026-11-20T08:00:00Z~{BOOKED}") is not None
    assert errors.written_place(None) is None


def test_resolving_says_who_when_and_why_and_can_be_taken_back(kernel: Kernel) -> None:
    make_error(kernel)
    assert errors.resolve(kernel, BOOKED, ADA)
    assert not errors.resolve(kernel, BOOKED, ADA)
    (row,) = rows(kernel, ERRORS)
    assert (row.is_open, row.resolved_by, row.resolved_because) == (
        *(False, "ada", "mended in 1.4.1"),
    )
    assert abs(row.resolved_at - kernel.clock.now()) < HOUR
    assert errors.reopen(kernel, BOOKED, ADA)
    assert not errors.reopen(kernel, BOOKED, ADA)
    acts = [(act.verb, act.actor, act.reason) for act in rows(kernel, ACTS)]
    assert acts == [
        ("error.resolve", "ada", "mended in 1.4.1"),
        ("error.reopen", "ada", "mended in 1.4.1"),
    ]
    assert rows(kernel, ERRORS)[0].is_open


def test_error_is_a_condition_from_its_first_failure_until_it_is_resolved(kernel: Kernel) -> None:
    make_error(kernel)
    (found,) = new(kernel)
    assert (found.subject, found.severity) == (BOOKED, "warning")
    assert found.since == rows(kernel, ERRORS)[0].first_seen
    said = sentence(Words("en"), found, kernel.clock.now())
    assert said == f"New error in create_project: ValueError in {PLACE}."
    errors.resolve(kernel, BOOKED)
    assert new(kernel) == []
    kernel.clock.shift(60)
    make_failure(kernel)
    count_failures(kernel)
    (back,) = new(kernel)
    assert "has come back" in sentence(Words("en"), back, kernel.clock.now())


def test_error_is_new_for_a_day_however_often_it_comes(kernel: Kernel) -> None:
    make_error(kernel)
    with kernel.write() as connection:
        before = kernel.clock.now() - NEW
        connection.execute(update(ERRORS).values(new_at=before, first_seen=before))
    make_error(kernel)
    assert new(kernel) == []


def test_what_a_handler_refuses_is_no_new_error(kernel: Kernel) -> None:
    make_refusal(kernel)
    count_failures(kernel)
    assert listed(kernel) == [REFUSED]
    assert new(kernel) == []
