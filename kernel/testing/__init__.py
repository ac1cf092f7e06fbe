"""For tests of your own handlers: a kernel without servers, and a fake transport.

    kernel = Kernel(settings, handlers, transport=FakeTransport())
    create_tables(kernel)
    order_id = order(kernel, "create_project", projname="Bridge")
    drain(kernel)
    assert poll(kernel, order_id)["data"]["result"] == {"projname": "Bridge"}

`drain` runs the same stages as a worker, in the calling thread and without Celery. `crash_after`
ends a run as a killed worker's would. `kernel.testing.pytest` has all of this as fixtures.
"""

from kernel.testing.crashes import ProcessKilled, crash_after
from kernel.testing.draining import BugOfHandler, NotDrained, drain
from kernel.testing.orders import RECEIVER, order, poll, steps, tell
from kernel.testing.own_settings import use_settings
from kernel.testing.tables import create_tables
from kernel.testing.transport import FakeTransport, Sent

__all__ = [
    "RECEIVER",
    "BugOfHandler",
    "FakeTransport",
    "NotDrained",
    "ProcessKilled",
    "Sent",
    "crash_after",
    "create_tables",
    "drain",
    "order",
    "poll",
    "steps",
    "tell",
    "use_settings",
]
