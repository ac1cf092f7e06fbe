"""Paused orders that have a key, a window, a limit, children or a batch, or wait for an event."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from kernel.db.tables.gates import GATES
from kernel.db.tables.limits import SLOTS
from kernel.orders.batches.accept import BatchSubmission, accept_batch
from kernel.orders.cancel import cancel
from kernel.orders.gates.events import Told, tell
from kernel.orders.gates.limits import known
from kernel.pauses.changes import pause, resume
from kernel.pauses.subjects import Subject
from kernel.runtime.kernel import Kernel
from kernel.testing import drain
from kernel.worker.maintenance.gates.windows import expire_orders
from kernel.worker.maintenance.job import Swept
from tests.support.factories import ANYBODY, rows
from tests.support.factories import order as stored
from tests.support.paused import ANYBODYS, WORK, handlers, quiet, slot_kept, state, sweep, waits_for


@pytest.fixture
def kernel(
    make_kernel: Callable[..., Kernel], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> Kernel:
    monkeypatch.setattr(known, "KNOWN_SECONDS", 0.0)
    return make_kernel(database_url, handlers)


def test_orders_of_one_key_keep_their_places(kernel: Kernel) -> None:
    ids = [quiet(kernel, ordering_key="acme", which=str(n)) for n in range(3)]
    pause(kernel, WORK)
    assert [waits_for(kernel, one) for one in ids] == [
        "paused:tag:work",
        "ordering_key",
        "ordering_key",
    ]
    fourth = quiet(kernel, ordering_key="acme")
    cancel(kernel, None, ids[0])  # the next has the turn now, and is held like the first
    sweep(kernel)
    assert waits_for(kernel, ids[1]) == "paused:tag:work"
    resume(kernel, WORK)
    drain(kernel)
    found = [stored(kernel, one) for one in (*ids[1:], fourth)]
    assert [one.state for one in found] == ["success"] * 3
    assert [one.finished_at for one in found] == sorted(one.finished_at for one in found)  # type: ignore[type-var]


def test_paused_order_expires(kernel: Kernel) -> None:
    pause(kernel, WORK)
    late = quiet(kernel, not_after=_in(kernel, 60))
    sweep(kernel)
    assert waits_for(kernel, late) == "paused:tag:work"
    kernel.clock.shift(61)
    expire_orders(kernel, Swept())
    assert stored(kernel, late).error_code == "expired"


def _in(kernel: Kernel, seconds: float) -> str:
    return (kernel.clock.now() + timedelta(seconds=seconds)).isoformat()


def test_order_that_opens_later_is_held_when_it_opens(kernel: Kernel) -> None:
    opens = quiet(kernel, not_before=_in(kernel, 60))
    pause(kernel, WORK)
    sweep(kernel)
    assert state(kernel, opens) == "pending"
    kernel.clock.shift(61)
    sweep(kernel)
    assert waits_for(kernel, opens) == "paused:tag:work"
    resume(kernel, WORK)
    drain(kernel)
    assert state(kernel, opens) == "success"


def test_retry_is_held_when_it_is_due(kernel: Kernel) -> None:
    again = quiet(kernel, tries=1)
    drain(kernel)
    pause(kernel, WORK)
    kernel.clock.shift(61)
    sweep(kernel)
    assert waits_for(kernel, again) == "paused:tag:work"
    resume(kernel, WORK)
    drain(kernel)
    assert state(kernel, again) == "success"


def test_running_order_goes_on_and_its_next_run_is_held(kernel: Kernel) -> None:
    asking = quiet(kernel, "asks")
    drain(kernel)
    pause(kernel, Subject(tag="asks"))
    assert waits_for(kernel, asking) == "event:approved"
    tell(kernel, asking, Told("approved"))
    drain(kernel)
    assert state(kernel, asking) == "pending"
    sweep(kernel)
    assert waits_for(kernel, asking) == "paused:tag:asks"
    resume(kernel, Subject(tag="asks"))
    drain(kernel)
    assert state(kernel, asking) == "success"


def test_parent_waits_for_children_that_are_paused(kernel: Kernel) -> None:
    pause(kernel, WORK)
    above = quiet(kernel, "parent")
    drain(kernel)
    sweep(kernel)
    (child,) = (row.order_id for row in rows(kernel, GATES) if row.parent_id == above)
    assert (waits_for(kernel, child), waits_for(kernel, above)) == ("paused:tag:work", "children")
    resume(kernel, WORK)
    drain(kernel)
    assert [state(kernel, one) for one in (child, above)] == ["success", "success"]


def test_batch_ends_when_its_paused_orders_have(kernel: Kernel) -> None:
    pause(kernel, ANYBODYS)
    items = [{"select_tag": "work", "callback_url": None, "which": str(n)} for n in range(3)]
    batch = accept_batch(kernel, BatchSubmission(ANYBODY, {"orders": items, "batch": {}}))
    sweep(kernel)
    drain(kernel)
    assert batch.batch_id is not None
    assert state(kernel, batch.batch_id) == "waiting"
    resume(kernel, ANYBODYS)
    drain(kernel)
    assert state(kernel, batch.batch_id) == "success"


def test_slot_that_is_kept_for_a_paused_order_is_given_on(kernel: Kernel) -> None:
    mine, theirs = slot_kept(kernel)
    assert [row.order_id for row in rows(kernel, SLOTS)] == [mine]
    assert pause(kernel, ANYBODYS) == (1, [theirs])
    assert [row.order_id for row in rows(kernel, SLOTS)] == [theirs]
    drain(kernel)
    assert [state(kernel, one) for one in (mine, theirs)] == ["waiting", "success"]
    resume(kernel, ANYBODYS)
    drain(kernel)
    assert state(kernel, mine) == "success"
