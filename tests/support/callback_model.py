"""The part of a model-based test that sends callbacks: dispatchers, which die and forget."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from kernel.db.tables.deliveries import DELIVERIES
from kernel.delivery.attempt import FinishedAttempt, attempt
from kernel.delivery.claim import claim_due, due_lanes
from kernel.delivery.record import record
from kernel.delivery.redeliver import redeliver
from kernel.runtime.kernel import Kernel
from kernel.testing import FakeTransport
from tests.support.factories import rows


class Callbacks(RuleBasedStateMachine):
    """``sent``: attempts that are not recorded; ``heard``: callbacks that a receiver took."""

    def __init__(self, kernel: Kernel, transport: FakeTransport) -> None:
        super().__init__()
        self.kernel, self.transport = kernel, transport
        transport.sent.clear()
        transport.answers[:] = [200]
        self.heard: set[str] = set()
        self.sent: list[FinishedAttempt] = []

    @rule(status=st.sampled_from([200, 200, 500, "timeout", None]))
    def send_callbacks(self, status: int | str | None) -> None:
        """What was answered is written by another rule, later, never, or twice.

        Without a status the dispatcher dies before it sends what it has claimed.
        """
        shares = dict.fromkeys(due_lanes(self.kernel), 2)
        claimed = claim_due(self.kernel, shares).deliveries
        if status is not None:
            self.transport.answers[:] = [status]
            self.sent += [attempt(self.kernel, due) for due in claimed]
            self.heard |= {due.id for due in claimed if status == 200}

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), forget=st.booleans())
    def record_callbacks(self, data: st.DataObject, forget: bool) -> None:
        chosen = data.draw(st.lists(st.sampled_from(self.sent), unique_by=id, min_size=1))
        record(self.kernel, chosen)
        if forget:  # else: the answer to COMMIT was lost, and it will be recorded again
            self.sent = [one for one in self.sent if one not in chosen]

    @rule()
    def lose_dispatcher(self) -> None:
        self.sent = []

    @rule(data=st.data())
    def redeliver_callback(self, data: st.DataObject) -> None:
        ids = [row.id for row in rows(self.kernel, DELIVERIES)]
        if ids:
            redeliver(self.kernel, 1, data.draw(st.sampled_from(sorted(ids))))
