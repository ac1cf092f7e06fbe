"""Handlers whose orders are paused, and what tests of pauses look at."""

from typing import Any

from pydantic import BaseModel

from kernel.callers import keys
from kernel.callers.identity import Identity, find
from kernel.db.tables.gates import GATES
from kernel.errors import Retry
from kernel.formats.order_request import order_request
from kernel.handlers import Handlers, Run, Wait
from kernel.orders.cancel import cancel
from kernel.orders.decide import Exit, Why
from kernel.orders.submit import submit
from kernel.pauses.subjects import Subject
from kernel.runs.claim import Batch
from kernel.runs.execute import execute
from kernel.runs.leases import leave
from kernel.runtime.kernel import Kernel
from kernel.testing import order
from kernel.worker.maintenance.job import Swept
from kernel.worker.maintenance.paused import hold_due_orders, keep_pauses
from tests.support.factories import order as stored
from tests.support.factories import rows

WORK, ANYBODYS = Subject(tag="work"), Subject(orders_of=1)
handlers = Handlers()


class Work(BaseModel):
    """``which``: noted when it runs. ``tries``: how many runs before the last are put off."""

    which: str = ""
    tries: int = 0


@handlers.register("work", Work)
def work(run: Run, args: Work) -> dict[str, Any]:
    if run.number <= args.tries:
        raise Retry(after=60)
    return {"which": args.which, "waited": run.has_waited}


@handlers.register("other", Work)
def other(run: Run, args: Work) -> dict[str, Any]:
    return {}


@handlers.register("asks", Work)
def asks(run: Run, args: Work) -> dict[str, Any] | Wait:
    return {} if run.events else Wait("approved")


@handlers.register("parent", Work)
def parent(run: Run, args: Work) -> dict[str, Any] | Wait:
    if run.has_waited:
        return {}
    run.submit("work", which="child")
    return Wait.children()


@handlers.register("one", Work, concurrency=1)
def one_at_a_time(run: Run, args: Work) -> dict[str, Any]:
    return {}


@handlers.register("paced", Work, rate="6/m")
def paced(run: Run, args: Work) -> dict[str, Any]:
    return {}


def quiet(kernel: Kernel, tag: str = "work", **members: Any) -> str:
    """Submit an order whose caller polls."""
    return order(kernel, tag, callback_url=None, **members)


def slot_kept(kernel: Kernel) -> tuple[str, str]:
    """Return an order for which the slot of its tag is kept, and one of another caller behind it.

    The one before them was cancelled while it ran.
    """
    first, mine, theirs = quiet(kernel, "one"), quiet(kernel, "one"), of_another(kernel)
    lined_up(kernel, first, mine, theirs)
    end_claimed(kernel, first)
    return mine, theirs


def of_another(kernel: Kernel, name: str = "zammad") -> str:
    """Submit an order of a new caller for the one slot that there is."""
    with kernel.write_session() as session:
        keys.add(session, name, kernel.clock.now())
        caller_id = find(session, name).id
    request = order_request({"select_tag": "one", "callback_url": None}, kernel.handlers)
    return submit(kernel, Identity(caller_id, name), request).order_id


def lined_up(kernel: Kernel, first: str, *others: str) -> None:
    """Claim the first of these orders, and have the others wait for its slot."""
    with kernel.run_connection() as connection:
        assert Batch(kernel, connection, [first]).claim() is not None
    for waiting in others:
        assert execute(kernel, waiting) is None
        assert waits_for(kernel, waiting) == "limit:one"


def end_claimed(kernel: Kernel, order_id: str) -> tuple[str, ...]:
    """End a run that is claimed by a cancel; return who goes on."""
    cancel(kernel, None, order_id)
    return leave(kernel, order_id, 1, Exit(Why.NOT_BEGUN)).woken


def sweep(kernel: Kernel) -> Swept:
    swept = Swept()
    for job in (keep_pauses, hold_due_orders):
        job(kernel, swept)
    return swept


def state(kernel: Kernel, order_id: str) -> str:
    return stored(kernel, order_id).state


def waits_for(kernel: Kernel, order_id: str) -> str | None:
    found = {row.order_id: row.waiting_for for row in rows(kernel, GATES)}
    return found.get(order_id)
