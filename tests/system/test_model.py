"""Interleavings that no test spells out: the stages in any order, crashes between any two of them.

Hypothesis calls the stages as workers, dispatchers, callers and operators would, lets processes
die and answers get lost, and after every step compares rows with what may be there.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy.exc import DBAPIError

from kernel.builtin import projects
from kernel.db.states import OrderState
from kernel.db.tables.deliveries import DELIVERIES
from kernel.db.tables.orders import ORDERS
from kernel.errors import Conflict, RunInterrupted
from kernel.handlers.registering.refusals import BATCH_TAG
from kernel.orders.cancel import cancel
from kernel.orders.decide import Exit, Why
from kernel.orders.due import due_orders
from kernel.orders.submit import submit
from kernel.orders.transitions import RunEnd
from kernel.runs.claim import Batch
from kernel.runs.fence import release, undo
from kernel.runs.finish import finish
from kernel.runs.leases import leave, renew_leases
from kernel.runtime.kernel import Kernel
from kernel.testing import FakeTransport, drain
from kernel.worker.maintenance.sweep import sweep
from tests.support.callback_model import Callbacks
from tests.support.factories import ANYBODY, empty_tables, order, request, rows
from tests.support.guards import by_night
from tests.support.stepwise_runs import ALIVE, DONE, STEPS, Running, handlers, run_next, write

pytestmark = pytest.mark.slow
BROKEN = Exit(Why.BROKEN)


class Model(Callbacks):
    """One installation, seen from everywhere at once."""

    def __init__(self, kernel: Kernel, transport: FakeTransport) -> None:
        super().__init__(kernel, transport)
        self.by_key: dict[str, str] = {}
        self.runs: list[Running] = []
        self.ended: dict[str, str] = {}
        empty_tables(kernel)

    @initialize()
    def begin_in_the_middle(self) -> None:
        """Two orders are running already: what is interesting begins there."""
        for key in "ab":
            self.submit_order(key)
            self._claim(self.by_key[key])

    # ---- callers

    @rule(key=st.sampled_from("abcdef"))
    def submit_order(self, key: str) -> None:
        """The same key is the same order, however often it comes."""
        accepted = submit(self.kernel, ANYBODY, request("steps"), key)
        assert self.by_key.setdefault(key, accepted.order_id) == accepted.order_id

    @precondition(lambda self: "f" in self.by_key)
    @rule(data=st.data())
    def cancel_order(self, data: st.DataObject) -> None:
        order_id = data.draw(
            st.sampled_from([self.by_key[key] for key in "af" if key in self.by_key])
        )
        with suppress(Conflict):
            cancel(self.kernel, 1, order_id)

    # ---- workers

    @precondition(lambda self: self.by_key and len(self.runs) < ALIVE)
    @rule(data=st.data())
    def claim_order(self, data: st.DataObject) -> None:
        due = due_orders(self.kernel, 1000) or sorted(self.by_key.values())
        self._claim(*data.draw(st.lists(st.sampled_from(due), min_size=1, max_size=3)))

    def _claim(self, *order_ids: str) -> None:
        batch = Batch(self.kernel, self.kernel.engine.connect(), order_ids)
        if not (begun := run_next(batch)):
            batch.connection.close()
        self.runs += begun

    @precondition(lambda self: self.runs)
    @rule(data=st.data())
    def save_step(self, data: st.DataObject) -> None:
        running = self._any_run(data)
        if running.done < STEPS - 1:
            with self._ending_when_refused(running):
                write(running.run, running.done)
                running.run.checkpoint(running.done + 1, STEPS)

    @precondition(lambda self: self.runs)
    @rule(data=st.data(), heard=st.booleans())
    def finish_run(self, data: st.DataObject, heard: bool) -> None:
        """Commit, and the claim of the next order with it; then that one runs.

        When the answer to COMMIT is not heard, both are handed back.
        """
        running = self._any_run(data)
        order, batch = running.claimed.order, running.batch
        with self._ending_when_refused(running):
            for step in range(running.done, STEPS):
                write(running.run, step)
            end = finish(batch, running.claimed, running.run, DONE)
            if not heard:
                batch.hand_back()
                self._follow(*batch.ends, leave(self.kernel, order.id, order.run, BROKEN))
                self._end(running)
            else:
                self._follow(end)
                self._go_on(running)

    @precondition(lambda self: self.runs)
    @rule(data=st.data(), told=st.booleans())
    def end_run(self, data: st.DataObject, told: bool) -> None:
        """A process dies in mid-write; or the run breaks, and its order is handed back."""
        running = self._any_run(data)
        with suppress(DBAPIError):
            write(running.run, running.done)
        undo(running.run)
        if told:
            self._hand_back(running, Exit(Why.STOPPING))
        self._end(running)

    @rule()
    def keep_leases(self) -> None:
        renew_leases(self.kernel, [one.run for one in self.runs])

    def _any_run(self, data: st.DataObject) -> Running:
        return self.runs[data.draw(st.integers(0, len(self.runs) - 1))]

    def _hand_back(self, running: Running, exit_: Exit) -> None:
        self._follow(leave(self.kernel, running.run.order_id, running.run.number, exit_))

    def _follow(self, *ends: RunEnd) -> None:
        """Do what a process does after the commits of these ends. Plain orders need nothing."""

    def _go_on(self, running: Running) -> None:
        """Run what was claimed with the commit that has ended a run, or is claimed next."""
        release(running.run, running.connection, running.batch.pooled)
        if following := run_next(running.batch):
            self.runs += following
            self._forget(running)
        else:
            self._end(running)

    def _end(self, running: Running) -> None:
        self._forget(running)
        running.end()

    def _forget(self, running: Running) -> None:
        self.runs.remove(running)
        self.kernel.running.pop((running.run.order_id, running.run.number), None)

    @contextmanager
    def _ending_when_refused(self, running: Running) -> Iterator[None]:
        try:
            yield
        except (RunInterrupted, DBAPIError):
            undo(running.run)
            self._end(running)

    # ---- dispatchers

    @rule(seconds=st.sampled_from([1, 40, 100]))
    def wait(self, seconds: float) -> None:
        """Leases last 30 seconds, claims of deliveries 45."""
        self.kernel.clock.shift(seconds)

    @rule(finish=st.booleans())
    def take_over(self, finish: bool) -> None:
        """Every worker is silent for longer than a lease; others may do all there is to do.

        The runs still stand where they stood, and may go on.
        """
        self.kernel.clock.shift(40)
        self.sweep_once()
        if finish:
            self.work_all_off()

    def work_all_off(self) -> None:
        """Do all that is due, with receivers that say 200."""
        self.transport.answers[:] = [200]
        before = len(self.transport.sent)
        drain(self.kernel)
        self.heard |= {one.headers["webhook-id"] for one in self.transport.sent[before:]}

    @rule()
    def sweep_once(self) -> None:
        swept = sweep(self.kernel, rescue=True)
        states = {order(self.kernel, one).state for one in swept.rescued}
        assert states <= {"pending"}, "an order that crashed again is due a little later"
        # A rescue honours a cancel that was acknowledged; nothing else ends an order here.
        assert {one.state for one in swept.failed.values()} <= {"cancelled"}

    # ---- what may be there

    @invariant()
    def work_is_there_exactly_once(self) -> None:
        wanted = Counter(
            f"{row.id}:{step}"
            for row in rows(self.kernel, ORDERS)
            if row.select_tag != BATCH_TAG  # no worker runs it
            for step in range(STEPS if row.state == "success" else row.progress_current or 0)
        )
        assert Counter(row.projname for row in rows(self.kernel, projects)) == wanted

    @invariant()
    def end_is_the_end(self) -> None:
        orders = {row.id: row for row in rows(self.kernel, ORDERS)}
        assert set(orders) == set(self.by_key.values())
        for order_id, state in self.ended.items():
            assert orders[order_id].state == state
        self.ended = {o.id: o.state for o in orders.values() if OrderState(o.state).is_final}

    @invariant()
    def lease_belongs_to_a_run(self) -> None:
        for row in rows(self.kernel, ORDERS):
            assert (row.lease_until is not None) == (row.state == "running")
            assert row.connection_id is None or row.state == "running"

    @invariant()
    def every_end_is_told_once_and_for_all(self) -> None:
        deliveries = rows(self.kernel, DELIVERIES)
        assert Counter(row.order_id for row in deliveries) == Counter(list(self.ended))
        for row in deliveries:
            assert json.loads(row.body)["data"]["state"] == self.ended[row.order_id]
            assert row.state != "delivered" or row.id in self.heard
        sent = {one.headers["webhook-id"] for one in self.transport.sent}
        assert sent <= {row.id for row in deliveries}

    def teardown(self) -> None:
        """Let everybody go, and the next ones come: everything ends well."""
        for running in list(self.runs):
            self._end(running)
        self.kernel.clock.shift(100)
        for _ in range(3):
            sweep(self.kernel, rescue=True)
            self.work_all_off()
            self.kernel.clock.shift(100_000)
        self.end_is_the_end()
        self.work_is_there_exactly_once()
        self.every_end_is_told_once_and_for_all()
        assert set(self.ended) == set(self.by_key.values())
        assert {row.state for row in rows(self.kernel, DELIVERIES)} <= {"delivered"}


def test_rows_agree_when_stages_and_crashes_come_in_any_order(
    make_kernel: Callable[..., Kernel], database_url: str
) -> None:
    transport = FakeTransport()
    kernel = make_kernel(database_url, handlers, transport=transport)
    run_state_machine_as_test(
        lambda: Model(kernel, transport),
        settings=settings(
            max_examples=by_night(30, 10 if kernel.dialect.is_remote else 30),
            stateful_step_count=30,
            deadline=None,
            database=None,
            # A failure is shown as it was found: to make it small takes minutes. Add Phase.shrink.
            phases=[Phase.generate],
        ),
    )
