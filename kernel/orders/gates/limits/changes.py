"""What people set for the limit of a tag, instead of what its handler registers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, insert, select, true, update
from sqlalchemy.orm import Session

from kernel.callers.audit.acts import BY_SYSTEM, By
from kernel.config.near import did_you_mean
from kernel.db.tables.limits import LINES, SET_LIMITS, SLOTS
from kernel.db.transactions import rowcount
from kernel.errors import NotFound, RequestRefused
from kernel.handlers.limits import CONCURRENCY_WORDS, Rate, is_concurrency
from kernel.runtime.kernel import Kernel


@dataclass(frozen=True, slots=True)
class Change:
    """What a person sets for a tag: None leaves it as registered, 0 and "" take the limit away."""

    concurrency: int | None = None
    rate: str | None = None

    def check(self) -> None:
        """Raise RequestRefused for what no limit can be."""
        if self.concurrency is None and self.rate is None:
            raise RequestRefused("give a concurrency, a rate, or both")
        if self.concurrency and not is_concurrency(self.concurrency):
            raise RequestRefused(CONCURRENCY_WORDS)
        if self.rate:
            try:
                Rate.parse(self.rate)
            except ValueError as error:
                raise RequestRefused(str(error)) from None


def set_limit(kernel: Kernel, tag: str, change: Change, *, by: By = BY_SYSTEM) -> None:
    """Set the limit of a tag for all workers; what ``change`` leaves out stays as it was set.

    They know within a few seconds. Orders that run go on, however many they are. Raises
    RequestRefused, and NotFound for a tag that no handler of this process has.
    """
    change.check()
    if tag not in kernel.handlers:
        meant = did_you_mean(tag, kernel.handlers)
        raise NotFound(f"no handler is registered for {tag!r}{meant}")
    given = {"concurrency": change.concurrency, "rate": change.rate}
    values = {name: value for name, value in given.items() if value is not None}
    with kernel.write_session() as session:
        before = _set_now(session, tag)
        row = {**values, "set_at": kernel.clock.sql()}
        changed = update(SET_LIMITS).where(SET_LIMITS.c.tag == tag).values(row)
        if rowcount(session.execute(changed)) == 0:
            session.execute(insert(SET_LIMITS).values(tag=tag, **row))
        _look_again(session, tag, keeps_slots=_has_slots(kernel, tag, before))
        by.record(
            session, "limits.set", f"limit {tag}", before=before, after=_set_now(session, tag)
        )


def clear_limit(kernel: Kernel, tag: str, *, by: By = BY_SYSTEM) -> None:
    """Have a tag's limit be what its handler registers. Raises NotFound if none was set."""
    with kernel.write_session() as session:
        before = _set_now(session, tag)
        if rowcount(session.execute(delete(SET_LIMITS).where(SET_LIMITS.c.tag == tag))) == 0:
            raise NotFound(f"no limit is set for {tag!r}")
        _look_again(session, tag, keeps_slots=_has_slots(kernel, tag, before))
        by.record(session, "limits.clear", f"limit {tag}", before=before)


def _look_again(session: Session, tag: str, *, keeps_slots: bool) -> None:
    """Have nothing taken at a tag's places without a look at how many slots there should be.

    ``keeps_slots`` False: what runs is counted then, for some of it may have begun without a slot.
    """
    session.execute(update(LINES).where(LINES.c.tag == tag).values(is_wanted=true()))
    slots = SLOTS.c.tag == tag
    change = update(SLOTS).values(is_wanted=true()) if keeps_slots else delete(SLOTS)
    session.execute(change.where(slots))


def _has_slots(kernel: Kernel, tag: str, known: Mapping[str, Any] | None) -> bool:
    """Tell whether a tag has a concurrency by what is ``known`` to be set, else by its handler.

    A process without the handler takes it for one that has: nothing changes by its leave.
    """
    found = None if known is None else known["concurrency"]
    if found is None and tag in kernel.handlers:
        found = kernel.handlers[tag].limit.concurrency or 0
    return found != 0


def _set_now(session: Session, tag: str) -> dict[str, Any] | None:
    columns = (SET_LIMITS.c.concurrency, SET_LIMITS.c.rate)
    row = session.execute(select(*columns).where(SET_LIMITS.c.tag == tag)).one_or_none()
    return None if row is None else dict(row._mapping)
