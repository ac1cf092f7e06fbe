"""Callbacks owed and sent: found by filter, sent again one by one or many at once, paused."""

import time
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from flask import Response, request
from werkzeug.exceptions import BadRequest

from kernel.db.ids import ID, time_of
from kernel.db.statements.keyset import Cursor
from kernel.db.states import DeliveryState
from kernel.db.tables.callers import Caller
from kernel.delivery.pauses import pause, resume
from kernel.delivery.redeliver import DeliveryFilter, Place, redeliver, replay_from, replay_step
from kernel.errors import NotFound
from kernel.formats.envelope import rfc3339
from kernel.insight.delivery_search import page, reach
from kernel.runtime.kernel import Kernel
from kernel.views.dashboard.frame import Frame
from kernel.views.dashboard.query import caller_ids, moment, read, word
from kernel.views.http.sessions import Visitor

# Where a pause may have been made; the answer leads back there.
BACK = ("overview", "deliveries", "callers")


@dataclass(frozen=True, slots=True)
class DeliveryQuery:
    """The fields of the search, as given and as understood."""

    given: dict[str, str]
    wanted: DeliveryFilter
    wrong: list[str]
    # By id.
    callers: dict[int, str]

    @property
    def narrowed(self) -> bool:
        """Tell whether anything but a state narrows the list."""
        return any(value for name, value in self.given.items() if name != "state")

    @property
    def fields(self) -> dict[str, str]:
        """The fields that were given, for an address."""
        return {name: value for name, value in self.given.items() if value}


def read_query(kernel: Kernel) -> DeliveryQuery:
    """Read the query string."""
    with kernel.read() as connection:
        callers = caller_ids(connection)
    readers = {
        "state": ("state", DeliveryState),
        "host": ("host", word),
        "caller": ("caller_id", callers.__getitem__),
        "since": ("since", moment),
        "until": ("until", moment),
    }
    given, values, wrong = read(readers)
    names = {caller_id: name for name, caller_id in callers.items()}
    return DeliveryQuery(given, DeliveryFilter(**values), wrong, names)


def delivery_pages(frame: Frame) -> None:
    """Add the pages to ``frame``."""
    _listing(frame)
    _replaying(frame)
    _pausing(frame)


def _listing(frame: Frame) -> None:
    kernel = frame.kernel

    @frame.page("/deliveries")
    def deliveries(visitor: Visitor) -> Response:
        asked = read_query(kernel)
        found = None
        if not asked.wrong:
            with kernel.read_session() as session:
                found = page(session, asked.wanted, _cursor(), frame.limits.deliveries)
        looked_to = None
        if found and found.next and not found.complete:
            looked_to = _reached(found.next)
        return frame.render(
            "dashboard/deliveries.html",
            asked=asked,
            found=found,
            looked_to=looked_to,
            older=None if found is None or found.next is None else _written(found.next),
            paged="before" in request.args,
            states=list(DeliveryState),
        )

    @frame.change("/deliveries/<delivery_id>/redeliver")
    def redeliver_delivery(visitor: Visitor, delivery_id: str) -> Response:
        changed = redeliver(kernel, None, delivery_id)
        said = "done_redelivered" if changed else "done_in_flight"
        return frame.back("deliveries", said, **read_query(kernel).fields)


def _cursor() -> Cursor | None:
    """Read where the page begins; what is no cursor begins at the newest."""
    end, _, id = request.args.get("before", "").rpartition("~")
    try:
        return Cursor((moment(end), id) if end else (id,)) if ID.fullmatch(id) else None
    except ValueError:
        return None


def _written(cursor: Cursor) -> str:
    """Write a cursor for an address: an id, or the end of a delivery and its id."""
    *ends, id = cursor.key
    return "".join(f"{rfc3339(end)}~" for end in ends) + str(id)


def _reached(cursor: Cursor) -> datetime:
    """Return the moment that a search has come to."""
    first = cursor.key[0]
    return first if isinstance(first, datetime) else time_of(first)


def _replaying(frame: Frame) -> None:
    kernel = frame.kernel

    @frame.page("/deliveries/replay")
    def replay(visitor: Visitor) -> Response:
        asked = read_query(kernel)
        if asked.wanted.state not in (None, *DeliveryState.over()):
            asked = replace(asked, wrong=[*asked.wrong, "state"])
        found = None if asked.wrong or "count" not in request.args else reach(kernel, asked.wanted)
        place = replay_from(kernel)
        known: dict[str, Any] = {"asked": asked, "found": found, "place": place}
        return frame.render("dashboard/replay.html", over=DeliveryState.over(), **known)

    @frame.change("/deliveries/replay")
    def replay_all(visitor: Visitor) -> Response:
        asked, place, sent = read_query(kernel), _place(), _number("sent")
        if asked.wrong or asked.wanted.state not in (None, *DeliveryState.over()):
            raise BadRequest
        deadline = time.monotonic() + frame.limits.step_seconds
        while True:
            made, place = replay_step(kernel, asked.wanted, place, frame.limits.replay_batch)
            sent += made
            if place.after is None or time.monotonic() > deadline:
                break
        if place.after is None:
            return frame.back("replayed", sent=sent, **asked.fields)
        reached = time_of(place.after) if place.after else None
        total = request.form.get("total", "")
        known: dict[str, Any] = {"place": place, "sent": sent, "reached": reached, "total": total}
        return frame.render("dashboard/replaying.html", 200, asked=asked, **known)

    @frame.page("/deliveries/replayed")
    def replayed(visitor: Visitor) -> Response:
        given = request.args.get("sent", "")
        sent = int(given) if given.isdigit() else 0
        return frame.render("dashboard/replayed.html", asked=read_query(kernel), sent=sent)


def _place() -> Place:
    """Read from the form how far a replay has come."""
    after, until = request.form.get("after", ""), request.form.get("until_id", "")
    if not ID.fullmatch(until) or (after and not ID.fullmatch(after)):
        raise BadRequest
    return Place(after, until)


def _number(name: str) -> int:
    given = request.form.get(name, "0")
    return int(given) if given.isascii() and given.isdigit() and len(given) < 12 else 0


def _pausing(frame: Frame) -> None:
    kernel = frame.kernel

    @frame.change("/pauses/host")
    def pause_host(visitor: Visitor) -> Response:
        pause(kernel, host=_host())
        return _back(frame, "done_paused")

    @frame.change("/pauses/host/resume")
    def resume_host(visitor: Visitor) -> Response:
        return _resumed(frame, host=_host())

    @frame.change("/pauses/caller/<int:caller_id>")
    def pause_caller(visitor: Visitor, caller_id: int) -> Response:
        with kernel.read_session() as session:
            if session.get(Caller, caller_id) is None:
                raise NotFound
        pause(kernel, caller_id=caller_id)
        return _back(frame, "done_paused")

    @frame.change("/pauses/caller/<int:caller_id>/resume")
    def resume_caller(visitor: Visitor, caller_id: int) -> Response:
        return _resumed(frame, caller_id=caller_id)


def _host() -> str:
    try:
        return word(request.values.get("host", "").strip())
    except ValueError:
        raise BadRequest from None


def _resumed(frame: Frame, **what: Any) -> Response:
    try:
        resume(frame.kernel, **what)
    except NotFound:  # another person was faster
        return _back(frame, "done_not_paused")
    return _back(frame, "done_resumed")


def _back(frame: Frame, said: str) -> Response:
    back = request.args.get("back", "")
    return frame.back(back if back in BACK else "deliveries", said)
