"""T4 and T5: claim, POST, record. On SQLite and on MariaDB, with a FakeTransport."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import event, select
from standardwebhooks.webhooks import Webhook

from kernel.db.tables.callers import Caller, SigningSecret
from kernel.db.tables.deliveries import Attempt, Pause
from kernel.delivery.attempt import DueDelivery, attempt
from kernel.delivery.claim import claim_due, due_lanes
from kernel.delivery.record import record
from kernel.delivery.redeliver import redeliver
from kernel.runtime.kernel import Kernel
from kernel.testing import FakeTransport, drain
from kernel.transport.backoff import Delivered
from tests.support.factories import delivery, make_delivery, make_order


def answer(kernel: Kernel, *answers: int | str) -> FakeTransport:
    """Script the receiver."""
    transport = kernel.transport
    assert isinstance(transport, FakeTransport)
    transport.answers = list(answers)
    return transport


def claim(kernel: Kernel, count: int = 50) -> list[DueDelivery]:
    """Claim up to ``count`` of each lane."""
    return [*claim_due(kernel, dict.fromkeys(due_lanes(kernel), count)).deliveries]


def deliver_due(kernel: Kernel) -> int:
    """Claim, send and record what is due now; return how many."""
    finished = [attempt(kernel, due) for due in claim(kernel)]
    if finished:
        record(kernel, finished)
    return len(finished)


def attempts(kernel: Kernel) -> list[tuple[int, int | None, str | None]]:
    """Number, status and reason of every attempt."""
    with kernel.read_session() as session:
        rows = session.scalars(select(Attempt).order_by(Attempt.id))
        return [(row.number, row.status, row.reason) for row in rows]


def test_delivery_is_delivered_when_the_receiver_answers_2xx(kernel: Kernel) -> None:
    delivery_id = make_delivery(kernel)
    deliver_due(kernel)
    found = delivery(kernel, delivery_id)
    assert (found.state, found.attempt, found.claim_token) == ("delivered", 1, None)
    assert attempts(kernel) == [(1, 200, None)]


def test_callback_is_verified_by_the_reference_library_when_sent(kernel: Kernel) -> None:
    delivery_id = make_delivery(kernel)
    deliver_due(kernel)
    with kernel.read_session() as session:
        secret = session.scalars(select(SigningSecret.secret)).one()
    sent = answer(kernel, 200).sent[0]
    assert Webhook(secret).verify(sent.body, dict(sent.headers)) == {"status": 0}
    assert sent.headers["webhook-id"] == delivery_id


@pytest.mark.parametrize(
    ("scripted", "status", "reason"),
    [(503, 503, "http_5xx"), (404, 404, "http_4xx"), ("timeout", None, "timeout")],
)
def test_delivery_is_due_again_when_an_attempt_fails(
    kernel: Kernel, scripted: int | str, status: int | None, reason: str
) -> None:
    answer(kernel, scripted, 200)
    delivery_id = make_delivery(kernel)
    assert (deliver_due(kernel), deliver_due(kernel)) == (1, 0)
    kernel.clock.shift(120)
    assert deliver_due(kernel) == 1
    assert attempts(kernel) == [(1, status, reason), (2, 200, None)]
    assert delivery(kernel, delivery_id).state == "delivered"


def test_attempts_carry_the_same_id_and_bytes_when_repeated(kernel: Kernel) -> None:
    transport = answer(kernel, 500, 200)
    make_delivery(kernel)
    deliver_due(kernel)
    kernel.clock.shift(60)
    deliver_due(kernel)
    first, second = transport.sent
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]


def test_delivery_is_dead_when_the_receiver_is_gone(kernel: Kernel) -> None:
    answer(kernel, 410)
    delivery_id = make_delivery(kernel)
    deliver_due(kernel)
    assert delivery(kernel, delivery_id).state == "dead"


def test_nothing_is_lost_when_the_receiver_is_down_for_four_days(kernel: Kernel) -> None:
    answer(kernel, "connect")
    delivery_id = make_delivery(kernel)
    for _ in range(60):
        deliver_due(kernel)
        kernel.clock.shift(7200)
    assert delivery(kernel, delivery_id).state == "dead"
    answer(kernel, 200)
    assert redeliver(kernel, None, delivery_id)
    deliver_due(kernel)
    assert delivery(kernel, delivery_id).state == "delivered"


def test_delivery_arrives_when_the_receiver_was_down_for_an_hour(kernel: Kernel) -> None:
    answer(kernel, "connect")
    delivery_id = make_delivery(kernel)
    for _ in range(60):
        deliver_due(kernel)
        kernel.clock.shift(60)
    answer(kernel, 200)
    kernel.clock.shift(2.2 * 3600)  # the schedule's next pause, and its jitter
    deliver_due(kernel)
    assert delivery(kernel, delivery_id).state == "delivered"


def test_claims_never_share_an_attempt_when_made_at_once(kernel: Kernel) -> None:
    made = {make_delivery(kernel) for _ in range(30)}
    claimed: list[str] = []

    def rival() -> None:
        claimed.extend(due.id for due in claim(kernel, 20))

    threads = [threading.Thread(target=rival) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(claimed) == len(set(claimed))
    assert set(claimed) | {due.id for due in claim(kernel)} == made


def test_delivery_is_due_again_when_its_sender_died(kernel: Kernel) -> None:
    make_delivery(kernel)
    assert len(claim(kernel)) == 1
    assert claim(kernel) == []
    kernel.clock.shift(60)
    assert [due.attempt for due in claim(kernel)] == [2]


def test_delivered_stays_delivered_when_a_late_attempt_fails(kernel: Kernel) -> None:
    answer(kernel, 500, 200)
    delivery_id = make_delivery(kernel)
    late = [attempt(kernel, due) for due in claim(kernel)]
    kernel.clock.shift(60)
    deliver_due(kernel)
    record(kernel, late)
    assert delivery(kernel, delivery_id).state == "delivered"
    assert len(attempts(kernel)) == 2


def test_lanes_tell_first_attempts_from_retries_when_both_are_due(kernel: Kernel) -> None:
    make_delivery(kernel, tries=3, late=True)
    make_delivery(kernel)
    make_delivery(kernel, origin="https://other.example:443")
    lanes = {(lane.late, lane.origin) for lane in due_lanes(kernel)}
    first = "https://receiver.example:443"
    assert lanes == {(True, first), (False, first), (False, "https://other.example:443")}


def test_claims_leave_other_lanes_alone_when_one_is_named(kernel: Kernel) -> None:
    hanging = make_delivery(kernel, origin="https://hangs.example:443")
    other = make_delivery(kernel)
    lane = next(one for one in due_lanes(kernel) if "receiver" in one.origin)
    assert [due.id for due in claim_due(kernel, {lane: 5}).deliveries] == [other]
    assert delivery(kernel, hanging).attempt == 0


@pytest.mark.parametrize(("ahead", "claimed"), [(1, [0, 1]), (2, [2, 3]), (3, [3, 4]), (9, [3, 4])])
def test_claim_takes_the_last_that_it_sees_when_it_looks_ahead(
    kernel: Kernel, ahead: int, claimed: list[int]
) -> None:
    first = kernel.clock.now() - timedelta(minutes=1)
    ids = [
        make_delivery(kernel, next_attempt_at=first + timedelta(seconds=place))
        for place in range(5)
    ]
    found = claim_due(kernel, dict.fromkeys(due_lanes(kernel), 2), ahead)
    assert {due.id for due in found.deliveries} == {ids[place] for place in claimed}
    assert found.seen == {"https://receiver.example:443": 2}


def test_drain_sends_everything_when_it_goes_to_very_many_receivers(kernel: Kernel) -> None:
    for number in range(502):  # SQLite unites 500 questions at the most
        make_delivery(kernel, origin=f"https://receiver-{number}.example:443")
    assert drain(kernel) == 502


def test_claim_says_what_it_saw_when_somebody_else_was_first(kernel: Kernel) -> None:
    ids = [make_delivery(kernel) for _ in range(2)]
    lanes, rival = dict.fromkeys(due_lanes(kernel), 5), []

    def be_first(_: object, __: object, statement: str, *___: object) -> None:
        if "signing_secrets" in statement and not rival:
            rival.append(None)  # from here on this listener has nothing to do
            rival[:] = claim_due(kernel, lanes).deliveries

    event.listen(kernel.engines.single, "before_cursor_execute", be_first)
    found = claim_due(kernel, lanes)
    assert {due.id for due in rival} == set(ids)
    assert (found.deliveries, found.seen.total()) == ([], 2)


@pytest.mark.parametrize(
    "paused", [{"host": "receiver.example"}, {"host": "receiver.example:443"}, {"caller_id": 1}]
)
def test_nothing_is_sent_when_an_origin_or_a_caller_is_paused(
    kernel: Kernel, paused: dict[str, object]
) -> None:
    make_delivery(kernel)
    with kernel.write_session() as session:
        session.add(Pause(created_at=kernel.clock.now(), **paused))
    assert due_lanes(kernel) == []


def test_callback_carries_the_callers_headers_when_it_has_some(kernel: Kernel) -> None:
    with kernel.write_session() as session:
        session.get_one(Caller, 1).headers = '{"X-Api-Key": "hidden"}'
    make_delivery(kernel)
    due = claim(kernel)[0]
    attempt(kernel, due)
    assert answer(kernel, 200).sent[0].headers["X-Api-Key"] == "hidden"
    assert "hidden" not in repr(due)


def test_retry_follows_the_callers_schedule_when_it_has_one(kernel: Kernel) -> None:
    with kernel.write_session() as session:
        session.get_one(Caller, 1).schedule = "[1000]"
    answer(kernel, 500)
    delivery_id = make_delivery(kernel)
    deliver_due(kernel)
    pause = (delivery(kernel, delivery_id).next_attempt_at - kernel.clock.now()).total_seconds()
    assert 990 < pause < 1101


def test_lanes_are_found_by_index_jumps_when_many_deliveries_wait(
    make_kernel: Callable[..., Kernel], mariadb_rows_url: str
) -> None:
    kernel = make_kernel(mariadb_rows_url)
    now = kernel.clock.now()
    order_id = make_order(kernel, state="success", finished_at=now)
    for _ in range(400):
        make_delivery(kernel, order_id)
    seen: list[str] = []
    event.listen(
        kernel.engines.single, "before_cursor_execute", lambda *call: seen.append(call[2:4])
    )
    due_lanes(kernel)
    statement, parameters = next(one for one in seen if "GROUP BY" in one[0])
    with kernel.engine.connect() as connection:
        connection.exec_driver_sql("ANALYZE TABLE deliveries")
        plan = connection.exec_driver_sql("EXPLAIN " + statement, parameters).one()
    assert "index for group-by" in plan.Extra


def test_redeliver_changes_nothing_when_an_attempt_is_in_flight(kernel: Kernel) -> None:
    delivery_id = make_delivery(kernel)
    in_flight = claim(kernel)
    assert not redeliver(kernel, None, delivery_id)
    record(kernel, [attempt(kernel, due) for due in in_flight])
    assert redeliver(kernel, None, delivery_id)


def test_redelivered_callback_keeps_its_id_when_sent_again(kernel: Kernel) -> None:
    delivery_id = make_delivery(kernel)
    deliver_due(kernel)
    redeliver(kernel, None, delivery_id)
    deliver_due(kernel)
    sent = answer(kernel, 200).sent
    assert [one.headers["webhook-id"] for one in sent] == [delivery_id, delivery_id]
    assert [number for number, *_ in attempts(kernel)] == [1, 2]


def test_record_commits_once_when_many_attempts_finished(kernel: Kernel) -> None:
    for _ in range(20):
        make_delivery(kernel)
    finished = [attempt(kernel, due) for due in claim(kernel)]
    commits: list[None] = []
    event.listen(kernel.engine, "commit", lambda connection: commits.append(None))
    record(kernel, finished)
    assert (len(finished), len(commits)) == (20, 1)
    assert all(one.verdict == Delivered() for one in finished)
