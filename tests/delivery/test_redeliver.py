"""What people do with deliveries: redeliver, replay, pause, resume. On both databases."""

from datetime import datetime, timedelta

import pytest

from kernel.db.ids import first_id, new_id
from kernel.db.states import DeliveryState
from kernel.delivery.pauses import hold_paused, pause, resume
from kernel.delivery.redeliver import (
    DeliveryFilter,
    count,
    redeliver,
    replay,
    replay_from,
    replay_step,
)
from kernel.errors import NotFound
from kernel.formats.representations import delivery_data
from kernel.runtime.kernel import Kernel
from kernel.testing import drain
from tests.support.factories import delivery, make_delivery, make_order

HOUR = timedelta(hours=1)
OTHER = {"origin": "https://other.example:8443", "url": "https://other.example:8443/"}


def over(kernel: Kernel, state: str = "dead", age: timedelta = HOUR, **values: object) -> str:
    """Make a delivery that ended; return its id."""
    then = kernel.clock.now() - age
    made = {"id": new_id(then), "state": state, "created_at": then, "finished_at": then}
    return make_delivery(kernel, **{**made, **values})


def counted(kernel: Kernel, **wanted: object) -> int:
    """How many a replay would send."""
    with kernel.read_session() as session:
        return count(session, DeliveryFilter(**wanted))  # type: ignore[arg-type]


def test_replay_sends_what_is_over_when_asked_without_a_filter(kernel: Kernel) -> None:
    ids = [over(kernel), over(kernel, "delivered")]
    make_delivery(kernel, state="held")
    assert counted(kernel) == replay(kernel, DeliveryFilter()) == 2
    drain(kernel)
    assert {delivery(kernel, one).state for one in ids} == {"delivered"}
    assert {sent.headers["webhook-id"] for sent in kernel.transport.sent} == set(ids)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"state": DeliveryState.DEAD}, 2),
        ({"host": "other.example"}, 1),
        ({"host": "other.example:8443"}, 1),
        ({"host": "other.example:443"}, 0),
        ({"host": "ther.example"}, 0),
        ({"host": "%"}, 0),
        ({"caller_id": 1}, 3),
        ({"caller_id": 2}, 0),
    ],
)
def test_replay_takes_what_its_filter_says_when_it_has_one(
    kernel: Kernel, wanted: dict[str, object], expected: int
) -> None:
    over(kernel)
    over(kernel, **OTHER)
    over(kernel, "delivered")
    assert counted(kernel, **wanted) == expected
    assert replay(kernel, DeliveryFilter(**wanted)) == expected  # type: ignore[arg-type]


def test_replay_takes_a_range_of_time_when_it_has_one(kernel: Kernel) -> None:
    for age in (1, 3, 5):
        over(kernel, age=age * HOUR)
    now = kernel.clock.now()
    assert counted(kernel, since=now - 4 * HOUR) == 2
    assert counted(kernel, since=now - 4 * HOUR, until=now - 2 * HOUR) == 1


def test_replay_goes_in_batches_when_there_are_many(kernel: Kernel) -> None:
    order_id = make_order(kernel, state="success", finished_at=kernel.clock.now())
    for _ in range(7):
        over(kernel, order_id=order_id)
    told: list[int] = []
    assert replay(kernel, DeliveryFilter(), told.append, batch=3) == 7
    assert told == [3, 6, 7]


def test_replay_step_may_find_nothing_and_not_be_the_last(kernel: Kernel) -> None:
    for age in (3, 2):
        over(kernel, "delivered", age * HOUR)
    dead = over(kernel)
    wanted, found = DeliveryFilter(state=DeliveryState.DEAD), []
    place = replay_from(kernel)
    while place.after is not None:
        made, place = replay_step(kernel, wanted, place, looked_at=2)
        found.append(made)
    assert found == [0, 1]
    assert delivery(kernel, dead).state == "pending"


def test_deliveries_are_held_and_released_when_a_host_is_paused(kernel: Kernel) -> None:
    waiting, other = make_delivery(kernel), make_delivery(kernel, **OTHER)
    assert pause(kernel, host="receiver.example") == 1
    drain(kernel)
    assert [delivery(kernel, one).state for one in (waiting, other)] == ["held", "delivered"]
    assert resume(kernel, host="receiver.example") == 1
    drain(kernel)
    assert delivery(kernel, waiting).state == "delivered"


def test_later_deliveries_are_held_too_when_a_caller_is_paused(kernel: Kernel) -> None:
    pause(kernel, caller_id=1)
    later = make_delivery(kernel)
    drain(kernel)
    assert kernel.transport.sent == []  # type: ignore[attr-defined]
    assert (hold_paused(kernel), delivery(kernel, later).state) == (1, "held")
    assert resume(kernel, caller_id=1) == 1


def test_deliveries_stay_held_when_another_pause_covers_them(kernel: Kernel) -> None:
    held = make_delivery(kernel)
    pause(kernel, caller_id=1)
    pause(kernel, host="receiver.example")
    resume(kernel, host="receiver.example")
    assert delivery(kernel, held).state == "held"


def test_pause_changes_nothing_when_it_is_in_force(kernel: Kernel) -> None:
    make_delivery(kernel)
    assert (pause(kernel, host="receiver.example"), pause(kernel, host="receiver.example")) == (
        1,
        0,
    )


def test_resume_is_refused_when_nothing_is_paused(kernel: Kernel) -> None:
    with pytest.raises(NotFound):
        resume(kernel, host="receiver.example")


def test_redeliver_is_refused_when_the_delivery_is_another_callers(kernel: Kernel) -> None:
    delivery_id = over(kernel)
    with pytest.raises(NotFound):
        redeliver(kernel, 2, delivery_id)


def test_lowest_id_of_a_moment_is_below_every_id_made_then() -> None:
    moment = datetime.fromisoformat("2026-11-21T12:00:00.123+00:00")
    assert first_id(moment) <= new_id(moment)
    assert first_id(moment + timedelta(milliseconds=1)) > new_id(moment)


@pytest.mark.parametrize(
    ("answer", "why"), [(410, "gone"), (404, "client_errors"), ("connect", "deadline")]
)
def test_delivery_says_why_it_is_dead_until_it_is_redelivered(
    kernel: Kernel, answer: int | str, why: str
) -> None:
    kernel.transport.answers = [answer]  # type: ignore[attr-defined]
    delivery_id = make_delivery(kernel)
    for _ in range(60):
        drain(kernel)
        kernel.clock.shift(7200)
    found = delivery(kernel, delivery_id)
    assert (found.state, found.died_of, delivery_data(found)["died_of"]) == ("dead", why, why)
    assert redeliver(kernel, None, delivery_id)
    found = delivery(kernel, delivery_id)
    assert (found.state, found.died_of) == ("pending", None)
    assert "died_of" not in delivery_data(found)
