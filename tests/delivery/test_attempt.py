"""An attempt and T5: POST, judge, record. On SQLite and on MariaDB, with a FakeTransport."""

import logging
from collections.abc import Callable

import pytest
from sqlalchemy import event, select
from standardwebhooks.webhooks import Webhook

from kernel.db.tables.callers import Caller
from kernel.db.tables.deliveries import Attempt
from kernel.delivery.attempt import attempt
from kernel.delivery.record import record
from kernel.delivery.redeliver import redeliver
from kernel.runtime.kernel import Kernel
from kernel.runtime.metrics import ATTEMPTS_MADE
from kernel.testing import FakeTransport, Sent
from kernel.transport.backoff import Delivered
from kernel.transport.client import Response
from tests.delivery.test_claim import claim
from tests.support.factories import delivery, make_delivery
from tests.support.sealing import signing_secrets


def answer(kernel: Kernel, *answers: int | str | Callable[[Sent], Response]) -> FakeTransport:
    """Script the receiver."""
    transport = kernel.transport
    assert isinstance(transport, FakeTransport)
    transport.answers = list(answers)
    return transport


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
        (secret,) = signing_secrets(session)
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


def test_operator_is_told_when_an_answer_was_not_read_to_its_end(
    kernel: Kernel, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    answer(kernel, lambda _: Response(200, {}, b"", {}, cut="too_large"))
    delivery_id = make_delivery(kernel)
    deliver_due(kernel)
    assert delivery(kernel, delivery_id).state == "delivered"
    assert "callback answered, but not to its end: too_large" in caplog.messages


def broken(_: Sent) -> Response:
    """A bug of ours in sending."""
    raise KeyError("ours")


def test_bug_of_ours_ends_an_attempt_that_is_seen_and_tried_again(
    kernel: Kernel, caplog: pytest.LogCaptureFixture
) -> None:
    answer(kernel, broken, 200)
    delivery_id = make_delivery(kernel)
    assert (deliver_due(kernel), deliver_due(kernel)) == (1, 0)
    assert "KeyError: 'ours'" in caplog.text
    kernel.clock.shift(10)
    deliver_due(kernel)
    assert attempts(kernel) == [(1, None, "internal"), (2, 200, None)]
    assert delivery(kernel, delivery_id).state == "delivered"


def test_delivery_is_dead_when_a_bug_of_ours_stays(kernel: Kernel) -> None:
    answer(kernel, broken)
    delivery_id = make_delivery(kernel)
    for _ in range(30):
        deliver_due(kernel)
        kernel.clock.shift(86_400 / 2)
    found = delivery(kernel, delivery_id)
    assert (found.state, found.died_of) == ("dead", "deadline")
    assert len(attempts(kernel)) < 15


@pytest.mark.parametrize("reason", ["no_room", "proxy"])
def test_lack_of_ours_costs_no_attempt_and_puts_the_delivery_off(
    kernel: Kernel, reason: str
) -> None:
    answer(kernel, reason, reason, 200)
    delivery_id = make_delivery(kernel)
    for _ in range(2):
        assert (deliver_due(kernel), deliver_due(kernel)) == (1, 0)
        found = delivery(kernel, delivery_id)
        assert (found.state, found.tries, found.attempt) == ("pending", 0, 0)
        assert (found.claim_token, attempts(kernel)) == (None, [])
        kernel.clock.shift(10)
    deliver_due(kernel)
    assert attempts(kernel) == [(1, 200, None)]
    counted = kernel.metrics.snapshot()
    assert counted[ATTEMPTS_MADE.name, (reason,)] == [2.0]
    assert counted[ATTEMPTS_MADE.name, ("delivered",)] == [1.0]


def test_lack_of_ours_changes_nothing_when_the_claim_has_run_out(kernel: Kernel) -> None:
    answer(kernel, "no_room", 200)
    delivery_id = make_delivery(kernel)
    finished = [attempt(kernel, due) for due in claim(kernel)]
    kernel.clock.shift(120)
    deliver_due(kernel)
    record(kernel, finished)
    found = delivery(kernel, delivery_id)
    assert (found.state, found.attempt) == ("delivered", 2)


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


def test_delivered_stays_delivered_when_a_late_attempt_fails(kernel: Kernel) -> None:
    answer(kernel, 500, 200)
    delivery_id = make_delivery(kernel)
    late = [attempt(kernel, due) for due in claim(kernel)]
    kernel.clock.shift(60)
    deliver_due(kernel)
    record(kernel, late)
    assert delivery(kernel, delivery_id).state == "delivered"
    assert len(attempts(kernel)) == 2


def test_callback_carries_no_header_that_an_older_release_kept_with_its_caller(
    kernel: Kernel,
) -> None:
    """Such a secret went wherever an order said."""
    with kernel.write_session() as session:
        session.get_one(Caller, 1).headers = '{"X-Api-Key": "hidden"}'
    make_delivery(kernel)
    attempt(kernel, claim(kernel)[0])
    assert "hidden" not in answer(kernel, 200).sent[0].headers.values()


def test_retry_follows_the_callers_schedule_when_it_has_one(kernel: Kernel) -> None:
    with kernel.write_session() as session:
        session.get_one(Caller, 1).schedule = "[1000]"
    answer(kernel, 500)
    delivery_id = make_delivery(kernel)
    deliver_due(kernel)
    pause = (delivery(kernel, delivery_id).next_attempt_at - kernel.clock.now()).total_seconds()
    assert 990 < pause < 1101


@pytest.mark.parametrize("schedule", ["[NaN]", "[Infinity]", "[1e+300]", "[]", '["5"]', "5"])
def test_attempt_is_recorded_when_its_callers_schedule_makes_no_sense(
    kernel: Kernel, schedule: str
) -> None:
    delivery_id = make_delivery(kernel)
    with kernel.write_session() as session:
        session.get_one(Caller, 1).schedule = schedule
    answer(kernel, 500)
    assert deliver_due(kernel) == 1
    assert attempts(kernel) == [(1, 500, "http_5xx")]
    assert delivery(kernel, delivery_id).claim_token is None


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
