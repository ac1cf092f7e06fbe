"""Bulk acts begin, are found and are aborted: each change a person's, with its act."""

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update
from sqlalchemy.orm import Session

from kernel.bulk.choosing import latest_end, newest
from kernel.bulk.kinds import JobState, Plan, kept
from kernel.callers.audit.acts import BY_SYSTEM, By
from kernel.db.ids import ID, new_id
from kernel.db.tables.callers import Caller
from kernel.db.tables.operating.bulk import JOBS, LEFT, RERUNS
from kernel.db.transactions import rowcount
from kernel.errors import Conflict, NotFound
from kernel.filters.counts import Counts
from kernel.filters.orders import OrderFilter
from kernel.filters.plans import named
from kernel.formats.envelope import rfc3339
from kernel.runtime.kernel import Kernel

# Jobs of a list, and items of a job that are told.
PAGE, SHOWN = 50, 100
# Jobs that may be under way at once.
MOST_RUNNING = 20
# Jobs that one turn deletes, with what belongs to them.
FORGOTTEN = 10


def begin(
    kernel: Kernel,
    plan: Plan,
    counts: Counts | None = None,
    by: By = BY_SYSTEM,
    caller_id: int | None = None,
) -> str:
    """Store a bulk act, which a dispatcher then does; return its id.

    ``counts``: what the person was told that it holds. Orders and callbacks that come later are not
    its own. ``caller_id``: the caller whose act it is, where it is no person's; of these one is
    under way at a time. Raises InvalidOrder with every problem, and Conflict while that one is, or
    as many acts as may be.
    """
    plan.check()
    with kernel.read_session() as session:
        until_id = newest(session, plan)
        wanted = plan.wanted  # what a text names is found out once, and not at each step
        if isinstance(wanted, OrderFilter):
            wanted = named(session, wanted)
        now = session.scalars(select(kernel.clock.sql())).one()
        created_at = now if plan.kind.is_of_orders else latest_end(session, now)
    job_id = new_id(kernel.clock.now())
    told = {"filter": plan.wanted.kept(), "counted": None if counts is None else counts.total}
    told |= {name: value for name, value in options(plan).items() if value}
    actor = by.actor
    row = {
        **{"id": job_id, "kind": plan.kind, "wanted": kept(wanted), "again": plan.again},
        **{"reshaped": plan.reshaped, "rate": plan.rate, "actor": by.who, "via": actor.via},
        **{"address": actor.address, "key_prefix": actor.key, "reason": by.why},
        **{
            "created_at": created_at,
            "next_at": now,
            "state": JobState.RUNNING,
            "until_id": until_id,
        },
        "counted": None if counts is None else counts.total,
        "counted_all": counts is not None and counts.complete,
    }
    with kernel.write_session() as session:
        if caller_id is not None:
            _refuse_second(session, caller_id, plan, by)
        running = select(func.count()).where(JOBS.c.state == JobState.RUNNING)
        if (session.scalar(running) or 0) >= MOST_RUNNING:
            raise Conflict(f"{MOST_RUNNING} bulk acts are under way: let one end, or abort it")
        session.execute(insert(JOBS).values(row))
        by.record(session, f"bulk.{plan.kind}", f"bulk {job_id}", after=told)
    return job_id


def _refuse_second(session: Session, caller_id: int, plan: Plan, by: By) -> None:
    """Raise Conflict while such an act of a caller is under way. Two that begin at once take turns.

    The caller's row is what they wait for.
    """
    session.execute(select(Caller.id).where(Caller.id == caller_id).with_for_update())
    named = (JOBS.c.kind == plan.kind, JOBS.c.actor == by.who, JOBS.c.via == by.actor.via)
    running = select(JOBS.c.id).where(JOBS.c.state == JobState.RUNNING, *named).limit(1)
    if session.scalar(running) is not None:
        raise Conflict("a replay of yours is under way: wait until it has ended")


def options(plan: Plan) -> dict[str, Any]:
    """Return what a plan says beside its kind and its filter."""
    return {"again": plan.again, "with_current_shape": plan.reshaped, "rate": plan.rate}


def abort(kernel: Kernel, job_id: str, by: By = BY_SYSTEM) -> bool:
    """End a bulk act where it is; False when it has ended already. Raises NotFound.

    An item that is being changed at this moment is the last, or is left as it is.
    """
    with kernel.write_session() as session:
        row = find(session, job_id)
        running = (JOBS.c.id == job_id, JOBS.c.state == JobState.RUNNING)
        ends: dict[str, Any] = {
            "state": JobState.ABORTED,
            "ended_by": by.who,
            "claim_token": None,
        }
        ends |= {"finished_at": kernel.clock.sql(), "lease_until": None}
        if rowcount(session.execute(update(JOBS).where(*running).values(ends))) == 0:
            return False
        done = {"done": row.done, "left": row.left_out}
        by.record(session, "bulk.abort", f"bulk {job_id}", before=done)
    return True


