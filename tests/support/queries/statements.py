"""Everything that the service does, done once: each of these asks the database in its own way."""

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import product
from typing import Any

from sqlalchemy import insert, text

from bench.rows import FIRST_CALLER, RARE_TAG
from kernel.builtin import CreateProject, create_project
from kernel.callers import identity, keys
from kernel.db.ids import new_id
from kernel.db.states import DeliveryState
from kernel.db.tables.orders import RUN_MARKS
from kernel.delivery.attempt import attempt
from kernel.delivery.claim import BATCH, claim_due, due_lanes
from kernel.delivery.first_attempt import Desk
from kernel.delivery.pauses import hold_paused, list_pauses, pause, resume
from kernel.delivery.record import record
from kernel.delivery.redeliver import (
    DeliveryFilter,
    count,
    list_attempts,
    list_deliveries,
    redeliver,
    replay,
)
from kernel.delivery.slots import SenderSlots
from kernel.errors import Retry
from kernel.handlers import Run
from kernel.insight.backlog import backlog
from kernel.insight.readiness import check_database, workers_alive
from kernel.insight.workers import Heartbeat, forget_silent, list_workers
from kernel.orders.backpressure import Pressure
from kernel.orders.cancel import cancel
from kernel.orders.due import due_orders, waiting_longest
from kernel.orders.pages import OrderFilter, get_order, list_orders
from kernel.orders.submit import submit
from kernel.runs.execute import execute
from kernel.runs.leases import renew_leases
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.known_tags import note_tags
from kernel.worker.maintenance.prune import BEGINNING, ROWS, prune
from kernel.worker.maintenance.sweep import sweep
from kernel.worker.maintenance.turn import next_turn
from tests.support.factories import ANYBODY, make_delivery, make_order, request, sweep_for

HOST = "receiver-3.example"
CALLER = FIRST_CALLER + 2


def give_handlers(kernel: Kernel) -> None:
    """Register the kinds that the rows have."""
    kernel.handlers.register("create_project", CreateProject)(create_project)

    @kernel.handlers.register("import_projects", CreateProject)
    def step(run: Run, args: CreateProject) -> dict[str, Any]:
        run.checkpoint(1, 2)
        renew_leases(kernel, [run], run.now)
        if args.projname == "again":
            raise Retry(after=60)
        if args.projname == "cancel":
            cancel(kernel, None, run.order_id)
        run.checkpoint(2, 2)
        return {}


def orders_are_taken(kernel: Kernel) -> None:
    """Submit, repeat, look up, cancel."""
    for _ in range(2):
        accepted = submit(kernel, ANYBODY, request(), "a-key")
    with kernel.write_session() as session:
        key = keys.add(session, "by-key", kernel.clock.now()).api_key
        assert key is not None
    with kernel.read() as connection:
        who = identity.identify(connection, key.get_secret_value(), kernel.clock.now())
    submit(kernel, who, request())
    with kernel.read_session() as session:
        get_order(session, 1, accepted.order_id)
    cancel(kernel, 1, accepted.order_id)
    Pressure(kernel).check(CALLER)


def orders_run(kernel: Kernel) -> None:
    """Claim, checkpoint, finish, hand back, cancel in mid-run, go on after a checkpoint."""
    for name, checkpoint in (("fine", 0), ("again", 0), ("cancel", 0), ("fine", 1)):
        args = f'{{"projname":"{name}"}}'
        given: dict[str, Any] = {"args": args, "checkpoint": checkpoint}
        assert execute(kernel, make_order(kernel, select_tag="import_projects", **given))


def callbacks_go_out(kernel: Kernel) -> None:
    """Lanes, T4, T5 with both verdicts, and the look at the sender of a fresh one."""
    for answer in (200, 503):
        kernel.transport.answers = [answer]  # type: ignore[attr-defined]
        for _ in range(2):
            make_delivery(kernel)
        claimed = claim_due(kernel, dict.fromkeys(due_lanes(kernel), 5)).deliveries
        record(kernel, [attempt(kernel, due) for due in claimed[:BATCH]])
    desk = Desk(kernel, SenderSlots(1), lambda _: None)
    desk.learn(1)


