"""Receivers of callers' callbacks: what they are, how it went, adopting drafts, removing.

Pages show kinds and names of credentials, never values; they are given on the command line or by
the API.
"""

import shlex
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

from flask import Response, request

from kernel.callers import receiver_changes
from kernel.callers.people.roles import Role
from kernel.callers.receiver_changes import ReceiverPatch
from kernel.callers.receivers import Receiver
from kernel.delivery.breakers import ReceiverPath, Target
from kernel.errors import Conflict
from kernel.formats import durations
from kernel.insight.receivers import ReceiverDetails, all_receivers, one_receiver
from kernel.insight.trends.marks import breakers
from kernel.insight.trends.series import Span, Trends
from kernel.insight.trends.tallies import Kind, Part, Tally
from kernel.pauses.adoption import adopt, ground_of, settle
from kernel.runtime.single_flight import SingleFlightCache
from kernel.views.dashboard.frame import LIVE_SECONDS, LIVE_SHARE, Frame
from kernel.views.http.sessions import Visitor

# How far back the page of a receiver looks for times in which it was failing.
HISTORY = timedelta(days=7)


def receiver_pages(frame: Frame) -> None:
    """Add the pages to ``frame``."""
    kernel, trends = frame.kernel, Trends(frame.kernel)
    totals = SingleFlightCache[dict[Part, Tally]](LIVE_SECONDS, share=LIVE_SHARE)

    def went(caller: str, name: str) -> Tally | None:
        """Return what was counted of a receiver in the last day; None for nothing."""
        found = totals.get(partial(trends.by_part, Span.DAY, Kind.RECEIVER))
        return found.get(Part(Kind.RECEIVER, f"{caller}/{name}"))

    @frame.page("/receivers")
    def receivers(visitor: Visitor) -> Response:
        with kernel.read_session() as session:
            known = all_receivers(session)
        return frame.render("dashboard/receivers/list.html", known=known, went=went)

    def show(caller: str, name: str, status: int = 200, refused: str = "") -> Response:
        with kernel.read_session() as session:
            one, versions, tried = one_receiver(session, caller, name)
            since = kernel.clock.now() - HISTORY
            failing = breakers(session, since, _ways_to(one.receiver))
        shown: dict[str, Any] = {"one": one, "versions": versions, "tried": tried}
        shown |= {"total": went(caller, name), "failing": failing, "command": _command(one)}
        page = "dashboard/receivers/one.html"
        return frame.render(page, status, refused=refused, **shown)

    @frame.page("/receivers/<caller>/<name>")
    def receiver(visitor: Visitor, caller: str, name: str) -> Response:
        return show(caller, name)

    @frame.change("/receivers/<caller>/<name>/adopt", Role.ADMIN)
    def adopt_receiver(visitor: Visitor, caller: str, name: str) -> Response:
        try:
            adopt(kernel, caller, [name], frame.by(visitor))
        except Conflict:  # another person was faster
            return frame.back("receiver", "done_no_draft", caller=caller, name=name)
        except ValueError as error:  # it says in words why it could not work, without values
            return show(caller, name, 409, str(error))
        return frame.back("receiver", "done_adopted", caller=caller, name=name)

    @frame.change("/receivers/<caller>/<name>/remove", Role.ADMIN)
    def remove_receiver(visitor: Visitor, caller: str, name: str) -> Response:
        by = frame.by(visitor)
        with kernel.write_session() as session:
            receiver_changes.remove(session, caller, name, kernel.clock.now(), by)
        settle(kernel, caller, by)
        return frame.back("receivers", "done_receiver_removed")

    _setting(frame, show)


def _setting(frame: Frame, show: Callable[..., Response]) -> None:
    """Add the form for what can be set here; ``show`` shows a receiver with what was refused."""
    kernel = frame.kernel

    @frame.change("/receivers/<caller>/<name>/give-up", Role.ADMIN)
    def set_give_up(visitor: Visitor, caller: str, name: str) -> Response:
        given, by = request.form.get("give_up", "").strip(), frame.by(visitor)
        try:
            terms = {"give_up": durations.seconds(given) if given else None}
            with kernel.write_session() as session:
                patch = ReceiverPatch(terms=terms)
                receiver_changes.change(session, caller, name, patch, ground_of(kernel), by)
        except ValueError as error:  # it says in words what does not fit
            return show(caller, name, 422, str(error))
        return frame.back("receiver", "done_give_up", caller=caller, name=name)


def _command(one: ReceiverDetails) -> str:
    """Return the beginning of the command that changes a receiver."""
    words = ["kernel", "receivers", "set", one.receiver.name, "--caller", one.caller]
    return shlex.join(words)


def _ways_to(receiver: Receiver) -> tuple[Target, ReceiverPath]:
    """Return what fails when callbacks to a receiver do: its host, or its own path."""
    target = Target(receiver.caller_id, receiver.origin)
    return target, ReceiverPath(target, receiver.id)
