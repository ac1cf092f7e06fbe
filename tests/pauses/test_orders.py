"""Orders of a paused tag or caller do not begin: they wait, and go on in their order."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import delete

from kernel.callers import keys
from kernel.callers.identity import Identity, find
from kernel.db.tables.gates import GATES
from kernel.db.tables.operating.pauses import PAUSES
from kernel.errors import NotFound, RequestRefused
from kernel.formats.order_request import order_request
from kernel.orders.cancel import cancel
from kernel.orders.due import due_orders, next_orders, oldest_due
from kernel.orders.gates.limits import known
from kernel.orders.gates.shown import gate_shown
from kernel.orders.submit import submit
from kernel.pauses.changes import pause, resume
from kernel.pauses.listing import holding_order
from kernel.pauses.orders import HELD_BY_SWEEP, hold_orders, release_orders
from kernel.pauses.subjects import Subject
from kernel.runs.claim import Batch
from kernel.runs.execute import execute
from kernel.runtime.kernel import Kernel
from kernel.testing import drain
from kernel.worker.maintenance.prune import prune
from tests.support.factories import order as stored
from tests.support.factories import rows
from tests.support.paused import ANYBODYS, WORK, handlers, quiet, state, sweep, waits_for


@pytest.fixture
def kernel(
    make_kernel: Callable[..., Kernel], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> Kernel:
    monkeypatch.setattr(known, "KNOWN_SECONDS", 0.0)
    return make_kernel(database_url, handlers)


@pytest.mark.parametrize("subject", [WORK, ANYBODYS])
def test_order_waits_while_it_is_paused_and_goes_on(kernel: Kernel, subject: Subject) -> None:
    first = quiet(kernel)
    assert pause(kernel, subject) == (1, [])
    later = quiet(kernel)
    assert [execute(kernel, one) for one in (first, later)] == [None, None]
    assert (due_orders(kernel, 10), next_orders(kernel, 10, 0)) == ([], [])
    sweep(kernel)
    said = "paused:tag:work" if subject is WORK else "paused:caller:1"
    assert [waits_for(kernel, one) for one in (first, later)] == [said, said]
    assert [state(kernel, one) for one in (first, later)] == ["waiting", "waiting"]
    with kernel.read_session() as session:
        assert oldest_due(kernel, session) is None
        assert gate_shown(session, stored(kernel, first))["waiting_for"] == said
        holding = holding_order(session, stored(kernel, first))
    assert holding is not None
    assert (holding.subject, holding.until) == (subject, None)
    resumed = resume(kernel, subject)
    assert (resumed.number, set(resumed.woken)) == (2, {first, later})
    drain(kernel)
    assert [state(kernel, one) for one in (first, later)] == ["success", "success"]


def test_orders_of_others_begin_meanwhile(kernel: Kernel) -> None:
    with kernel.write_session() as session:
        keys.add(session, "zammad", kernel.clock.now())
        caller_id = find(session, "zammad").id
    pause(kernel, WORK)
    pause(kernel, Subject(orders_of=caller_id))
    paused, others = quiet(kernel), quiet(kernel, "other")
    request = order_request({"select_tag": "other", "callback_url": None}, kernel.handlers)
    of_caller = submit(kernel, Identity(caller_id, "zammad"), request).order_id
    drain(kernel)
    found = [state(kernel, one) for one in (paused, of_caller, others)]
    assert found == ["pending", "pending", "success"]


def test_handler_is_not_told_that_it_has_waited(kernel: Kernel) -> None:
    pause(kernel, WORK)
    paused = quiet(kernel)
    sweep(kernel)
    resume(kernel, WORK)
    drain(kernel)
    assert stored(kernel, paused).result == '{"which":"","waited":false}'


def test_orders_go_on_in_the_order_in_which_they_were_due(kernel: Kernel) -> None:
    pause(kernel, ANYBODYS)
    ids = [quiet(kernel, which=str(n)) for n in range(7)]
    later = quiet(kernel, not_before=None, which="7")
    hold_orders(kernel, 3)  # the first sweep has not come to all of them
    hold_orders(kernel, HELD_BY_SWEEP)
    resume(kernel, ANYBODYS)
    assert due_orders(kernel, 20) == [*ids, later]


def test_paused_order_is_cancelled_at_once(kernel: Kernel) -> None:
    pause(kernel, WORK)
    held, not_yet = quiet(kernel), quiet(kernel)
    hold_orders(kernel, 1)
    for one in (held, not_yet):
        assert cancel(kernel, None, one) == "cancelled"
    sweep(kernel)
    assert resume(kernel, WORK).number == 0


def test_order_that_runs_is_not_interrupted(kernel: Kernel) -> None:
    running = quiet(kernel)
    with kernel.run_connection() as connection:
        claimed = Batch(kernel, connection, [running]).claim()
        assert claimed is not None
    pause(kernel, WORK)
    sweep(kernel)
    assert state(kernel, running) == "running"


@pytest.mark.parametrize(("first", "other"), [(WORK, ANYBODYS), (ANYBODYS, WORK)])
def test_other_pause_holds_what_one_would_let_go(
    kernel: Kernel, first: Subject, other: Subject
) -> None:
    pause(kernel, first)
    ids = [quiet(kernel) for _ in range(3)]
    sweep(kernel)
    pause(kernel, other)
    assert resume(kernel, first) == (0, [])
    said = "paused:tag:work" if other is WORK else "paused:caller:1"
    assert [waits_for(kernel, one) for one in ids] == [said] * 3
    assert [state(kernel, one) for one in ids] == ["waiting"] * 3
    sweep(kernel)
    later = quiet(kernel)
    sweep(kernel)
    assert resume(kernel, other).number == 4
    assert due_orders(kernel, 20) == [*ids, later]


def test_pause_ends_by_itself(kernel: Kernel) -> None:
    held = quiet(kernel)
    pause(kernel, WORK, until=kernel.clock.now() + timedelta(hours=2))
    kernel.clock.shift(7100)
    assert sweep(kernel).rescued == []
    kernel.clock.shift(101)
    assert sweep(kernel).rescued == [held]
    drain(kernel)
    assert state(kernel, held) == "success"
    with pytest.raises(NotFound):
        resume(kernel, WORK)


def test_sweep_lets_go_what_was_marked_after_the_end(kernel: Kernel) -> None:
    # The process that ended the pause died before it let them go.
    held = quiet(kernel)
    pause(kernel, WORK)
    with kernel.write_session() as session:
        session.execute(delete(PAUSES))
    assert release_orders(kernel, 10) == [held]


def test_held_orders_are_let_go_by_parts(kernel: Kernel) -> None:
    pause(kernel, WORK)
    for _ in range(5):
        quiet(kernel)
    assert [hold_orders(kernel, 2).number for _ in range(4)] == [2, 2, 1, 0]
    with kernel.write_session() as session:
        session.execute(delete(PAUSES))
    assert [len(release_orders(kernel, 3)) for _ in range(3)] == [3, 2, 0]


def test_pruned_order_leaves_nothing_of_its_pause(kernel: Kernel) -> None:
    pause(kernel, WORK)
    held = quiet(kernel)
    sweep(kernel)
    cancel(kernel, None, held)
    kernel.clock.shift(400 * 86_400)
    prune(kernel)
    assert [row for row in rows(kernel, GATES) if row.order_id == held] == []


def test_what_is_nothing_cannot_be_paused(kernel: Kernel) -> None:
    with pytest.raises(NotFound):
        pause(kernel, Subject(orders_of=77))
    with pytest.raises(RequestRefused):
        Subject()
    with pytest.raises(RequestRefused):
        Subject(tag="No Tag")
    with pytest.raises(RequestRefused):
        pause(kernel, WORK, until=kernel.clock.now())