def find(asked: Session | Connection, job_id: str) -> Row[Any]:
    """Return the row of a job. Raises NotFound."""
    known = ID.fullmatch(job_id)
    row = asked.execute(select(JOBS).where(JOBS.c.id == job_id)).one_or_none() if known else None
    if row is None:
        raise NotFound(f"there is no bulk act {job_id[:64]}")
    return row


def list_jobs(
    asked: Session | Connection, below: str | None = None, limit: int = PAGE
) -> Sequence[Row[Any]]:
    """Return jobs, the newest first; ``below``: those older than this id, for the next page."""
    query = select(JOBS).order_by(JOBS.c.id.desc()).limit(limit)
    if below is not None:
        query = query.where(JOBS.c.id < below)
    return asked.execute(query).all()


def left_of(
    asked: Session | Connection, job_id: str, after: str = "", limit: int = SHOWN
) -> Sequence[Row[Any]]:
    """Return items that a job has left as they were, and why, in the order of their ids."""
    beyond = (LEFT.c.job_id == job_id, LEFT.c.item_id > after)
    return asked.execute(select(LEFT).where(*beyond).order_by(LEFT.c.item_id).limit(limit)).all()


def reasons_of(asked: Session | Connection, job_id: str) -> dict[str, int]:
    """Return how many of the items that are told were left for each reason, most first."""
    number = func.count().label("number")
    query = select(LEFT.c.code, number).where(LEFT.c.job_id == job_id).group_by(LEFT.c.code)
    found = asked.execute(query.order_by(number.desc(), LEFT.c.code))
    return {row.code: row.number for row in found}


def made_by(
    asked: Session | Connection, job_id: str, after: str = "", limit: int = SHOWN
) -> Sequence[Row[Any]]:
    """Return orders that a job has run again, and as which, in the order of their ids."""
    query = select(RERUNS.c.order_id, RERUNS.c.new_id).where(RERUNS.c.job_id == job_id)
    query = query.where(RERUNS.c.order_id > after).order_by(RERUNS.c.order_id).limit(limit)
    return asked.execute(query).all()


def job_data(row: Any) -> dict[str, Any]:
    """Describe a job, for the wire and for terminals."""
    return {
        **{"bulk_id": row.id, "kind": row.kind, "state": row.state},
        **{"filter": _filter_data(json.loads(row.wanted)), "again": row.again},
        **{"with_current_shape": row.reshaped, "rate": row.rate},
        **{"counted": row.counted, "counted_all": row.counted_all},
        **{"done": row.done, "left": row.left_out, "last_error": row.last_error},
        **{"by": row.actor, "via": row.via, "reason": row.reason, "ended_by": row.ended_by},
        **{"created_at": rfc3339(row.created_at), "finished_at": rfc3339(row.finished_at)},
    }


def _filter_data(kept: Mapping[str, Any]) -> dict[str, Any]:
    """Describe a filter as it is kept, by its fields: words are a text that has named nothing."""
    fields = {"text" if name == "words" else name: value for name, value in kept.items()}
    fields.pop("as_callers_see", None)  # how its states are meant, by who asks
    return fields


def running_jobs(asked: Session | Connection) -> bool:
    """Tell whether a bulk act is under way, due or not."""
    return (
        asked.scalar(select(JOBS.c.id).where(JOBS.c.state == JobState.RUNNING).limit(1)) is not None
    )


def forget_jobs(kernel: Kernel) -> int:
    """Delete some acts that ended before the retention, with what they have left; return how many.

    Which orders were run again stays as long as the orders.
    """
    before = kernel.clock.sql(-timedelta(days=kernel.settings.retention_days))
    old = (JOBS.c.state.in_((JobState.DONE, JobState.ABORTED)), JOBS.c.finished_at < before)
    with kernel.read() as connection:
        ids = connection.scalars(select(JOBS.c.id).where(*old).limit(FORGOTTEN)).all()
    if ids:
        with kernel.write() as connection:
            connection.execute(delete(LEFT).where(LEFT.c.job_id.in_(ids)))
            connection.execute(delete(JOBS).where(JOBS.c.id.in_(ids)))
    return len(ids)
