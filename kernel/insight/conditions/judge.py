"""Which rules hold, given the facts. Pure: no I/O, no clock of its own."""

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta

from kernel.insight.conditions import rules
from kernel.insight.conditions.facts import Expiring, Facts
from kernel.insight.conditions.rules import Condition, Rule, Severity

# Exit codes of `kernel status`, as monitoring plugins have them.
EXIT_CODES = {Severity.CRITICAL: 2, Severity.WARNING: 1, Severity.NOTICE: 0}


def judge(facts: Facts) -> list[Condition]:
    """Return what is wrong, the worst first; nothing when all is well."""
    return sorted((one for look in _LOOKS for one in look(facts)), key=lambda one: one.rank)


def exit_code(conditions: Iterable[Condition]) -> int:
    """Return 2 when one is critical, 1 when one is a warning, else 0."""
    return max((EXIT_CODES[one.severity] for one in conditions), default=0)


def troubles(conditions: Iterable[Condition]) -> int:
    """Count those that a person has to look at: notices are not."""
    return sum(one.severity is not Severity.NOTICE for one in conditions)


def _database(facts: Facts) -> Iterator[Condition]:
    found = facts.database
    schema = {"found": found.schema or "none", "needs": found.needs}
    if not found.answers:
        yield Condition(rule=rules.DATABASE_GONE, values={"error": found.error})
        return
    if found.is_read_only:
        yield Condition(rule=rules.DATABASE_READ_ONLY)
    if found.is_behind:
        yield Condition(rule=rules.SCHEMA_BEHIND, values=schema)
    if found.is_ahead:
        yield Condition(rule=rules.SCHEMA_AHEAD, values=schema)
    if found.unfit:
        yield Condition(rule=rules.DATABASE_UNFIT, values={"error": found.unfit})


def _processes(facts: Facts) -> Iterator[Condition]:
    if facts.broker is False:
        yield Condition(rule=rules.BROKER_GONE)
    if facts.workers == 0:
        waiting = 0 if facts.backlog is None else facts.backlog.orders_due
        yield Condition(
            rule=rules.NO_WORKER, since=facts.worker_seen_at, values={"waiting": waiting}
        )


def _orders(facts: Facts) -> Iterator[Condition]:
    found, oldest = facts.backlog, facts.oldest
    if found is None or found.orders_due_oldest <= rules.ORDERS_WAIT.total_seconds():
        return
    first = {} if oldest is None else {"tag": oldest.select_tag, "caller": oldest.caller}
    if oldest is not None:
        first |= {"order_id": oldest.order_id, "reference": oldest.reference or oldest.order_id}
    yield Condition(
        rule=rules.QUEUE_OLD,
        since=facts.now - timedelta(seconds=found.orders_due_oldest),
        cause=_why_orders_wait(facts),
        values={"due": found.orders_due, "seconds": found.orders_due_oldest, **first},
    )


def _why_orders_wait(facts: Facts) -> str:
    if facts.workers == 0:
        return "no_worker"
    if facts.broker is False:
        return "broker_gone"
    if facts.workers is None:
        return ""
    taking = facts.workers - facts.quiet
    if taking <= 0:
        return "drained"
    running = 0 if facts.backlog is None else facts.backlog.orders_running
    return "all_busy" if running >= taking else ""


def _callbacks(facts: Facts) -> Iterator[Condition]:
    found = facts.backlog
    if found is not None and found.deliveries_due_oldest > rules.CALLBACKS_WAIT.total_seconds():
        yield Condition(
            rule=rules.CALLBACKS_OLD,
            since=facts.now - timedelta(seconds=found.deliveries_due_oldest),
            cause="receiver_failing" if facts.failing else "",
            values={"due": found.deliveries_due, "seconds": found.deliveries_due_oldest},
        )
    for one in facts.failing:
        yield Condition(
            rule=rules.RECEIVER_FAILING,
            subject=one.origin,
            cause=one.reason or "",
            values={"attempts": one.attempts, "status": one.status, "callers": one.callers},
        )
    if facts.dead is not None and facts.dead.number > 0:
        yield Condition(
            rule=rules.DEAD_CALLBACKS,
            since=facts.dead.first_at,
            cause=facts.dead.died_of or "",
            values={"number": facts.dead.number, "origin": facts.dead.origin},
        )


def _errors(facts: Facts) -> Iterator[Condition]:
    for one in facts.errors:
        yield Condition(
            rule=rules.NEW_ERROR,
            subject=one.fingerprint,
            since=one.since,
            cause="came_back" if one.came_back else "",
            values={"tag": one.select_tag, "what": one.what, "place": one.place},
        )


def _people(facts: Facts) -> Iterator[Condition]:
    for schedule in facts.schedules:
        yield Condition(
            rule=rules.SCHEDULE_FAILED,
            subject=schedule.name,
            since=schedule.failed_at,
            values={"error": schedule.error},
        )
    yield from _ending(rules.KEY_EXPIRES, facts, facts.keys)
    yield from _ending(rules.CERTIFICATE_EXPIRES, facts, facts.certificates)
    for pause in facts.pauses:
        yield Condition(
            rule=rules.PAUSED,
            subject=f"{pause.what} {pause.name}",
            since=pause.since,
            cause=pause.what,
            values={
                "name": pause.name,
                "until": pause.until,
                "by": pause.by,
                "why": pause.why,
                "resumes": dict(pause.resumes),
            },
        )


def _ending(rule: Rule, facts: Facts, found: Iterable[Expiring]) -> Iterator[Condition]:
    for one in found:
        ended = one.ends_at <= facts.now
        yield Condition(
            rule=rule,
            subject=f"{one.of} {one.name}",
            cause="ended" if ended else "ends",
            values={"name": one.name, "caller": one.of, "ends_at": one.ends_at},
        )


_LOOKS: tuple[Callable[[Facts], Iterator[Condition]], ...] = (
    *(_database, _processes, _orders, _callbacks, _errors, _people),
)
