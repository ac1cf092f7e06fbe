"""T4: which lanes have due deliveries, and who claims them. On SQLite and on MariaDB."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import event

from kernel.db.tables.operating.pauses import Pause
from kernel.delivery.attempt import DueDelivery
from kernel.delivery.breakers import Target
from kernel.delivery.claim import claim_due, due_lanes
from kernel.runtime.kernel import Kernel
from kernel.testing import drain
from tests.support.factories import delivery, make_delivery, make_order
from tests.support.waiting import wait_until


def claim(kernel: Kernel, count: int = 50) -> list[DueDelivery]:
    """Claim up to ``count`` of each lane."""
    return [*claim_due(kernel, dict.fromkeys(due_lanes(kernel), count)).deliveries]


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


def test_delivery_is_due_again_when_its_sender_process_died(kernel: Kernel) -> None:
    make_delivery(kernel)
    assert len(claim(kernel)) == 1
    assert claim(kernel) == []
    kernel.clock.shift(60)
    assert [due.attempt for due in claim(kernel)] == [2]


def test_lanes_tell_first_attempts_from_retries_when_both_are_due(kernel: Kernel) -> None:
    make_delivery(kernel, tries=3, is_retry=True)
    make_delivery(kernel)
    make_delivery(kernel, origin="https://other.example:443")
    lanes = {(lane.is_retry, lane.origin) for lane in due_lanes(kernel)}
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
    assert found.seen == {Target(1, "https://receiver.example:443"): 2}


def test_drain_sends_everything_when_it_goes_to_very_many_receivers(kernel: Kernel) -> None:
    for number in range(502):  # SQLite unites 500 questions at the most
        make_delivery(kernel, origin=f"https://receiver-{number}.example:443")
    assert drain(kernel) == 502


def test_claim_says_what_it_saw_when_a_rival_was_first(kernel: Kernel) -> None:
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
        connection.exec_driver_sql("ANALYZE TABLE kernel_deliveries")
        plan = connection.exec_driver_sql("EXPLAIN " + statement, parameters).one()
    assert "index for group-by" in plan.Extra


def test_first_attempt_is_due_when_the_clock_was_set_back_since(kernel: Kernel) -> None:
    made = make_delivery(kernel)
    kernel.clock.shift(-3600)
    assert [due.id for due in claim(kernel)] == [made]
    assert claim(kernel) == []


def test_delivery_is_not_claimed_twice_when_the_clock_is_set_forward(kernel: Kernel) -> None:
    in_flight, waiting = make_delivery(kernel), make_delivery(kernel, is_retry=True)
    assert len(claim_due(kernel, {due_lanes(kernel)[0]: 1}).deliveries) == 1
    kernel.clock.shift(3600)
    shares = dict.fromkeys(due_lanes(kernel), 50)
    claimed = {due.id for due in claim_due(kernel, shares, patience=30.0).deliveries}
    assert len(claimed) == 1
    assert claimed < {in_flight, waiting}


def test_claims_that_ran_out_are_taken_over_when_the_clock_was_steady(kernel: Kernel) -> None:
    make_delivery(kernel)
    assert len(claim(kernel)) == 1
    kernel.clock.shift(60)
    wait_until(lambda: kernel.clock.is_steady_for(0.2))
    shares = dict.fromkeys(due_lanes(kernel), 50)
    assert len(claim_due(kernel, shares, patience=0.2).deliveries) == 1
