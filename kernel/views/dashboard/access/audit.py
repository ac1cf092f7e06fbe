"""Who changed what: acts by actor, verb, target and time, and counts of refused keys."""

import re
from collections.abc import Callable
from typing import Any

from flask import Response, request

from kernel.callers.audit import search
from kernel.callers.audit.acts import TARGET
from kernel.callers.audit.search import PAGE, ActFilter
from kernel.callers.people.roles import Role
from kernel.filters.moments import Here, moment, zone_named
from kernel.views.dashboard.frame import Frame
from kernel.views.dashboard.lists.query import number, tidied
from kernel.views.http.sessions import Visitor

# Rows of refused keys on the page: the newest.
REFUSED = 20
FIELDS = ("actor", "verb", "target", "since", "until", "zone")
WORD = re.compile(r"[!-~]{1,300}")


def audit_pages(frame: Frame) -> None:
    """Add the page to ``frame``."""

    @frame.page("/audit", Role.ADMIN)
    def audit(visitor: Visitor) -> Response:
        if (tidy := tidied()) is not None:
            return tidy
        given, wanted, wrong = _read(Here(frame.kernel.clock.now()))
        before = number(request.args.get("before", "")) or None
        with frame.kernel.read() as connection:
            acts = [] if wrong else search.find(connection, ActFilter(**wanted), before)
            refused = search.refused(connection, REFUSED)
        return frame.render(
            "dashboard/audit.html",
            given=given,
            wrong=wrong,
            acts=acts,
            refused=refused,
            older=acts[-1]["id"] if len(acts) == PAGE else None,
        )


def _read(here: Here) -> tuple[dict[str, str], dict[str, Any], list[str]]:
    """Return the fields as they were given, what they hold, and those that make no sense."""
    given = {name: request.args.get(name, "").strip() for name in FIELDS}
    wanted: dict[str, Any] = {}
    wrong: list[str] = []

    def at(text: str) -> Any:
        zone = zone_named(given["zone"]) if given["zone"] else here.zone
        return moment(text, Here(here.now, zone), wanted.get("since"))

    readers: dict[str, Callable[[str], Any]] = dict.fromkeys(("actor", "target"), _text)
    readers |= {"verb": _word, "since": at, "until": at}
    for name, how in readers.items():
        if given[name]:
            try:
                wanted[name] = how(given[name])
            except ValueError:
                wrong.append(name)
    return given, wanted, wrong


def _word(given: str) -> str:
    if not WORD.fullmatch(given):
        raise ValueError(given)
    return given


def _text(given: str) -> str:
    if len(given) > TARGET or not given.isprintable():
        raise ValueError(given)
    return given
