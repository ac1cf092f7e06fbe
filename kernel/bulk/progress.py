"""How far a bulk act is: written in the commit of each change, so that none is made twice."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, case, insert, or_, select, update
from sqlalchemy.orm import Session

from kernel.bulk.choosing import read, written
from kernel.bulk.kinds import JobState
from kernel.callers.audit.actor import Actor
from kernel.callers.audit.acts import By, Facts
from kernel.db.ids import new_id
from kernel.db.statements.keyset import Key
from kernel.db.tables.operating.bulk import JOBS, LEFT
from kernel.db.transactions import rowcount
from kernel.runtime.kernel import Kernel

# For how long a step holds its job: a process that dies in one delays the job by this.
LEASE = timedelta(seconds=10)
# Items left as they were that a job tells of one by one; the others are counted.
TOLD = 1000
SAID = 255
# The longest pause after steps that failed, in seconds.
LONGEST_PAUSE = 60


class Overtaken(Exception):
    """The job was aborted, or another process has it: nothing of this transaction is to stay."""


@dataclass(frozen=True, slots=True)
class Left:
    """An item that is left as it was: why, as a code and in words."""

    item_id: str
    code: str
    said: str | None = None


@dataclass(slots=True)
class Progress:
    """The place of one job while a step of it is under way. Belongs to one thread."""

    kernel: Kernel
    job: Any
    token: str
    # The key after which the job goes on, as far as it was written.
    place: Key | None
    # Items that were left since the last write.
    left: list[Left] = field(default_factory=list)
    # Those that were changed in this step.
    done: int = 0

    def write(self, asked: Session | Connection, place: Key | None, done: int, **more: Any) -> None:
        """Move the job's place on, in the transaction of what was done; its row is locked last.

        Raises Overtaken. Call `written` after the commit.
        """
        values = {
            "place": written(place),
            "done": JOBS.c.done + done,
            "left_out": JOBS.c.left_out + len(self.left),
            "lease_until": self.kernel.clock.sql(LEASE),
        }
        self._update(asked, values | more)
        room = TOLD - self.job.left_out
        if rows := [self._row(one) for one in self.left[: max(0, room)]]:
            asked.execute(insert(LEFT), rows)

    def give_back(self, asked: Session | Connection, **values: Any) -> None:
        """End the claim; the job's place stays as it was committed. Raises Overtaken."""
        self._update(asked, {**values, "claim_token": None, "lease_until": None})

    def _update(self, asked: Session | Connection, values: dict[str, Any]) -> None:
        held = (JOBS.c.id == self.job.id, JOBS.c.claim_token == self.token)
        moved = update(JOBS).where(*held, JOBS.c.state == JobState.RUNNING).values(values)
        if rowcount(asked.execute(moved)) != 1:
            raise Overtaken

    def _row(self, one: Left) -> dict[str, Any]:
        said = None if one.said is None else one.said[:SAID]
        return {"job_id": self.job.id, "item_id": one.item_id, "code": one.code, "said": said}

    def written(self, place: Key | None, done: int) -> None:
        """Note that what `write` has written is committed."""
        self.place, self.left = place, []
        self.done += done


class Noting(By):
    """Who began a bulk act: an act that it writes moves the job to ``place``, in the same commit.

    ``count``: how many items the change is of.
    """

    __slots__ = ("count", "is_written", "place", "progress")

    def __init__(self, progress: Progress, place: Key | None, count: int = 1) -> None:
        job = progress.job
        super().__init__(Actor(job.actor, job.via, job.address, job.key_prefix), job.reason)
        given = {"progress": progress, "place": place, "count": count, "is_written": False}
        for name, value in given.items():
            object.__setattr__(self, name, value)

    progress: Progress
    place: Key | None
    count: int
    # Whether an act was written; the commit may have failed yet.
    is_written: bool

    def record(
        self,
        asking: Session | Connection,
        verb: str,
        target: str,
        *,
        before: Facts = None,
        after: Facts = None,
    ) -> None:
        """Write the act and the job's place. Raises Overtaken."""
        told = {"before": before, "after": {**(after or {}), "bulk": self.progress.job.id}}
        By.record(self, asking, verb, target, **told)
        self.progress.write(asking, self.place, self.count)
        object.__setattr__(self, "is_written", True)


def claim(kernel: Kernel, token: str, job_id: str | None = None) -> Progress | None:
    """Claim a job that is due, the one that is due for longest; or None.

    ``job_id``: this one alone.
    """
    now = kernel.clock.sql()
    free = JOBS.c.lease_until.is_(None) | (JOBS.c.lease_until < now)
    due = [JOBS.c.state == JobState.RUNNING, JOBS.c.next_at <= now, free]
    if job_id is not None:
        due.append(JOBS.c.id == job_id)
    with kernel.read() as connection:
        ids = connection.scalars(
            select(JOBS.c.id).where(*due).order_by(JOBS.c.next_at).limit(5)
        ).all()
    held = {"claim_token": token, "lease_until": kernel.clock.sql(LEASE)}
    for one in ids:
        with kernel.write() as connection:
            taken = connection.execute(update(JOBS).where(*due, JOBS.c.id == one).values(held))
            if rowcount(taken) == 1:
                job = connection.execute(select(JOBS).where(JOBS.c.id == one)).one()
                return Progress(kernel, job, token, read(job.place))
    return None


def bring_acts_forward(kernel: Kernel) -> int:
    """Have acts go on that rest, or are held, only because the database's clock was set back.

    Returns how many there are. A step comes a minute after the one before it at the latest, or a
    little more: one that is early by that costs a rate nothing.
    """
    rests = JOBS.c.next_at > kernel.clock.sql(2 * timedelta(seconds=LONGEST_PAUSE))
    is_held = JOBS.c.lease_until > kernel.clock.sql(2 * LEASE)
    late = (JOBS.c.state == JobState.RUNNING, or_(rests, is_held))
    with kernel.read() as connection:
        ids = connection.scalars(select(JOBS.c.id).where(*late)).all()
    if ids:
        with kernel.write() as connection:
            held = case((is_held, kernel.clock.sql(LEASE)), else_=JOBS.c.lease_until)
            goes_on = {"next_at": kernel.clock.sql(), "lease_until": held}
            connection.execute(update(JOBS).where(JOBS.c.id.in_(ids), *late).values(goes_on))
    return len(ids)


def new_token(kernel: Kernel) -> str:
    """Return what one process claims jobs with."""
    return new_id(kernel.clock.now())


def pause_after(failures: int) -> timedelta:
    """Return how long a job rests after a number of failed steps in a row: 2, 4, 8 ... 60 s."""
    return timedelta(seconds=min(LONGEST_PAUSE, 2 ** min(failures, 10)))
