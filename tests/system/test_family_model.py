"""Interleavings of limits, children and batches: the model of `test_gated_model`, with all of them.

All that is said there holds here as well. Beside it, no more orders of a tag run than it has slots,
a child is there exactly once, a parent goes on when its children have ended and not before, and a
batch counts what became of its orders.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule, run_state_machine_as_test

from kernel.db.states import OrderState
from kernel.db.tables.gates import GATES
from kernel.db.tables.limits import SLOTS
from kernel.db.tables.orders import ORDERS
from kernel.formats.order_request import OrderRequest
from kernel.handlers import Handlers, Wait
from kernel.handlers.events import CHILDREN
from kernel.handlers.registering.refusals import BATCH_TAG
from kernel.orders.batches.accept import BatchSubmission, accept_batch
from kernel.orders.cancel import cancel
from kernel.orders.decide import Exit, Why
from kernel.orders.due import due_orders
from kernel.orders.gates.children import with_parent
from kernel.orders.transitions import RunEnd
from kernel.runs.execute import execute
from kernel.runs.fence import undo
from kernel.runs.finish import suspend
from kernel.runtime.kernel import Kernel
from kernel.testing import FakeTransport
from kernel.worker.maintenance.sweep import sweep
from tests.support.factories import ANYBODY, CALLBACK, order, rows
from tests.support.guards import by_night
from tests.support.stepwise_runs import Anything, Running, steps
from tests.system.test_gated_model import Gated

pytestmark = pytest.mark.slow
# How many orders of `limited` may run at once, and how many children there are at the most.
SLOTS_THERE, MOST = 2, 12
ENDED = tuple(state for state in OrderState if state.is_final)
handlers = Handlers()
handlers.register("steps", Anything, max_runs=1000)(steps)
handlers.register("limited", Anything, max_runs=1000, concurrency=SLOTS_THERE)(steps)


@dataclass
class Submitted:
    """Children that a run has submitted, and how many checkpoints it had made by then."""

    running: Running
    checkpoints: int
    ids: list[str]


class Families(Gated):
    """One installation: two of its six orders have a limit, any may have children."""

    def __init__(self, kernel: Kernel, transport: FakeTransport) -> None:
        super().__init__(kernel, transport)
        # Submitted and in no commit yet; by their parents, what is committed.
        self.submitted: list[Submitted] = []
        self.children: dict[str, set[str]] = defaultdict(set)
        self.batches: set[str] = set()
        # Those that wait for their children, at the last look.
        self.waited: set[str] = set()
        # The next process whose order ends dies before it asks for the parent. One that does not
        # hear that its order has ended does not ask for it either: the sweep does.
        self.dies = False
        self.unasked = False

    # The model before sends callbacks, and loses what sends them.
    send_callbacks = record_callbacks = lose_dispatcher = redeliver_callback = None  # type: ignore[assignment]

    @initialize()
    def begin_in_the_middle(self) -> None:
        """Orders wait behind a key, for slots and for children already."""
        for key in "abcdf":
            self.submit_order(key)
        for key, tags in (("a", ["steps"]), ("b", [])):
            self._claim(self.by_key[key])
            if tags:
                self._submit(self.runs[-1], tags, None)
                self._suspend(self.runs[-1], Wait.children())
        self.submit_batch("p", 3)

    def wanted(self, key: str) -> OrderRequest:
        asked = super().wanted(key)
        return replace(asked, select_tag="limited") if key in "bf" else asked

    # ---- callers

    @rule(data=st.data())
    def cancel_what_is_due(self, data: st.DataObject) -> None:
        if due := due_orders(self.kernel, 1000):
            cancel(self.kernel, 1, data.draw(st.sampled_from(sorted(due))))

    @rule(name=st.sampled_from("pq"), count=st.integers(1, 3))
    def submit_batch(self, name: str, count: int) -> None:
        """The same key is the same batch, however often it comes."""
        if name in self.by_key:
            count = len(self.children[self.by_key[name]])
        one = {"callback_url": CALLBACK}
        orders = [
            {"select_tag": "limited" if n else "steps"} | ({"ordering_key": "z"} if n > 1 else {})
            for n in range(count)
        ]
        body = {"orders": [one | each for each in orders], "batch": one}
        accepted = accept_batch(self.kernel, BatchSubmission(ANYBODY, body, name))
        assert accepted.batch_id is not None
        assert self.by_key.setdefault(name, accepted.batch_id) == accepted.batch_id
        self.batches.add(accepted.batch_id)
        ids = {str(item.order_id) for item in accepted.items}
        assert self.children.setdefault(accepted.batch_id, ids) == ids
        self.by_key |= {one: one for one in ids}

    # ---- workers

    @precondition(lambda self: self.runs and sum(map(len, self.children.values())) < MOST)
    @rule(
        data=st.data(), tags=st.lists(st.sampled_from(["steps", "limited"]), min_size=1, max_size=2)
    )
    def make_children(self, data: st.DataObject, tags: list[str]) -> None:
        running = self._any_run(data)
        self._submit(running, tags, data.draw(st.sampled_from([None, "z"])))

    def _submit(self, running: Running, tags: list[str], key: str | None) -> None:
        with self._ending_when_refused(running):
            ids = [running.run.submit(tag, callback_url=CALLBACK, ordering_key=key) for tag in tags]
            self.submitted.append(Submitted(running, running.run.checkpoints, ids))

    @rule(data=st.data())
    def run_what_is_due(self, data: st.DataObject) -> None:
        """A process that nothing happens to."""
        if due := due_orders(self.kernel, 1000):
            execute(self.kernel, data.draw(st.sampled_from(sorted(due))))

    @precondition(lambda self: self.runs)
    @rule(data=st.data())
    def wait_for_children(self, data: st.DataObject) -> None:
        """A run ends and its order waits, unless it has none, or one that waits for it."""
        self._suspend(self._any_run(data), Wait.children())

    @precondition(lambda self: self.runs)
    @rule(data=st.data(), seconds=st.sampled_from([None, 60]))
    def wait_for_event(self, data: st.DataObject, seconds: int | None) -> None:
        """As in the model before, by the way that gives the slot back."""
        until = seconds and self.kernel.clock.now() + timedelta(seconds=seconds)
        self._suspend(self._any_run(data), Wait("approved", until=until or None))

    def _suspend(self, running: Running, wait: Wait) -> None:
        with self._ending_when_refused(running):
            try:
                end = suspend(running.batch, running.claimed, running.run, wait)
            except ValueError:
                undo(running.run)
                self._hand_back(running, Exit(Why.STOPPING))
                self._end(running)
                return
            for one in self.submitted:
                if one.running is running:
                    self._committed(one)
            if wait.what == CHILDREN and end.outcome is None:
                assert end.waits == bool(self._live_children(running.run.order_id))
            self._follow(end)
            self._go_on(running)

    def _live_children(self, parent_id: str) -> list[str]:
        stored = {row.id: row for row in rows(self.kernel, ORDERS)}
        return [one for one in self.children[parent_id] if stored[one].state not in ENDED]

    @rule()
    def die_after_the_next_end(self) -> None:
        """What a process leaves undone that dies between a child's end and the parent's wake."""
        self.dies = True

    def _follow(self, *ends: RunEnd) -> None:
        for end in ends:
            is_unheard = not (end.outcome or end.waits or end.again_in is not None)
            if is_unheard or (end.outcome is not None and self.dies):
                self.unasked, self.dies = True, False
            else:
                with_parent(self.kernel, end)

    def _committed(self, one: Submitted) -> None:
        self.children[one.running.run.order_id] |= set(one.ids)
        self.by_key |= {child: child for child in one.ids}
        one.ids = []

    @rule()
    def sweep_once(self) -> None:
        swept = sweep(self.kernel, rescue=True)
        self.unasked = False
        for order_id, outcome in swept.failed.items():
            if order_id not in self.batches:
                assert outcome.state in ("cancelled", "failed")
            if outcome.state == "failed":
                assert order(self.kernel, order_id).error_code == "expired"

    # ---- what may be there

    @invariant()
    def children_are_there_once_if_their_run_has_committed(self) -> None:
        for one in list(self.submitted):
            run = one.running.run
            if run.checkpoints == one.checkpoints and one.running in self.runs:
                continue
            self.submitted.remove(one)
            parent = order(self.kernel, run.order_id)
            has_finished = parent.state == "success" and parent.run == run.number
            if run.checkpoints > one.checkpoints or has_finished:
                self._committed(one)
        stored = defaultdict(set)
        for gate in rows(self.kernel, GATES):
            if gate.parent_id is not None:
                stored[gate.parent_id].add(gate.order_id)
        assert stored == {parent: ids for parent, ids in self.children.items() if ids}

    @invariant()
    def end_is_the_end(self) -> None:
        self.children_are_there_once_if_their_run_has_committed()
        super().end_is_the_end()

    @invariant()
    def no_more_run_than_there_are_slots(self) -> None:
        stored = {row.id: row for row in rows(self.kernel, ORDERS)}
        slots = rows(self.kernel, SLOTS)
        held = {(slot.order_id, slot.run) for slot in slots if slot.run}
        limited = [row for row in stored.values() if row.select_tag == "limited"]
        running = {(row.id, row.run) for row in limited if row.state == "running"}
        kept = {(row.id, row.run + 1) for row in limited if row.state == "pending"}
        assert len(running) <= SLOTS_THERE
        assert running <= held <= running | kept, "each has a slot, and no ended order has one"
        if any(gate.waiting_for == "limit:limited" for gate in rows(self.kernel, GATES)):
            assert len(held) == len(slots) == SLOTS_THERE, "none waits beside a free slot"

    @invariant()
    def parents_go_on_when_all_children_have_ended(self) -> None:
        stored = {row.id: row for row in rows(self.kernel, ORDERS)}
        waits = {g.order_id for g in rows(self.kernel, GATES) if g.waiting_for == CHILDREN}
        live = {parent for parent in list(self.children) if self._live_children(parent)}
        woken = {one for one in self.waited - waits if stored[one].state != "cancelled"}
        assert not woken & live, "not before"
        assert self.unasked or waits <= live, "and then"
        self.waited = waits

    @invariant()
    def batches_count_what_became_of_their_orders(self) -> None:
        stored = {row.id: row for row in rows(self.kernel, ORDERS)}
        for batch in (row for row in stored.values() if row.select_tag == BATCH_TAG):
            if batch.state in ("success", "warning"):
                found = Counter(stored[one].state for one in self.children[batch.id])
                said = json.loads(batch.result)
                assert said == {"orders": len(self.children[batch.id]), **found}
                assert (batch.state == "success") == (set(found) == {"success"})
            else:
                assert batch.state in ("waiting", "cancelled")

    @invariant()
    def orders_of_a_key_run_one_after_the_other(self) -> None:
        stored = {row.id: row for row in rows(self.kernel, ORDERS)}
        lines: dict[str, list[Any]] = defaultdict(list)
        for gate in sorted(rows(self.kernel, GATES), key=lambda one: one.place or 0):
            if gate.ordering_key and stored[gate.order_id].started_at is not None:
                lines[gate.ordering_key].append(stored[gate.order_id])
        for line in lines.values():
            for before, after in pairwise(line):
                assert before.finished_at is not None
                assert before.finished_at <= after.started_at


def test_rows_agree_when_limits_children_and_batches_come_in_any_order(
    make_kernel: Callable[..., Kernel], database_url: str
) -> None:
    transport = FakeTransport()
    kernel = make_kernel(database_url, handlers, transport=transport)
    run_state_machine_as_test(
        lambda: Families(kernel, transport),
        settings=settings(
            max_examples=by_night(6, 4) if kernel.dialect.is_remote else by_night(20, 10),
            stateful_step_count=40,
            deadline=None,
            database=None,
            phases=[Phase.generate],
        ),
    )
