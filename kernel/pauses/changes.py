"""Pauses begin and end: hold what is owed or due, and let it go again."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, bindparam, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from kernel.callers.audit.actor import SYSTEM
from kernel.callers.audit.acts import BY_SYSTEM, By
from kernel.db.tables.operating.pauses import PAUSES
from kernel.db.tables.receivers import RECEIVERS
from kernel.db.transactions import TRIES, rowcount
from kernel.delivery.pauses import hold_paused, release_unpaused
from kernel.errors import Conflict, InvalidOrder, NotFound, Unavailable
from kernel.formats.durations import seconds
from kernel.formats.envelope import rfc3339
from kernel.formats.order_request import problem
from kernel.pauses.orders import HELD_AT_ONCE, Held, hold_orders, release_orders
from kernel.pauses.subjects import Subject
from kernel.runtime.kernel import Kernel

# What the act of a sweep says that has ended a pause.
OVER = By(SYSTEM, "its time was over")
# Pauses that one sweep ends.
ENDED = 100
# The longest time after which a pause ends by itself.
LONGEST = timedelta(days=366)


class Resumed(NamedTuple):
    """How many callbacks or orders are due again, and which orders to hint."""

    number: int
    woken: Sequence[str] = ()


def end_after(kernel: Kernel, span: str) -> datetime:
    """Return when a pause ends that lasts as long as `2h` says. Raises ValueError."""
    lasts = seconds(span)
    if lasts > LONGEST.total_seconds():
        raise ValueError(f"a pause ends within {LONGEST.days} days, or when it is resumed")
    return kernel.clock.now() + timedelta(seconds=lasts)


def pause(
    kernel: Kernel, subject: Subject, *, until: datetime | None = None, by: By = BY_SYSTEM
) -> Held:
    """Send nothing, or begin no order, of ``subject``; ``until`` then, or until it is resumed.

    Returns how many callbacks or orders were marked as held at once (the sweep marks the others),
    and which orders to hint: those that go on with a slot that was kept for one of them.
    Attempts and runs that have begun go on. A pause that is in force keeps its beginning, and gets
    this end and this reason. Raises NotFound for a caller or receiver that is not there, and
    InvalidOrder for an end that is past, and ValueError for what is no host.
    """
    subject = subject.spelled()
    if until is not None and until <= kernel.clock.now():
        past = "the end of a pause has to be later than now"
        raise InvalidOrder(
            "the pause is not valid", errors=[problem("/until", "invalid_time", past)]
        )
    told = {"until": until, "why": by.why, "by_whom": by.who}
    for _ in range(TRIES):
        with kernel.read_session() as session:
            asked = (kernel, subject, told, subject.named(session), by)
        # One that is in force may end between the two: then this one begins.
        if _begin(*asked) or _change(*asked):
            break
    else:
        raise Unavailable(retry_after=1)
    if subject.is_of_orders:
        return hold_orders(kernel, HELD_AT_ONCE)
    return Held(hold_paused(kernel))


def _begin(kernel: Kernel, subject: Subject, told: dict[str, Any], target: str, by: By) -> bool:
    """Begin a pause; False when one is in force."""
    row = subject.values | told | {"created_at": kernel.clock.sql()}
    try:
        with kernel.write_session() as session:
            session.execute(insert(PAUSES).values(row))
            by.record(session, f"{subject.noun}.pause", target, after=_facts(told["until"]))
    except IntegrityError:
        return False
    return True


def _change(kernel: Kernel, subject: Subject, told: dict[str, Any], target: str, by: By) -> bool:
    """Give a pause that is in force another end and reason; that of drafts keeps its own.

    False when there is none in force.
    """
    with kernel.write_session() as session:
        mine = select(PAUSES).where(subject.where).with_for_update()
        before = session.execute(mine).one_or_none()
        if before is None:
            return False
        if before.reason is None and (before.until, before.why) != (told["until"], told["why"]):
            session.execute(update(PAUSES).where(PAUSES.c.id == before.id).values(told))
            ends = {"before": _facts(before.until), "after": _facts(told["until"])}
            by.record(session, f"{subject.noun}.pause", target, **ends)
    return True


def _facts(until: datetime | None) -> dict[str, Any] | None:
    return None if until is None else {"until": rfc3339(until)}


def resume(kernel: Kernel, subject: Subject, *, by: By = BY_SYSTEM) -> Resumed:
    """End a pause: what it held, and no other pause holds, is due now.

    Callbacks have a fresh schedule; orders go on in the order in which they were due. Of very many
    orders the sweep lets the later ones go. Raises NotFound when there is no such pause, and
    Conflict for a caller whose receivers are drafts yet: its callbacks would go without their
    secrets.
    """
    _end(kernel, subject, by)
    if subject.is_of_orders:
        woken = release_orders(kernel, HELD_AT_ONCE)
        return Resumed(len(woken), woken)
    return Resumed(release_unpaused(kernel))


def _end(kernel: Kernel, subject: Subject, by: By, only: ColumnElement[bool] | None = None) -> None:
    """Delete a pause, if that is true of its row. Raises as `resume`."""
    with kernel.write_session() as session:
        if subject.caller_id is not None:
            drafts = session.scalar(_DRAFTS, {"caller": subject.caller_id})
            if drafts:
                raise Conflict("its receivers are drafts: adopt them, with kernel receivers adopt")
        gone = delete(PAUSES).where(subject.where)
        if rowcount(session.execute(gone if only is None else gone.where(only))) == 0:
            raise NotFound("that is not paused")
        try:
            target = subject.named(session)
        except NotFound:  # it was removed meanwhile
            target = f"{subject.what} {getattr(subject, subject.what)}"
        by.record(session, f"{subject.noun}.resume", target)


_DRAFTS = select(func.count()).where(
    RECEIVERS.c.caller_id == bindparam("caller"), RECEIVERS.c.is_draft.is_(True)
)


def end_pauses(kernel: Kernel) -> int:
    """End pauses whose time is over, and those of receivers that are gone; return how many.

    What they held is let go by `release_orders` and `release_unpaused`.
    """
    over = PAUSES.c.until <= kernel.clock.sql()
    gone = (PAUSES.c.receiver_id.is_not(None)) & PAUSES.c.receiver_id.not_in(select(RECEIVERS.c.id))
    with kernel.read_session() as session:
        rows = session.execute(select(PAUSES).where(or_(over, gone)).limit(ENDED)).all()
    ended = 0
    for row in rows:
        # Another person may have set another end meanwhile, or have resumed it.
        with suppress(NotFound, Conflict):
            _end(kernel, subject_of(row), OVER, or_(over, gone))
            ended += 1
    return ended


def subject_of(row: Any) -> Subject:
    """Return what a row of `kernel_pauses` is a pause of."""
    return Subject(**{name: getattr(row, name) for name in Subject.__slots__})
