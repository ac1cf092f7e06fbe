"""The list of bulk acts, the form that counts and begins one, and the page of one."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from flask import Response, request
from sqlalchemy.orm import Session

from kernel.bulk.choosing import count
from kernel.bulk.jobs import abort, begin, find, left_of, list_jobs, made_by, reasons_of
from kernel.bulk.kinds import MOST_RATE, JobState, Kind, Plan, plan_of
from kernel.db.states import DeliveryState
from kernel.errors import InvalidOrder
from kernel.filters.counts import COUNTED, Counts
from kernel.filters.fields import caller_names, read_callbacks, read_orders, written
from kernel.insight.search import suggestions
from kernel.runtime.kernel import Kernel
from kernel.views.dashboard.frame import FormRefused, Frame
from kernel.views.dashboard.lists.deliveries import DIED_OF
from kernel.views.dashboard.lists.groups import groups_of
from kernel.views.dashboard.lists.query import TIMES, Asked, number, read_address
from kernel.views.http.sessions import Visitor


@dataclass(frozen=True, slots=True)
class Act:
    """A bulk act as an address asks for it: its plan, and its filter as given."""

    plan: Plan
    asked: Asked[Any]

    @property
    def states(self) -> Mapping[str, str]:
        """The states that its filter may say, each with the key of its text."""
        before = "state_" if self.plan.kind.is_of_orders else "delivery_"
        return {state: before + state for state in self.plan.kind.possible}


def read_act(kernel: Kernel, session: Session) -> Act:
    """Read the address, and the form's options. Raises FormRefused for an unknown kind, or rate."""
    try:
        kind = Kind(request.args.get("kind", Kind.REDELIVER))
    except ValueError:
        raise FormRefused.by_field({"kind": f"one of {', '.join(Kind)}"}) from None
    form, said = request.form, request.form.get("rate", "").strip()
    rate = number(said) if said else None
    if rate == 0:  # what is no number is not to mean "as fast as it goes"
        raise FormRefused.by_field({"rate": f"a number from 1 to {MOST_RATE} a minute"})
    reader: Any = read_orders if kind.is_of_orders else read_callbacks
    asked: Asked[Any] = read_address(session, kernel.clock.now(), reader)
    plan = Plan(kind, asked.wanted, "again" in form, "current_shape" in form, rate)
    wrong = dict(asked.wrong)
    try:
        plan.check()
    except InvalidOrder as invalid:
        wrong |= {one["pointer"].strip("/"): one["detail"] for one in invalid.data["errors"]}
    return Act(plan, replace(asked, read=replace(asked.read, wrong=wrong)))


def bulk_pages(frame: Frame) -> None:
    """Add the pages to ``frame``."""
    _beginning(frame)
    _following(frame)


def _beginning(frame: Frame) -> None:
    kernel = frame.kernel

    @frame.page("/bulk")
    def bulk_list(visitor: Visitor) -> Response:
        with kernel.read_session() as session:
            jobs = list_jobs(session)
        return frame.render("dashboard/bulk/list.html", jobs=jobs, kinds=list(Kind))

    @frame.page("/bulk/new")
    def bulk_form(visitor: Visitor) -> Response:
        with kernel.read_session() as session:
            act, counts = read_act(kernel, session), None
            how = request.args.get("count", "")
            if not act.asked.wrong and (act.asked.state or act.asked.chosen or how):
                budget = COUNTED if how == "all" else frame.limits.counting
                counts = count(session, act.plan, budget)
            told = _around(kernel, session, act, counts)
        return frame.render("dashboard/bulk/form.html", **told)

    @frame.change("/bulk")
    def begin_bulk(visitor: Visitor) -> Response:
        with kernel.read_session() as session:
            act = read_act(kernel, session)
            if act.asked.wrong:
                raise FormRefused.by_field(act.asked.wrong)
            counts = count(session, act.plan)
        job_id = begin(kernel, act.plan, counts, frame.by(visitor))
        return frame.back("bulk_one", "done_bulk_begun", bulk_id=job_id)


def _around(kernel: Kernel, session: Session, act: Act, counts: Counts | None) -> dict[str, Any]:
    """Return what the form says: what it asks, what its fields may hold, and the counts."""
    connection = session.connection()
    return {
        "act": act,
        "asked": act.asked,
        # For the button: "2h" is another time by the time that it is pressed.
        "meant": written(act.plan.wanted, act.asked.callers),
        "total": counts,
        "groups": [] if counts is None else groups_of(counts, act.asked),
        "tags": sorted({*suggestions.tags(connection), *kernel.handlers}),
        "receivers": suggestions.receivers(connection),
        "callback_states": list(DeliveryState),
        "died_of": DIED_OF,
    }


def _following(frame: Frame) -> None:
    kernel = frame.kernel

    @frame.page("/bulk/<bulk_id>")
    def bulk_one(visitor: Visitor, bulk_id: str) -> Response:
        with kernel.read_session() as session:
            job = find(session, bulk_id)
            told: dict[str, Any] = {
                "job": job,
                "fields": _fields(job, caller_names(session)),
                "reasons": reasons_of(session, bulk_id),
                "left": left_of(session, bulk_id),
                "made": made_by(session, bulk_id),
            }
        return frame.render("dashboard/bulk/one.html", running=JobState.RUNNING, **told)

    @frame.change("/bulk/<bulk_id>/abort")
    def abort_bulk(visitor: Visitor, bulk_id: str) -> Response:
        ended = abort(kernel, bulk_id, frame.by(visitor))
        said = "done_bulk_aborted" if ended else "done_bulk_ended"
        return frame.back("bulk_one", said, bulk_id=bulk_id)


def _fields(job: Any, callers: Mapping[int, str]) -> dict[str, str | datetime]:
    """Return the fields of a job's filter; as they are kept, for a newer release's."""
    try:
        wanted = plan_of(job).wanted
    except (TypeError, ValueError):
        kept: dict[str, Any] = json.loads(job.wanted)
        return {name: str(value) for name, value in kept.items()}
    values = {name: getattr(wanted, name, None) for name in TIMES}
    times = {name: at for name, at in values.items() if isinstance(at, datetime)}
    return {name: times.get(name, text) for name, text in written(wanted, callers).items()}
