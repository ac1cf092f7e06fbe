"""The facts, read from rows: what is due, what fails, what is paused, what ends soon."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, text, update

from kernel.callers import keys
from kernel.callers.audit.actor import Actor
from kernel.callers.audit.acts import By
from kernel.callers.credentials import ClientCertificate, Credentials
from kernel.callers.identity import find
from kernel.callers.keys import KeyTerms
from kernel.db.dialects import file_url
from kernel.db.ids import new_id
from kernel.db.tables.callers import ApiKey
from kernel.db.tables.deliveries import ATTEMPTS, DELIVERIES
from kernel.delivery.breakers import Target
from kernel.errors import NotFound
from kernel.insight.backlog import backlog
from kernel.insight.conditions.expiring import forget_slow_facts
from kernel.insight.conditions.judge import judge
from kernel.insight.conditions.look import LIMIT, look
from kernel.insight.conditions.rules import Condition
from kernel.insight.conditions.words import Words, sentence
from kernel.insight.state_counts import counts
from kernel.insight.workers import Heartbeat
from kernel.pauses.changes import pause
from kernel.pauses.subjects import Subject
from kernel.runtime.kernel import Kernel
from kernel.schedules import changes as schedules
from kernel.schedules.definition import Definition
from tests.support.certificates import pair
from tests.support.factories import make_delivery, make_order
from tests.support.ticketing import make_receiver

A = "https://receiver.example:443"
DAY = timedelta(days=1)


def works(kernel: Kernel, *broken: Target) -> None:
    """Have a worker be alive."""
    with kernel.write_session() as session:
        now = kernel.clock.now()
        Heartbeat("worker", now).note(session, now, [], broken)


def wrong(kernel: Kernel, broker: int | None = 0) -> dict[str, Condition]:
    forget_slow_facts(kernel)
    return {one.key: one for one in judge(look(kernel, lambda: broker))}


def test_nothing_is_wrong_when_a_worker_lives_and_nothing_waits(kernel: Kernel) -> None:
    works(kernel)
    assert wrong(kernel) == {}


def test_no_worker_is_told_since_the_last_was_seen(kernel: Kernel) -> None:
    works(kernel)
    seen = kernel.clock.now()
    kernel.clock.shift(60)
    found = wrong(kernel, broker=None)
    assert list(found) == ["no_worker", "broker_gone"]
    since = found["no_worker"].since
    assert since is not None
    assert abs(since - seen) < timedelta(seconds=5)


def test_one_order_is_the_oldest_everywhere_when_others_asked_to_wait(kernel: Kernel) -> None:
    works(kernel)
    now = kernel.clock.now()
    make_order(kernel, run_after=now + DAY, not_before=now + DAY)  # accepted first, due tomorrow
    oldest = make_order(kernel, run_after=now - timedelta(minutes=10), reference="INC1")
    make_order(kernel, run_after=now - timedelta(minutes=5))
    found = wrong(kernel)["orders_wait"]
    assert (found.values["order_id"], found.values["reference"]) == (oldest, "INC1")
    assert found.values["due"] == 2
    assert counts(kernel).oldest_id == oldest
    assert abs(found.values["seconds"] - backlog(kernel).orders_due_oldest) < 5
    assert counts(kernel).oldest_at == now - timedelta(minutes=10)


def test_no_order_is_the_oldest_when_all_asked_to_wait(kernel: Kernel) -> None:
    make_order(kernel, run_after=kernel.clock.now() + DAY)
    assert counts(kernel).oldest_id is None
    assert counts(kernel).oldest_at is None


def test_receiver_is_failing_with_the_reason_of_its_last_attempt(kernel: Kernel) -> None:
    works(kernel, Target(1, A))
    owed = make_delivery(kernel, is_retry=True, tries=6)
    post = {"delivery_id": owed, "started_at": kernel.clock.now(), "duration_ms": 9}
    with kernel.write_session() as session:
        for number, reason, status in ((1, "timeout", None), (2, "http_5xx", 503)):
            row = {"number": number, "reason": reason, "status": status}
            session.execute(insert(ATTEMPTS).values(post | row))
    found = wrong(kernel)["receiver_failing"]
    assert (found.subject, found.cause) == (A, "http_5xx")
    assert found.values == {"attempts": 6, "status": 503, "callers": 1}


def test_dead_callbacks_are_told_since_the_first_with_the_cause_of_the_last(
    kernel: Kernel,
) -> None:
    works(kernel)
    now = kernel.clock.now()
    first = now - timedelta(hours=5)
    make_delivery(kernel, state="dead", finished_at=now - 2 * DAY)
    make_delivery(kernel, state="dead", finished_at=now, died_of="dropped")
    make_delivery(kernel, state="dead", finished_at=first, died_of="deadline")
    make_delivery(kernel, state="dead", finished_at=now, died_of="gone")
    found = wrong(kernel)["dead_callbacks"]
    assert (found.since, found.cause, found.values["number"]) == (first, "gone", 2)


def test_dead_callbacks_are_told_when_a_thousand_others_were_dropped(kernel: Kernel) -> None:
    works(kernel)
    now = kernel.clock.now()
    first, dead = now - timedelta(hours=5), {"state": "dead", "died_of": "gone"}
    for at in (first, now - timedelta(hours=3)):
        make_delivery(kernel, **dead, finished_at=at)
    order_id = make_order(kernel, state="success", finished_at=first)
    for at in (first - timedelta(hours=1), now):
        drop(kernel, order_id, at, LIMIT)
    found = wrong(kernel)["dead_callbacks"]
    assert (found.since, found.cause, found.values["number"]) == (first, "gone", 2)


def drop(kernel: Kernel, order_id: str, at: datetime, number: int) -> None:
    """Have so many callbacks of an order be dropped at a moment."""
    row = {"order_id": order_id, "caller_id": 1, "origin": A, "url": f"{A}/", "body": b"{}"}
    row |= {"created_at": at, "next_attempt_at": at, "finished_at": at}
    row |= {"state": "dead", "died_of": "dropped"}
    with kernel.write_session() as session:
        session.execute(insert(DELIVERIES), [row | {"id": new_id(at)} for _ in range(number)])


def test_callbacks_that_a_person_dropped_are_no_trouble(kernel: Kernel) -> None:
    works(kernel)
    make_delivery(kernel, state="dead", finished_at=kernel.clock.now(), died_of="dropped")
    assert wrong(kernel) == {}


def test_pauses_are_notices_with_what_resumes_them(kernel: Kernel) -> None:
    works(kernel)
    until = kernel.clock.now() + timedelta(hours=2)
    by = By(Actor("ann", "cli"), "CHG-4711")
    pause(kernel, Subject(tag="create_project"), until=until, by=by)
    found = wrong(kernel)["paused"]
    assert found.values["resumes"] == {"what": "tag", "of": "create_project"}
    assert found.since is not None
    said = sentence(Words("en"), found, kernel.clock.now())
    when = f"{until:%Y-%m-%d %H:%M} UTC"
    assert said == f"Paused: orders of the tag create_project, by ann, until {when} (CHG-4711)."


def test_recurring_order_is_told_of_when_its_last_time_made_no_order(kernel: Kernel) -> None:
    works(kernel)
    made = Definition("anonymous", "0 2 * * *", "UTC", "create_project", {"projname": "x"})
    schedules.add(kernel, "nightly", made)
    with kernel.write_session() as session:
        session.execute(
            text("UPDATE kernel_schedules SET last_error = 'missed', failed_at = next_at")
        )
    found = wrong(kernel)["schedule_failed"]
    assert (found.subject, found.values["error"]) == ("nightly", "missed")


def key(kernel: Kernel, ends_in: timedelta | None) -> str:
    """Add a key of zammad that ends then; return its prefix."""
    now = kernel.clock.now()
    with kernel.write_session() as session:
        terms = KeyTerms(expires_at=None if ends_in is None else now + ends_in)
        try:
            find(session, "zammad")
        except NotFound:
            made = keys.add(session, "zammad", now, terms=terms)
        else:
            made = keys.add_key(session, "zammad", now, terms)
        assert made.api_key is not None
        return made.api_key.get_secret_value()[:10]


def ending(kernel: Kernel) -> list[str]:
    forget_slow_facts(kernel)
    return [one.name for one in look(kernel).keys]


@pytest.mark.parametrize(("ends_in", "told"), [(DAY, True), (20 * DAY, False), (None, False)])
def test_last_key_of_a_caller_is_told_of_when_it_ends_soon(
    kernel: Kernel, ends_in: timedelta | None, told: bool
) -> None:
    prefix = key(kernel, ends_in)
    assert [one[:10] for one in ending(kernel)] == ([prefix] if told else [])


def test_key_that_was_replaced_is_told_of_only_while_it_is_used(kernel: Kernel) -> None:
    old = key(kernel, DAY)
    key(kernel, None)
    assert ending(kernel) == []
    with kernel.write_session() as session:
        used = update(ApiKey).where(ApiKey.prefix.like(f"{old}%"))
        session.execute(used.values(used_at=kernel.clock.now()))
    assert [one[:10] for one in ending(kernel)] == [old]


def test_certificate_of_a_receiver_is_told_of_when_it_ends_soon(kernel: Kernel) -> None:
    held = Credentials(client_certificate=ClientCertificate(*pair("desk", ends=3 * DAY)))
    make_receiver(kernel, "desk", "https://r1.example", held)
    forget_slow_facts(kernel)
    (found,) = look(kernel).certificates
    assert (found.name, found.of) == ("desk", "anonymous")


def test_database_that_is_ahead_or_behind_is_told_with_both_numbers(kernel: Kernel) -> None:
    for version, expected in (("9999", "schema_ahead"), ("0001", "schema_behind")):
        with kernel.write_session() as session:
            session.execute(text(f"UPDATE kernel_alembic_version SET version_num = '{version}'"))
        assert wrong(kernel)[expected].values["found"] == version


def test_database_file_that_is_missing_is_behind(
    make_kernel: Callable[..., Kernel], tmp_path: Path
) -> None:
    kernel = make_kernel(file_url(tmp_path / "kernel.db"))
    (tmp_path / "kernel.db").unlink()
    assert [one.key for one in judge(look(kernel))] == ["schema_behind"]
