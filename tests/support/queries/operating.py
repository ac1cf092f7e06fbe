"""What operators' own features do, done once: runs that failed, bulk acts, notifications."""

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import delete, insert, select, update

from kernel.bulk.choosing import latest_end, newest
from kernel.bulk.progress import bring_acts_forward
from kernel.db.ids import new_id
from kernel.db.tables.callers import Caller
from kernel.db.tables.operating.bulk import RERUNS
from kernel.db.tables.operating.conditions import TOLD
from kernel.db.tables.orders import ORDERS, Order
from kernel.db.tables.service import Worker
from kernel.delivery.set_back import bring_callbacks_forward
from kernel.errors import NotFound
from kernel.insight.conditions import rules
from kernel.insight.conditions.known import CALM, note
from kernel.insight.conditions.notices import rows
from kernel.insight.conditions.notices.telling import KEEP, send_test, tell_due
from kernel.insight.conditions.rules import Condition
from kernel.insight.failures.runs import runs_of
from kernel.insight.standing.described import described
from kernel.insight.workers import Heartbeat, asking, host_name, processes
from kernel.orders.cancel import cancel
from kernel.orders.ends.run_ends import FIRST, LAST
from kernel.orders.set_back import bring_orders_forward, bring_waits_forward
from kernel.orders.submit import submit
from kernel.pauses.changes import pause, resume
from kernel.pauses.subjects import Subject
from kernel.runs.execute import execute
from kernel.runs.reruns import note_rerun, reruns_of
from kernel.runtime.installation import Name
from kernel.runtime.kernel import Kernel
from kernel.schedules.rows import find as find_schedule
from kernel.worker.foreign_hints import ForeignHints
from tests.support.bulk import plan
from tests.support.factories import (
    ANYBODY,
    make_attempt,
    make_delivery,
    make_order,
    request,
)
from tests.support.ticketing import make_receiver


def runs_fail(kernel: Kernel) -> None:
    """One fails that has failed a hundred times; people look at it, and at one that runs."""
    failed, running = make_order(kernel, args="{}"), make_order(kernel, state="running")
    with kernel.write() as connection:
        often = update(ORDERS).where(ORDERS.c.id == failed).values(run=FIRST + LAST)
        connection.execute(often)
        at = {"run": 1, "runner": new_id(kernel.clock.now())}
        connection.execute(update(ORDERS).where(ORDERS.c.id == running).values(at))
    execute(kernel, failed)
    with kernel.read_session() as session:
        for order_id in (failed, running):
            runs_of(session, session.get_one(Order, order_id))
        with suppress(NotFound):
            find_schedule(session, "none")


def people_ask(kernel: Kernel) -> None:
    """A process is terminated, its host drained and resumed, and all of it is looked at."""
    process, host = Heartbeat("worker", kernel.clock.now()), host_name()

    def beat() -> None:
        with kernel.write_session() as session:
            process.note(session, kernel.clock.sql(), [], [])

    beat()
    for ask in (asking.drain, asking.resume):
        ask(kernel, host)
        beat()
    asking.terminate(kernel, process.id)
    beat()
    processes(kernel)
    with kernel.read_session() as session:
        asking.drained_hosts(session)
        for name in (process.id, host):
            assert asking.process_ids(session, name) == [process.id]
    late = Heartbeat("worker", kernel.clock.now())
    with kernel.write_session() as session:
        late.note(session, kernel.clock.sql(), [], [])
    asking.drain(kernel, host)
    with kernel.write_session() as session:
        session.execute(update(Worker).values(asked=None))  # the drain has not seen its row
        late.note(session, kernel.clock.sql(), [], [])
        for one in (process, late):
            one.leave(session)
    asking.resume(kernel, host)


def orders_are_run_again(kernel: Kernel) -> None:
    """As a new one, as another one, and as one that waits for something itself; one is old."""
    first, second, third = (make_order(kernel) for _ in range(3))
    ago = kernel.clock.now() - timedelta(days=40)
    old = make_order(kernel, id=new_id(ago), state="failed", finished_at=ago)
    with kernel.write() as connection:
        for new in (second, third):
            note_rerun(connection, first, new, kernel.clock.sql())
        row = {"order_id": old, "new_id": third, "job_id": None, "made_at": ago}
        connection.execute(insert(RERUNS).values(row))
    with kernel.read_session() as session:
        assert reruns_of(session, [first]) == {first: third}
        for kind in ("rerun", "redeliver"):
            newest(session, plan(kind))
        latest_end(session, kernel.clock.now())


def people_are_told(kernel: Kernel) -> None:
    """That a condition has begun, and ended; a note of long ago is forgotten."""
    rows.add(kernel, "night", "night")
    rows.add(kernel, "quiet", "night", recovers=False)
    with kernel.read_session() as session:
        caller = session.scalar(select(Caller.id).where(Caller.name == rows.CALLER))
    make_receiver(kernel, "night", "https://chat.example/hook", caller_id=caller)
    found = Condition(rule=rules.NO_WORKER, values={"waiting": 3})
    now = kernel.clock.now()
    for seconds, there in ((0, [found]), (1, [found]), (2, []), (3, [])):
        at = now + seconds * max(rules.NO_WORKER.lasts, CALM)
        note(kernel, there, at)
        tell_due(kernel, at)
        if seconds == 1:  # a restored table: what was told is not known
            with kernel.write() as connection:
                connection.execute(delete(TOLD))
            tell_due(kernel, at)
    send_test(kernel, "night")
    with kernel.write() as connection:
        connection.execute(update(TOLD).values(recovered_at=now - 2 * KEEP))
    tell_due(kernel, now)
    for name in ("night", "quiet"):
        rows.remove(kernel, name)


def orders_are_explained(kernel: Kernel) -> None:
    """One that runs again, one that is due, one behind another of its key, a cancelled one; a held
    callback."""
    again = make_order(kernel, run=1, run_after=kernel.clock.now() + timedelta(hours=1))
    keyed = replace(request(), ordering_key="customer 4712")
    _, behind = (submit(kernel, ANYBODY, keyed).order_id for _ in range(2))
    running = make_order(kernel, state="running", runner=new_id(kernel.clock.now()))
    cancelled = make_order(kernel, callback_url="")
    cancel(kernel, None, cancelled)
    done = make_order(kernel, state="success", finished_at=kernel.clock.now())
    owed = make_delivery(kernel, done, attempt=1, tries=1, is_retry=True)
    make_attempt(kernel, owed, kernel.clock.now(), "connect")
    pause(kernel, Subject(host="receiver.example"))
    with kernel.read_session() as session:
        for order_id in (again, behind, running, cancelled, done, make_order(kernel)):
            assert described(kernel, session, order_id)["why"]
    resume(kernel, Subject(host="receiver.example"))


def hints_are_told_apart(kernel: Kernel) -> None:
    """The queue gets its name; hints come that are of no order here."""
    assert Name(kernel).read() == Name(kernel).read()
    ForeignHints(kernel).look([make_order(kernel), "stranger"])


def the_clock_is_set_back(kernel: Kernel) -> None:
    """All that waits is looked at, as the sweep of a process that has seen it does."""
    bring_orders_forward(kernel)
    bring_waits_forward(kernel)
    bring_callbacks_forward(kernel)
    bring_acts_forward(kernel)


OPERATED = (
    runs_fail,
    people_ask,
    orders_are_run_again,
    people_are_told,
    orders_are_explained,
    hints_are_told_apart,
    the_clock_is_set_back,
)