def people_look(kernel: Kernel) -> None:
    """Pages by every filter, an order's deliveries and their attempts, the gauges."""
    with kernel.read_session() as session:
        for caller_id, wanted in filters(kernel):
            list_orders(session, caller_id, wanted)
        order_id = list_orders(session, CALLER, OrderFilter("success"))[-1].id
        list_attempts(session, [one.id for one in list_deliveries(session, order_id)])
    backlog(kernel)
    waiting_longest(kernel)
    check_database(kernel)
    workers_alive(kernel)


def filters(kernel: Kernel) -> list[tuple[int | None, OrderFilter]]:
    """Every combination: common, rare and absent values, of everybody and of one caller."""
    now = kernel.clock.now()
    middle, day = now - timedelta(days=15), timedelta(days=1)
    states = (None, "success", "cancelled", "running")
    tags = (None, "create_project", RARE_TAG, "unheard_of")
    times = ((None, None), (middle, None), (None, middle), (middle, middle + day))
    below = (None, new_id(middle))
    return [
        (caller_id, OrderFilter(state, tag, since, until, before, limit=10))
        for caller_id, state, tag, (since, until), before in product(
            (None, CALLER), states, tags, times, below
        )
    ]


def people_change(kernel: Kernel) -> None:
    """Redeliver, replay, pause and resume."""
    redeliver(kernel, 1, make_delivery(kernel, state="dead"))
    since = kernel.clock.now() - timedelta(days=2)
    for wanted in (
        DeliveryFilter(since=since),
        DeliveryFilter(caller_id=CALLER, since=since),
        DeliveryFilter(state=DeliveryState.DEAD, host=HOST),
    ):
        with kernel.read_session() as session:
            count(session, wanted)
        replay(kernel, wanted)
    for paused in ({"host": HOST}, {"caller_id": CALLER}):
        pause(kernel, **paused)  # type: ignore[arg-type]
        hold_paused(kernel)
        with kernel.read_session() as session:
            list_pauses(session)
        resume(kernel, **paused)  # type: ignore[arg-type]


def workers_come_and_go(kernel: Kernel) -> None:
    """Heartbeat, and a sweep after some of them died."""
    heartbeat, now = Heartbeat("worker", kernel.clock.now()), kernel.clock.now()
    for work in (heartbeat.note, heartbeat.note):
        with kernel.write_session() as session:
            work(session, now, [], [])
    with kernel.write_session() as session:
        list_workers(session)
        heartbeat.leave(session)
        forget_silent(session, now)
    ago = now - timedelta(hours=2)
    for crashes in (0, 99):
        make_order(kernel, state="running", lease_until=ago, connection_id=10**9, crashes=crashes)
    partly_done = make_order(kernel, state="running", lease_until=ago)
    with kernel.write() as connection:
        connection.execute(insert(RUN_MARKS).values(order_id=partly_done, run=1))
    make_order(kernel, id=new_id(ago), select_tag="unheard_of", run_after=ago)
    note_tags(kernel)
    for _ in range(2):
        next_turn(kernel)
        kernel.clock.shift(kernel.settings.sweep_seconds + 1)
    assert len(due_orders(kernel, 200)) == 200
    sweep_for(kernel, 3601)
    swept = sweep(kernel, rescue=True)
    assert (len(swept.rescued), len(swept.failed)) == (1, 3)


def time_goes_by(kernel: Kernel) -> None:
    """Prune, an order with more attempts than a transaction deletes among the first."""
    ago = kernel.clock.now() - timedelta(days=40)
    order_id = make_order(kernel, id=new_id(ago), state="success", finished_at=ago)
    delivery_id = make_delivery(kernel, order_id, state="dead", finished_at=ago)
    columns = "(delivery_id, number, started_at, duration_ms, phases)"
    with kernel.write_session() as session:
        session.execute(
            text(
                f"INSERT INTO kernel_attempts {columns}"
                " SELECT :id, seq, UTC_TIMESTAMP(6), 1, '{}'"
                f" FROM seq_1_to_{2 * ROWS}"
            ),
            {"id": delivery_id},
        )
    kernel.clock.shift(timedelta(days=20).total_seconds())
    after: datetime | None = BEGINNING
    while after is not None:
        after = prune(kernel, after).after


HAPPENINGS: list[Callable[[Kernel], None]] = [
    orders_are_taken,
    orders_run,
    callbacks_go_out,
    people_look,
    people_change,
    workers_come_and_go,
    time_goes_by,
]
