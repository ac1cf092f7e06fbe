"""`/v1/bulk`: an operator's bulk acts; and a caller's own replays, which are bounded."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

from flask import Response, request, url_for
from pydantic import BaseModel, Field

from kernel.bulk.choosing import count
from kernel.bulk.jobs import (
    abort,
    begin,
    find,
    job_data,
    left_of,
    list_jobs,
    made_by,
    reasons_of,
)
from kernel.bulk.kinds import Filter, JobState, Kind, Plan
from kernel.bulk.progress import TOLD, new_token
from kernel.bulk.steps import Worker, step
from kernel.callers.identity import Identity, Scope
from kernel.callers.people.roles import Role
from kernel.db.ids import ID
from kernel.db.states import DeliveryState, OrderState
from kernel.errors import InvalidOrder, InvalidQuery
from kernel.filters.callbacks import CallbackFilter
from kernel.filters.counts import Counts
from kernel.filters.fields import (
    ALIASES,
    CALLBACK_FIELDS,
    ORDER_FIELDS,
    SAYS_NOTHING,
    blank,
    caller_names,
    known,
    read_callbacks,
    read_orders,
)
from kernel.filters.moments import Here
from kernel.formats.envelope import envelope
from kernel.formats.order_request import problem
from kernel.formats.strictjson import escape_pointer
from kernel.formats.texts import text
from kernel.orders.backpressure import Pressure
from kernel.runtime.kernel import Kernel
from kernel.views.http.acting import by_request
from kernel.views.http.credentials import identity
from kernel.views.http.errors import json_response
from kernel.views.http.requests import Host, Moment, read_as

# How long a replay is done in the request itself; workers go on with the rest.
REPLAY_SECONDS = 1.0


class ReplayRequest(BaseModel, extra="forbid"):
    """The body of POST /v1/deliveries/replay; every member may be left out."""

    since: Moment | None = None
    until: Moment | None = None
    host: Host | None = None
    status: Literal[DeliveryState.DEAD, DeliveryState.DELIVERED] = DeliveryState.DEAD
    dry_run: bool = False


class BulkRequest(BaseModel, extra="forbid"):
    """The body of POST /v1/bulk: what is done, to what, and how fast.

    ``filter`` has the fields of `GET /v1/orders`, or those of callbacks, as text. ``rate``: items a
    minute.
    """

    kind: Kind
    filter: dict[str, str] = Field(default_factory=dict, max_length=40)
    again: bool = False
    with_current_shape: bool = False
    rate: int | None = None
    dry_run: bool = False


class BulkViews:
    """The views, bound to one kernel."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel

    def routes(self) -> dict[str, dict[str, Callable[..., Response]]]:
        """Return the views by rule and method."""
        return {
            "/bulk": {"POST": self.begin_bulk, "GET": self.show_bulks},
            "/bulk/<bulk_id>": {"GET": self.show_bulk},
            "/bulk/<bulk_id>/abort": {"POST": self.abort_bulk},
            "/deliveries/replay": {"POST": self.replay_deliveries},
        }

    def begin_bulk(self) -> Response:
        """POST /v1/bulk: begin a bulk act, or count what it holds."""
        who = identity(self.kernel, Role.OPERATOR)
        asked = read_as(BulkRequest, self.kernel.settings.max_body_bytes)
        wanted, problems = self._filter(who, asked)
        options = (asked.again, asked.with_current_shape, asked.rate)
        plan = Plan(asked.kind, wanted, *options)
        flaws = _flaws(plan, asked.filter)
        if problems:  # what a filter lacks is told of one that could be read
            flaws = [one for one in flaws if not one["pointer"].startswith("/filter")]
        problems += flaws
        if problems:
            raise InvalidOrder("the bulk act is not valid", errors=problems)
        with self.kernel.read_session() as session:
            counts = count(session, plan)
            counted = counts.data(caller_names(session))
        if asked.dry_run:
            return self._success(counted)
        job_id = begin(self.kernel, plan, counts, by_request(self.kernel, who))
        answer = self._success(self._job(job_id) | counted, 202)
        answer.headers["Location"] = url_for(".show_bulk", bulk_id=job_id)
        return answer

    def show_bulks(self) -> Response:
        """GET /v1/bulk: bulk acts, newest first."""
        identity(self.kernel, Role.VIEWER)
        cursor = request.args.get("cursor")
        if cursor is not None and not ID.fullmatch(cursor):
            detail = "give the bulk_id of the last one of an answer"
            raise InvalidQuery(errors=[problem("/cursor", "invalid", detail)])
        with self.kernel.read_session() as session:
            found = list_jobs(session, cursor)
        return self._success({"bulk": [job_data(row) for row in found]})

    def show_bulk(self, bulk_id: str) -> Response:
        """GET /v1/bulk/{id}: how far it is, what it has left and what it has made."""
        identity(self.kernel, Role.VIEWER)
        return self._success(self._job(bulk_id))

    def abort_bulk(self, bulk_id: str) -> Response:
        """POST /v1/bulk/{id}/abort: end it where it is."""
        who = identity(self.kernel, Role.OPERATOR)
        ended = abort(self.kernel, bulk_id, by_request(self.kernel, who))
        return self._success(self._job(bulk_id) | {"aborted": ended})

    def replay_deliveries(self) -> Response:
        """POST /v1/deliveries/replay: send one's own callbacks again that are over."""
        who = identity(self.kernel, Scope.WRITE)
        asked = read_as(ReplayRequest, self.kernel.settings.max_body_bytes)
        when = (asked.since, asked.until)
        wanted = CallbackFilter(who.sees, asked.status, asked.host, *when, who.tags)
        plan = Plan(Kind.REDELIVER, wanted)
        with self.kernel.read_session() as session:
            counts = count(session, plan)
        if asked.dry_run or (counts.complete and not counts.total):
            done = {"count": counts.total, "replayed": 0}
            return self._success(done, 200 if asked.dry_run else 202)
        if who.sees is not None:
            self._refuse_unbounded(counts)
        job_id = begin(self.kernel, plan, counts, by_request(self.kernel, who), who.sees)
        done = {"count": counts.total, "replayed": self._done_soon(job_id, counts.total)}
        return self._success(done | {"bulk_id": job_id}, 202)

    def _refuse_unbounded(self, counts: Counts) -> None:
        """Refuse a caller's replay of too many."""
        most = self.kernel.settings.max_replay
        if not counts.complete or counts.total > most:
            detail = f"{counts.total} callbacks fit, and {most} may be replayed at once: narrow it"
            raise InvalidOrder(errors=[problem("", "too_many", detail)])

    def _done_soon(self, job_id: str, counted: int) -> int:
        """Do a replay in this request as far as a second goes; return how many it comes to."""
        worker = Worker(self.kernel, new_token(self.kernel), Pressure(self.kernel))
        deadline = time.monotonic() + REPLAY_SECONDS
        while time.monotonic() < deadline and step(worker, job_id) is not None:
            pass
        with self.kernel.read_session() as session:
            row = find(session, job_id)
        done: int = row.done
        return counted if row.state == JobState.RUNNING else done

    def _here(self) -> Here:
        return Here(self.kernel.clock.now())

    def _filter(self, who: Identity, asked: BulkRequest) -> tuple[Filter, list[dict[str, Any]]]:
        """Read the filter; return it, and each of its fields that makes no sense."""
        names = ORDER_FIELDS if asked.kind.is_of_orders else CALLBACK_FIELDS
        problems = [
            problem(f"/filter/{escape_pointer(name)}", "unknown_field", "there is no such field")
            for name in asked.filter
            if ALIASES.get(name, name) not in (*names, "zone")
        ]
        problems += [
            problem(f"/filter/{escape_pointer(name)}", "blank_field", SAYS_NOTHING)
            for name in blank(asked.filter)
        ]
        wanted: Filter
        with self.kernel.read() as connection:
            by = known(connection, self._here())
        if asked.kind.is_of_orders:
            orders = read_orders(asked.filter, by)
            both = orders.wanted.state is OrderState.PENDING  # as in the list of orders
            wanted, wrong = replace(orders.wanted, tags=who.tags, as_callers_see=both), orders.wrong
            if orders.wanted.state is OrderState.WAITING:
                wrong["state"] = "is pending here, with waiting=any"
        else:
            callbacks = read_callbacks(asked.filter, by)
            wanted, wrong = replace(callbacks.wanted, tags=who.tags), callbacks.wrong
        said = {ALIASES.get(name, name): name for name in asked.filter}
        problems += [
            problem(f"/filter/{escape_pointer(said.get(name, name))}", "invalid_field", why)
            for name, why in wrong.items()
        ]
        return wanted, problems

    def _job(self, job_id: str) -> dict[str, Any]:
        with self.kernel.read_session() as session:
            row = find(session, job_id)
            left = [
                {"id": one.item_id, "code": one.code, "said": one.said}
                for one in left_of(session, job_id, limit=TOLD)
            ]
            made = [
                {"order_id": one.order_id, "rerun_as": one.new_id}
                for one in made_by(session, job_id)
            ]
            told = {"left_because": reasons_of(session, job_id), "left_items": left, "made": made}
        return job_data(row) | told

    def _success(self, data: dict[str, Any], status: int = 200) -> Response:
        language = self.kernel.settings.language
        return json_response(status, envelope(0, text("success", language), data))


def _flaws(plan: Plan, fields: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return what makes no sense, as `Plan.check` says, with the pointers of this body."""
    try:
        plan.check()
    except InvalidOrder as invalid:
        place = "/filter/state" if "state" in fields else "/filter"
        found: list[dict[str, Any]] = invalid.data["errors"]
        return [one | ({"pointer": place} if one["pointer"] == "/state" else {}) for one in found]
    return []
