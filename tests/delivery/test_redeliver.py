"""What people do with deliveries: redeliver, pause, resume. On both databases."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import delete

from kernel.db.ids import first_id, new_id
from kernel.db.tables.operating.pauses import Pause
from kernel.delivery.pauses import hold_paused
from kernel.delivery.redeliver import redeliver
from kernel.errors import NotFound
from kernel.formats.representations import delivery_data
from kernel.pauses.changes import pause, resume
from kernel.pauses.subjects import Subject
from kernel.runtime.kernel import Kernel
from kernel.testing import drain
from kernel.worker.maintenance.job import Swept
from kernel.worker.maintenance.paused import hold_deliveries
from tests.support.factories import delivery, make_delivery

HOUR = timedelta(hours=1)
OTHER = {"origin": "https://other.example:8443", "url": "https://other.example:8443/"}


def over(kernel: Kernel, state: str = "dead", age: timedelta = HOUR, **values: object) -> str:
    """Make a delivery that ended; return its id."""
    then = kernel.clock.now() - age
    made = {"id": new_id(then), "state": state, "created_at": then, "finished_at": then}
    return make_delivery(kernel, **{**made, **values})


def test_deliveries_are_held_and_released_when_a_host_is_paused(kernel: Kernel) -> None:
    waiting, other = make_delivery(kernel), make_delivery(kernel, **OTHER)
    assert pause(kernel, Subject(host="receiver.example")).number == 1
    drain(kernel)
    assert [delivery(kernel, one).state for one in (waiting, other)] == ["held", "delivered"]
    assert resume(kernel, Subject(host="receiver.example")).number == 1
    drain(kernel)
    assert delivery(kernel, waiting).state == "delivered"


def test_later_deliveries_are_held_too_when_a_caller_is_paused(kernel: Kernel) -> None:
    pause(kernel, Subject(caller_id=1))
    later = make_delivery(kernel)
    drain(kernel)
    assert kernel.transport.sent == []  # type: ignore[attr-defined]
    assert (hold_paused(kernel), delivery(kernel, later).state) == (1, "held")
    assert resume(kernel, Subject(caller_id=1)).number == 1


def test_deliveries_stay_held_when_another_pause_covers_them(kernel: Kernel) -> None:
    held = make_delivery(kernel)
    pause(kernel, Subject(caller_id=1))
    pause(kernel, Subject(host="receiver.example"))
    resume(kernel, Subject(host="receiver.example"))
    assert delivery(kernel, held).state == "held"


def test_pause_changes_nothing_when_it_is_in_force(kernel: Kernel) -> None:
    make_delivery(kernel)
    assert (
        pause(kernel, Subject(host="receiver.example")).number,
        pause(kernel, Subject(host="receiver.example")).number,
    ) == (
        1,
        0,
    )


def test_sweep_lets_go_what_is_held_when_no_pause_holds_it_any_more(kernel: Kernel) -> None:
    # A sweep that had read the pause held them after it was ended; or its resume was cut short.
    ids = [make_delivery(kernel), make_delivery(kernel, **OTHER)]
    pause(kernel, Subject(caller_id=1))
    pause(kernel, Subject(host="other.example"))
    with kernel.write_session() as session:
        session.execute(delete(Pause).where(Pause.caller_id == 1))
    hold_deliveries(kernel, Swept())
    assert [delivery(kernel, one).state for one in ids] == ["pending", "held"]


def test_resume_is_refused_when_nothing_is_paused(kernel: Kernel) -> None:
    with pytest.raises(NotFound):
        resume(kernel, Subject(host="receiver.example"))


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
