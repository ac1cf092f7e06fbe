"""What makes lost messages and dead workers harmless: the jobs of a sweep, run one after another.

Jobs return ids; the caller sends the hints.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from sqlalchemy import func, or_, select

from kernel.callers.audit.seals import AGE, LATE
from kernel.db.states import DeliveryState, OrderState
from kernel.db.tables.audit import ACTS, REFUSED_KEYS, SEALS
from kernel.db.tables.deliveries import DELIVERIES
from kernel.db.tables.gates import GATES, KEYS
from kernel.db.tables.limits import LINES
from kernel.db.tables.operating.errors import ERRORS, HOURS
from kernel.db.tables.operating.pauses import PAUSES
from kernel.db.tables.operating.runs import RUNS
from kernel.db.tables.operating.trends import MARKS
from kernel.db.tables.orders import ORDERS
from kernel.db.tables.schedules import SCHEDULES
from kernel.db.tables.service import ProcessMetrics, ServiceKey, Worker
from kernel.insight.failures.counting import KEEP_HOURS, UNCOUNTED
from kernel.insight.process_metrics import FOLD_AFTER, PAST
from kernel.insight.readiness import MISSED
from kernel.insight.trends.marks import Sign
from kernel.insight.trends.rows import HOUR, KEEP
from kernel.insight.workers.heartbeat import FORGET_AFTER
from kernel.orders.ends.descent import descents
from kernel.runtime.hints import Hints
from kernel.runtime.kernel import Kernel
from kernel.runtime.service_key import FINGERPRINTS
from kernel.worker.maintenance.bookkeeping.audit import forget_refusals, seal_acts
from kernel.worker.maintenance.bookkeeping.conditions import NoteConditions
from kernel.worker.maintenance.bookkeeping.counts import (
    CountMinutes,
    fold_metrics,
    forget_processes,
    mark_breakers,
)
from kernel.worker.maintenance.bookkeeping.errors import count_errors
from kernel.worker.maintenance.bring_forward import BringForward
from kernel.worker.maintenance.due_hints import DueHints
from kernel.worker.maintenance.gates.limits import SettleLimits
from kernel.worker.maintenance.gates.windows import (
    Descents,
    Parents,
    ReleaseKeys,
    expire_orders,
    wake_orders,
)
from kernel.worker.maintenance.job import (
    KEPT_SINCE,
    Job,
    Swept,
    ago,
    before,
    idle_jobs,
    if_so,
    one_of,
)
from kernel.worker.maintenance.known_tags import fail_unknown, fail_unknown_in_line
from kernel.worker.maintenance.paused import hold_deliveries, hold_due_orders, keep_pauses
from kernel.worker.maintenance.prune import ForgetSecrets
from kernel.worker.maintenance.rescue import SeenLeases, rescue_orders
from kernel.worker.maintenance.schedules import fire_schedules, not_fired
from kernel.worker.maintenance.set_aside import SetAside


def sweep_jobs(
    hints: Hints | None,
    *,
    may_rescue: Callable[[], bool],
    leases: SeenLeases | None = None,
) -> list[Job]:
    """Return the jobs of a sweep in their order.

    ``hints``: where due orders will be hinted; None to find them all, however many hints wait.
    ``may_rescue`` is False until this process has reached the database without a break for a
    whole lease: an outage is not a death. ``leases``: what this process has seen of them; None
    where the database's clock is believed, at the word of an operator.
    """
    not_rescued = SetAside("order not rescued")
    not_expired, not_woken = SetAside("order not expired"), SetAside("order not woken")
    fold = partial(fold_metrics, unreadable=SetAside("metrics not folded", what_id="process_id"))

    def rescue(kernel: Kernel, swept: Swept) -> None:
        if may_rescue():
            rescue_orders(kernel, swept, not_rescued, leases)
            return
        swept.is_whole = False
        if leases is not None:
            leases.look(kernel)

    def forget(kernel: Kernel, swept: Swept) -> None:
        # A clock that was set forward has every process silent until its next heartbeat.
        if leases is None or kernel.clock.is_steady_for(MISSED * kernel.settings.sweep_seconds):
            forget_processes(kernel, swept)

    return [
        Job("orders of a clock that was set back", BringForward().run),
        Job("recurring orders", partial(fire_schedules, aside=not_fired()), (_SCHEDULE,)),
        Job("ends of windows", partial(expire_orders, aside=not_expired), (_GATE,)),
        Job("ends of waits", partial(wake_orders, aside=not_woken), (_GATE,)),
        Job("stuck ordering keys", ReleaseKeys().run, (_KEY,)),
        Job("parents of ended orders", Parents().run, (_GATE,)),
        Job("children of cancelled orders", Descents().run, (_DESCENT,)),
        Job("limits", SettleLimits().run, (_LINE, _GATE)),
        *_PAUSES,
        Job("hints of due orders", DueHints(hints).run, (_PENDING,)),
        Job("rescue", rescue, (_RUNNING,)),
        *_of_unknown_tags(),
        Job("silent processes", forget, (_SILENT,)),
        Job("secrets of ended orders", ForgetSecrets().run, (_SECRETS,)),
        Job("counts of minutes", CountMinutes().run),
        Job("metrics of ended processes", fold, (_ENDED,), keeps_books=True),
        *_BOOKKEEPING,
        Job("conditions", NoteConditions(hints).run),
    ]


def _of_unknown_tags() -> tuple[Job, Job]:
    in_line = partial(fail_unknown_in_line, aside=SetAside("order not failed"))
    due = partial(fail_unknown, aside=SetAside("order not failed"))
    # Those in a line first: the end of the first of them makes the next one pending.
    return (
        Job("waiting orders of unknown tags", in_line, (_GATE,)),
        Job("orders of unknown tags", due, (_PENDING,)),
    )


# What jobs need. A paused order waits at a gate, and so does one that waits for a slot.
_SCHEDULE, _GATE, _KEY = select(SCHEDULES.c.id), select(GATES.c.order_id), select(KEYS.c.caller_id)
_DESCENT = one_of(descents().order_by(GATES.c.accepted_at))
_LINE, _PAUSE = select(LINES.c.tag), select(PAUSES.c.id)
_HELD = one_of(
    select(DELIVERIES.c.id)
    .where(DELIVERIES.c.state == DeliveryState.HELD)
    .order_by(DELIVERIES.c.is_retry)
)
_REFUSED = select(REFUSED_KEYS.c.minute)
_PENDING, _RUNNING = (
    # By tag: no index but that of the states has it next.
    one_of(select(ORDERS.c.id).where(ORDERS.c.state == state).order_by(ORDERS.c.select_tag))
    for state in (OrderState.PENDING, OrderState.RUNNING)
)
_SILENT = select(Worker.id).where(Worker.seen_at < ago(FORGET_AFTER))
_ENDED = select(ProcessMetrics.id).where(
    ProcessMetrics.id != PAST, ProcessMetrics.written_at < ago(FOLD_AFTER)
)
# The key of fingerprints is made with the first order that has secrets.
_SECRETS = select(ServiceKey.id).where(ServiceKey.id == FINGERPRINTS)
_ERRORS = (
    one_of(UNCOUNTED.with_only_columns(RUNS.c.ended_at)),
    before(ERRORS.c.last_seen, KEPT_SINCE),
    before(HOURS.c.began_at, ago(KEEP_HOURS)),
)
_MARKS = (
    select(Worker.id).where(or_(Worker.broken != "", Worker.probing != "")),
    one_of(
        select(MARKS.c.id)
        .where(MARKS.c.kind == Sign.BREAKER, MARKS.c.ended_at.is_(None))
        .order_by(MARKS.c.ended_at)
    ),
    before(MARKS.c.began_at, ago(KEEP[HOUR])),
)
# New acts, the first of them old enough, and those among which one may be late.
_SEALED = select(SEALS.c.last_id).order_by(SEALS.c.id.desc()).limit(1).scalar_subquery()
_NEW = select(ACTS.c.at).where(ACTS.c.id > func.coalesce(_SEALED, 0)).order_by(ACTS.c.id)
_LAST = select(func.max(ACTS.c.at)).where(ACTS.c.at <= ago(AGE))
_ACTS = (
    if_so(_NEW.limit(1).scalar_subquery() <= ago(AGE)),
    if_so(_LAST.scalar_subquery() > ago(LATE)),
)
# What people have paused. Before the hints: a paused order is not due.
_PAUSES = (
    Job("ends of pauses", keep_pauses, (_PAUSE,)),
    Job("orders on hold", hold_due_orders, (_PAUSE, _GATE)),
    Job("deliveries on hold", hold_deliveries, (_PAUSE, _HELD)),
)
# Jobs that touch no order and hold nothing.
_BOOKKEEPING = (
    Job("errors", count_errors, _ERRORS, keeps_books=True),
    Job("marks of breakers", mark_breakers, _MARKS, keeps_books=True),
    Job("seals of acts", seal_acts, _ACTS, keeps_books=True),
    Job("old counts of refused keys", forget_refusals, (_REFUSED,), keeps_books=True),
)


def run_jobs(kernel: Kernel, jobs: Sequence[Job]) -> Iterator[tuple[Job, Swept, Exception | None]]:
    """Run ``jobs`` in turn; yield each with what it did, and with its error if it failed.

    What a job did before it failed is committed, so it has to be told all the same. One that has
    nothing to do is yielded without a turn.
    """
    idle: dict[bool, set[str]] = {}
    for job in jobs:
        if job.needs and job.keeps_books not in idle:
            alike = [one for one in jobs if one.keeps_books == job.keeps_books]
            idle[job.keeps_books] = idle_jobs(kernel, alike)
        swept, failed = Swept(), None
        try:
            if not job.needs or job.name not in idle[job.keeps_books]:
                job.run(kernel, swept)
        except Exception as error:  # noqa: BLE001 - the next job has its turn
            failed = error
        yield job, swept, failed


def sweep(kernel: Kernel, *, rescue: bool, swept: Swept | None = None) -> Swept:
    """Run every job of a sweep now, whichever process's turn it is, and return what they did.

    Raises the error of a job that failed, after the last job: pass ``swept`` to see what was done
    all the same.
    """
    total, errors = Swept() if swept is None else swept, []
    jobs = sweep_jobs(None, may_rescue=lambda: rescue)
    for _, done, error in run_jobs(kernel, jobs):
        total.due += done.due
        total.rescued += done.rescued
        total.failed |= done.failed
        errors += [error] if error is not None else []
    if errors:
        raise errors[0]
    return total
