"""Everything that the service does, done once: each of these asks the database in its own way."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import product
from typing import Any

from sqlalchemy import insert

from bench.rows import FIRST_CALLER, RARE_TAG
from kernel.builtin import CreateProject, create_project
from kernel.callers import identity, key_terms, keys
from kernel.db.ids import new_id
from kernel.db.tables.deliveries import ATTEMPTS
from kernel.db.tables.operating.runs import RUNS as FAILED_RUNS
from kernel.db.tables.orders import RUN_MARKS
from kernel.db.tables.steps import STEPS
from kernel.delivery.attempt import attempt
from kernel.delivery.claim import BATCH, claim_due, due_lanes, extend_claim
from kernel.delivery.first_attempt import Desk
from kernel.delivery.pauses import hold_paused, release_unpaused
from kernel.delivery.record import record
from kernel.delivery.redeliver import list_attempts, list_deliveries, redeliver
from kernel.delivery.slots import SenderSlots
from kernel.errors import Retry
from kernel.handlers import Run
from kernel.insight.backlog import backlog
from kernel.insight.conditions.look import look
from kernel.insight.standing.rest import unrest
from kernel.insight.workers import Heartbeat, forget_silent, processes
from kernel.orders.backpressure import Pressure
from kernel.orders.cancel import cancel
from kernel.orders.due import due_orders, due_soon, next_orders, waiting_longest
from kernel.orders.gates.windows import close_window, ended_windows
from kernel.orders.pages import LaneFilter, get_order, list_orders, orders_by_id, with_prefix
from kernel.orders.submit import submit
from kernel.orders.transitions import RunEnd
from kernel.pauses.changes import pause, resume
from kernel.pauses.listing import list_pauses
from kernel.pauses.subjects import Subject
from kernel.runs.execute import execute
from kernel.runs.leases import renew_leases
from kernel.runtime.kernel import Kernel
from kernel.views.http.long_polls import until_ended
from kernel.worker.maintenance.known_tags import note_tags
from kernel.worker.maintenance.prune import BEGINNING, ROWS, prune
from kernel.worker.maintenance.rescue import take_over
from kernel.worker.maintenance.set_aside import SetAside
from kernel.worker.maintenance.sweep import sweep
from kernel.worker.maintenance.turn import next_turn
from tests.support.factories import ANYBODY, make_delivery, make_order, request, sweep_for
from tests.support.queries.administration import (
    events_are_told,
    orders_recur,
    people_sign_in,
    secrets_and_persons_are_forgotten,
    secrets_are_rotated,
    steps_are_taken,
    the_trail_is_read,
)
from tests.support.queries.charted import charts_are_drawn
from tests.support.queries.failing import a_run_freezes, failures_are_counted
from tests.support.queries.gates import GATES_HOLD, give_gated_handlers
from tests.support.queries.limits import give_limited_handlers, limits_hold
from tests.support.queries.line import a_share_holds, orders_take_turns, orders_wait
from tests.support.queries.operating import OPERATED
from tests.support.queries.pauses import orders_are_paused
from tests.support.queries.together import give_short_handlers, short_orders_share_a_commit

HOST = "receiver-3.example"
CALLER = FIRST_CALLER + 2
REFERENCE = "INC00a"
TAGS = frozenset({"create_project", RARE_TAG})


def give_handlers(kernel: Kernel) -> None:
    """Register the kinds that the rows have."""
    kernel.handlers.register("create_project", CreateProject)(create_project)

    @kernel.handlers.register("import_projects", CreateProject)
    def step(run: Run, args: CreateProject) -> dict[str, Any]:
        run.checkpoint(1, 2)
        renew_leases(kernel, [run, replace(run, number=run.number + 1)])
        if args.projname == "again":
            raise Retry(after=60)
        if args.projname == "cancel":
            cancel(kernel, None, run.order_id)
        if args.projname == "steps":
            for name in ("first", "second"):
                run.step(name, lambda: 1)
            if run.number == 1:
                raise Retry(after=0)
        run.checkpoint(2, 2)
        return {}

    give_limited_handlers(kernel)
    give_gated_handlers(kernel)
    give_short_handlers(kernel)


def orders_are_taken(kernel: Kernel) -> None:
    """Submit, repeat, look up, cancel."""
    for _ in range(2):
        accepted = submit(kernel, ANYBODY, request(), "a-key")
    with kernel.write_session() as session:
        key = keys.add(session, "by-key", kernel.clock.now()).api_key
        assert key is not None
    with kernel.read() as connection:
        who = identity.identify(connection, key.get_secret_value(), kernel.clock.now())
    submit(kernel, who, replace(request(), reference=REFERENCE))
    opens = kernel.clock.now() + timedelta(hours=1)
    for one in (who, ANYBODY):
        windowed = submit(kernel, one, replace(request(), not_before=opens, not_after=opens))
        close_window(kernel, windowed.order_id)
    cancel(kernel, 1, submit(kernel, ANYBODY, replace(request(), not_before=opens)).order_id)
    with kernel.read_session() as session:
        now = kernel.clock.now()
        keys.common_terms(session, "by-key", now, 365)
        keys.find_key(session, key.get_secret_value()[:10], now, "by-key")
        key_terms.warnings(session, now)
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
        extend_claim(kernel, claimed[0], 60.0)
        record(kernel, [attempt(kernel, due) for due in claimed[:BATCH]])
    desk = Desk(kernel, SenderSlots(1), lambda _: None)
    desk.learn(1)


def people_look(kernel: Kernel) -> None:
    """Pages by every filter, deliveries and their attempts, the gauges, what a copy waits for."""
    with kernel.read_session() as session:
        for caller_id, wanted in filters(kernel):
            list_orders(session, caller_id, wanted)
        named = orders_by_id(session, with_prefix(session, REFERENCE[:4], 10))
        ids = tuple(one.id for one in named)
        assert list_orders(session, None, LaneFilter(ids=ids, tags=TAGS, limit=100))
        until_ended(kernel, ids[0], 0.0, lambda: False)
        order_id = list_orders(session, CALLER, LaneFilter("success"))[-1].id
        list_attempts(session, [one.id for one in list_deliveries(session, order_id)])
    backlog(kernel)
    waiting_longest(kernel)
    look(kernel)
    unrest(kernel)


def filters(kernel: Kernel) -> list[tuple[int | None, LaneFilter]]:
    """Every combination: common, rare and absent values, of everybody and of one caller."""
    now = kernel.clock.now()
    middle, day = now - timedelta(days=15), timedelta(days=1)
    states = (None, "success", "cancelled", "running")
    tags = (None, "create_project", RARE_TAG, "unheard_of")
    times = ((None, None), (middle, None), (None, middle), (middle, middle + day))
    below = (None, new_id(middle))
    return (
        [
            (caller_id, LaneFilter(state, tag, since, until, before, limit=10))
            for caller_id, state, tag, (since, until), before in product(
                (None, CALLER), states, tags, times, below
            )
        ]
        + [
            (caller_id, LaneFilter(state, None, since, None, limit=10, reference=REFERENCE))
            for caller_id, state, since in product((None, CALLER), states[:2], (None, middle))
        ]
        + [
            (CALLER, LaneFilter(state, tag, reference=reference, limit=10, tags=TAGS))
            for state, tag, reference in product(states[:2], tags[:2], (None, REFERENCE))
        ]
    )


def people_change(kernel: Kernel) -> None:
    """Redeliver, pause and resume."""
    for tags in (None, TAGS):
        redeliver(kernel, 1, make_delivery(kernel, state="dead"), tags=tags)
    for paused in ({"host": HOST}, {"caller_id": CALLER}):
        pause(kernel, Subject(**paused))  # type: ignore[arg-type]
        hold_paused(kernel)
        release_unpaused(kernel)
        with kernel.read_session() as session:
            list_pauses(session)
        resume(kernel, Subject(**paused))  # type: ignore[arg-type]
    orders_are_paused(kernel)


def workers_come_and_go(kernel: Kernel) -> None:
    """Heartbeat, and a sweep after some of them died."""
    heartbeat, now = Heartbeat("worker", kernel.clock.now()), kernel.clock.now()
    for work in (heartbeat.note, heartbeat.note):
        with kernel.write_session() as session:
            work(session, now, [], [])
    processes(kernel)
    with kernel.write_session() as session:
        heartbeat.leave(session)
        forget_silent(session, kernel.clock)
    ago = now - timedelta(hours=2)
    gone = {"state": "running", "lease_until": ago, "connection_id": 10**9}
    rescued, dying = (make_order(kernel, **gone, crashes=crashes) for crashes in (0, 99))
    partly_done = make_order(kernel, state="running", lease_until=ago)
    with kernel.write() as connection:
        connection.execute(insert(RUN_MARKS).values(order_id=partly_done, run=1))
    unknown = make_order(kernel, select_tag="unheard_of", created_at=ago, run_after=ago)
    make_order(kernel, select_tag="unheard_of", created_at=ago, state="waiting")  # in no line
    set_back = now + timedelta(hours=1)
    make_order(kernel, created_at=set_back, run_after=set_back)
    note_tags(kernel)
    for _ in range(2):
        next_turn(kernel)
        kernel.clock.shift(kernel.settings.sweep_seconds + 1)
    assert len(due_orders(kernel, 200)) == 200
    due_soon(kernel, 200, 5.0)
    assert not ended_windows(kernel, 500)
    make_order(kernel, state="running")
    assert len(next_orders(kernel, 50, 0)) == 50
    sweep_for(kernel, 3601)
    swept = sweep(kernel, rescue=True)
    assert rescued in swept.rescued
    assert swept.failed.keys() == {dying, partly_done, unknown}


def a_process_dies(kernel: Kernel) -> None:
    soon = kernel.clock.now() + timedelta(seconds=10)
    make_order(kernel, state="running", runner="dead")
    make_delivery(kernel, claim_token="dead", is_retry=True, next_attempt_at=soon)
    ends: list[RunEnd] = []
    assert take_over(kernel, "dead", SetAside("order not taken over"), ends)
    assert len(ends) == 1


def time_goes_by(kernel: Kernel) -> None:
    """Prune, an order with more attempts than a transaction deletes among the first."""
    ago = kernel.clock.now() - timedelta(days=40)
    order_id = make_order(kernel, id=new_id(ago), state="success", finished_at=ago)
    delivery_id = make_delivery(kernel, order_id, state="dead", finished_at=ago)
    one = {"delivery_id": delivery_id, "started_at": ago, "duration_ms": 1, "phases": "{}"}
    with kernel.write() as connection:
        attempts = [one | {"number": number} for number in range(1, 2 * ROWS + 1)]
        connection.execute(insert(ATTEMPTS), attempts)
        one = {"order_id": order_id, "name": "vm", "attempts": 1, "started_at": ago}
        connection.execute(insert(STEPS), [one | {"number": n} for n in range(ROWS + 1)])
        one = {"order_id": order_id, "run": 1, "how": "died", "ended_at": ago, "is_counted": True}
        connection.execute(insert(FAILED_RUNS).values(one))
    kernel.clock.shift(timedelta(days=20).total_seconds())
    after: datetime | None = BEGINNING
    while after is not None:
        after = prune(kernel, after).after


HAPPENINGS: list[Callable[[Kernel], None]] = [
    orders_are_taken,
    orders_take_turns,
    orders_wait,
    orders_run,
    short_orders_share_a_commit,
    steps_are_taken,
    limits_hold,
    events_are_told,
    *GATES_HOLD,
    callbacks_go_out,
    people_look,
    a_share_holds,
    people_change,
    orders_recur,
    secrets_are_rotated,
    people_sign_in,
    secrets_and_persons_are_forgotten,
    *OPERATED,
    failures_are_counted,
    a_run_freezes,
    workers_come_and_go,
    charts_are_drawn,
    a_process_dies,
    time_goes_by,
    the_trail_is_read,
]
