"""Interleavings of orders with ordering keys, windows and waits: the model of `test_model`, gated.

All of its rules and of what may be there holds here as well. Beside them, orders of one key come
one at a time in the order in which they were accepted, none begins outside its window, and none is
left waiting for nothing.
"""

from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import select

from kernel.db.states import OrderState
from kernel.db.tables.gates import GATES, KEYS
from kernel.db.tables.orders import ORDERS, SNAPSHOT, OrderSnapshot
from kernel.errors import Conflict
from kernel.formats.order_request import OrderRequest
from kernel.orders.cancel import cancel
from kernel.orders.decide import Exit, Why
from kernel.orders.gates.keys import ORDERING_KEY
from kernel.orders.submit import submit
from kernel.orders.transitions import Waiting, begin_waiting, wake
from kernel.runs.fence import undo
from kernel.runtime.kernel import Kernel
from kernel.testing import FakeTransport
from kernel.worker.maintenance.sweep import sweep
from tests.support.factories import ANYBODY, order, request, rows
from tests.support.stepwise_runs import handlers
from tests.system.test_model import Model

pytestmark = pytest.mark.slow
TOLD = "event:approved"


class Gated(Model):
    """One installation: two orders of it are plain, four have a key, two of these a window."""

    def __init__(self, kernel: Kernel, transport: FakeTransport) -> None:
        super().__init__(kernel, transport)
        self.requests: dict[str, OrderRequest] = {}

    def wanted(self, key: str) -> OrderRequest:
        if key not in self.requests:
            now, gates = self.kernel.clock.now(), dict[str, Any]()
            if key in "bcde":
                gates["ordering_key"] = "x" if key in "bcd" else "y"
            if key in "df":
                gates["not_before"] = now + timedelta(seconds=50)
            if key in "ce":
                gates["not_after"] = now + timedelta(seconds=130)
            self.requests[key] = replace(request("steps"), **gates)
        return self.requests[key]

    # ---- callers

    @rule(key=st.sampled_from("abcdef"))
    def submit_order(self, key: str) -> None:
        accepted = submit(self.kernel, ANYBODY, self.wanted(key), key)
        assert self.by_key.setdefault(key, accepted.order_id) == accepted.order_id

    @precondition(lambda self: len(self.by_key) > 3)
    @rule(data=st.data())
    def cancel_order(self, data: st.DataObject) -> None:
        with suppress(Conflict):
            cancel(self.kernel, 1, self._any_order(data))

    @precondition(lambda self: self.by_key)
    @rule(data=st.data())
    def tell_event(self, data: st.DataObject) -> None:
        """An order that waits for its turn is told nothing that it waits for."""
        only = GATES.c.waiting_for == TOLD
        with self.kernel.write_session() as session:
            wake(self.kernel, session, [self._any_order(data)], only)

    def _any_order(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from(sorted(self.by_key.values())))

    # ---- workers

    @precondition(lambda self: self.runs)
    @rule(data=st.data(), seconds=st.sampled_from([None, 60]))
    def wait_for_event(self, data: st.DataObject, seconds: int | None) -> None:
        """A run ends and its order waits, for ever or for so long; unless it is its run no more."""
        running = self._any_run(data)
        undo(running.run)
        until = seconds and self.kernel.clock.now() + timedelta(seconds=seconds)
        held = select(*SNAPSHOT).where(ORDERS.c.id == running.run.order_id)
        with self.kernel.write_session() as session:
            found = OrderSnapshot(*session.execute(held).one())
            mine = found.run == running.run.number and found.checkpoint == running.run.checkpoints
            if mine and found.state == OrderState.RUNNING:
                assert begin_waiting(self.kernel, session, found, Waiting(TOLD, until or None))
        self._end(running)

    @precondition(lambda self: self.runs)
    @rule(data=st.data(), seconds=st.sampled_from([0, 70]))
    def retry_later(self, data: st.DataObject, seconds: int) -> None:
        running = self._any_run(data)
        undo(running.run)
        again = Exit(Why.RETRY, after=float(seconds))
        self._hand_back(running, again)
        self._end(running)

    @rule()
    def sweep_once(self) -> None:
        swept = sweep(self.kernel, rescue=True)
        for order_id, outcome in swept.failed.items():
            assert outcome.state in ("cancelled", "failed")
            if outcome.state == "failed":
                assert order(self.kernel, order_id).error_code == "expired"

    # ---- what may be there

    @invariant()
    def orders_of_a_key_are_one_at_a_time_and_in_turn(self) -> None:
        stored = {row.id: row for row in rows(self.kernel, ORDERS)}
        live = defaultdict(list)
        for gate in rows(self.kernel, GATES):
            if gate.ordering_key and not OrderState(stored[gate.order_id].state).is_final:
                live[gate.ordering_key].append(gate)
        holders = {row.ordering_key: row.holder for row in rows(self.kernel, KEYS)}
        for key, holder in holders.items():
            in_turn = sorted(live[key], key=lambda gate: gate.place)
            turns = [gate.order_id for gate in in_turn if gate.waiting_for != ORDERING_KEY]
            assert turns == [gate.order_id for gate in in_turn[:1]], "one, and the first"
            assert holder == (turns[0] if turns else None)
        assert set(live) <= set(holders)

    @invariant()
    def none_waits_for_nothing(self) -> None:
        gates = {gate.order_id: gate for gate in rows(self.kernel, GATES)}
        for row in rows(self.kernel, ORDERS):
            gate = gates.get(row.id)
            waits = gate is not None and gate.waiting_for is not None
            assert waits == (row.state == OrderState.WAITING)

    @invariant()
    def none_begins_outside_its_window(self) -> None:
        for row in rows(self.kernel, ORDERS):
            if row.started_at is not None:
                assert row.not_before is None or row.started_at >= row.not_before
                # What has begun in time may be run again at any time.
                in_time = row.not_after is None or row.started_at <= row.not_after
                assert in_time or row.run > 1
            elif row.error_code == "expired":
                assert row.finished_at >= row.not_after

    def teardown(self) -> None:
        """All is told, all windows open and close; then everything ends well."""
        for running in list(self.runs):
            self._end(running)
        for _ in range(4):  # each order of a key is told in its turn
            self.kernel.clock.shift(200)
            sweep(self.kernel, rescue=True)
            with self.kernel.write_session() as session:
                wake(self.kernel, session, [*self.by_key.values()], GATES.c.waiting_for == TOLD)
            self.work_all_off()
        super().teardown()


def test_rows_agree_when_orders_with_gates_come_in_any_order(
    make_kernel: Callable[..., Kernel], sqlite_url: str
) -> None:
    transport = FakeTransport()
    kernel = make_kernel(sqlite_url, handlers, transport=transport)
    run_state_machine_as_test(
        lambda: Gated(kernel, transport),
        settings=settings(
            max_examples=15,
            stateful_step_count=30,
            deadline=None,
            database=None,
            phases=[Phase.generate],
        ),
    )
